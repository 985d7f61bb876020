//! The SQLite files that are open, because no connection to one survives a fork.
//!
//! SQLite keeps the locks of a process in its memory, which a child inherits without the locks themselves
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.6). So a child refuses a file that was open at the fork.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::forked::{Forked, generation};
use crate::process::OfProcess;

/// The files, with the generation of the process that has opened each, and the number of its stores.
static OPEN: OfProcess<HashMap<PathBuf, (u32, usize)>> = OfProcess::new();

/// In a child: what the parent has opened stays noted. If it was just noting a file, one is noted that is never closed.
pub(crate) fn begin_as_child(parent: u32) {
    if OPEN.is_locked() {
        OPEN.replace(HashMap::from([(PathBuf::new(), (parent, 1))]));
    }
}

/// A file that is open in this process.
#[derive(Debug)]
pub(crate) struct OpenFile(PathBuf);

impl OpenFile {
    /// Notes that a file is opened.
    pub(crate) fn note(path: &Path) -> Result<Self, Forked> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = path.canonicalize().unwrap_or(path);
        let mut files = OPEN.lock();
        // Another file is refused as well: a thread may have held a lock of the library at the fork.
        if files.values().any(|(of, _)| *of != generation()) {
            return Err(Forked);
        }
        files.entry(path.clone()).or_insert((generation(), 0)).1 += 1;
        Ok(Self(path))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut files = OPEN.lock();
        if let Some((_, stores)) = files.get_mut(&self.0) {
            *stores -= 1;
            if *stores == 0 {
                files.remove(&self.0);
            }
        }
    }
}
