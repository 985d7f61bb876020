//! The SQLite files that are open, because no connection to one survives a fork.
//!
//! SQLite keeps the locks of a process in its memory, which a child inherits without the locks themselves
//! (<https://www.sqlite.org/howtocorrupt.html>, section 2.6). So a child refuses a file that was open at the fork.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fork::{Forked, generation};

/// The files, with the generation of the process that has opened each, and the number of its stores.
static OPEN: Mutex<Option<HashMap<PathBuf, (u32, usize)>>> = Mutex::new(None);

fn files() -> MutexGuard<'static, Option<HashMap<PathBuf, (u32, usize)>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is open in this process.
#[derive(Debug)]
pub(crate) struct OpenFile(PathBuf);

impl OpenFile {
    /// Notes that a file is opened.
    pub(crate) fn note(path: &Path) -> Result<Self, Forked> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = path.canonicalize().unwrap_or(path);
        let mut files = files();
        let files = files.get_or_insert_default();
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
        let mut files = files();
        let files = files.get_or_insert_default();
        if let Some((_, stores)) = files.get_mut(&self.0) {
            *stores -= 1;
            if *stores == 0 {
                files.remove(&self.0);
            }
        }
    }
}
