//! The journal of a migration: a file that records the copied entries.
//!
//! With it a migration resumes where it stopped, and distinguishes its copies from entries that a service has written at
//! the destination.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tessera::Timestamp;

use crate::failure::Failure;

/// The hash of a key, as written in the journal. The key itself is a secret.
pub(super) type Hash = [u8; 16];

pub(super) fn hash(key: &str) -> Hash {
    let digest = Sha256::digest(key.as_bytes());
    std::array::from_fn(|at| digest[at])
}

/// The journal's record of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// The version of the copy.
    pub(super) version: u64,
    /// The version that is being copied over it; `None` once that is done.
    pub(super) next: Option<u64>,
    /// The expiry of the copied version.
    pub(super) expires_at: Timestamp,
    /// Whether the copy was seen at the destination. Otherwise this program may have ended between recording and copying
    /// it.
    pub(super) is_certain: bool,
}

impl Copied {
    /// Whether an entry of this version is a copy, and not a later write of a service.
    pub(super) fn is(&self, version: u64) -> bool {
        self.version == version || self.next == Some(version)
    }
}

/// The file and its content. While it is open, no other migration can open it.
pub(super) struct Journal {
    path: PathBuf,
    /// `None` if nothing is written.
    file: Option<BufWriter<File>>,
    known: HashMap<Hash, Copied>,
}

impl Journal {
    /// Opens the journal of a migration between two places, or creates it.
    pub(super) fn open(path: &Path, places: &str) -> Result<Self, Failure> {
        let failed = || Failure::during(format!("cannot use the journal {}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.display();
                return Err(Failure::new(format!(
                    "another migration is writing the journal {path}"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
        let (known, end) = read(&file, places, path)?;
        // An incomplete last line is dropped.
        file.set_len(end).map_err(failed())?;
        file.seek(SeekFrom::Start(end)).map_err(failed())?;
        let mut journal = Self {
            path: path.to_owned(),
            file: Some(BufWriter::new(file)),
            known,
        };
        if end == 0 {
            journal.line(&heading(places))?;
            journal.flush()?;
        }
        Ok(journal)
    }

    /// Reads a journal, if it exists, without writing to it.
    pub(super) fn look(path: &Path, places: &str) -> Result<Self, Failure> {
        let known = match File::open(path) {
            Ok(file) => read(&file, places, path)?.0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => {
                return Err(Failure::during(format!(
                    "cannot use the journal {}",
                    path.display()
                ))(error));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            file: None,
            known,
        })
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<Copied> {
        self.known.get(hash).copied()
    }

    /// Records that an entry is about to be copied, or was seen at the destination.
    pub(super) fn note(&mut self, hash: Hash, copied: Copied) -> Result<(), Failure> {
        if self.known.get(&hash) == Some(&copied) {
            return Ok(());
        }
        self.known.insert(hash, copied);
        let mut line = String::with_capacity(68);
        line.push(if copied.is_certain { 'c' } else { 'i' });
        line.push(' ');
        for byte in hash {
            line.push_str(&format!("{byte:02x}"));
        }
        line.push_str(&format!(
            " {:016x} {}",
            copied.version,
            copied.expires_at.as_millis()
        ));
        if let Some(next) = copied.next {
            line.push_str(&format!(" {next:016x}"));
        }
        self.line(&line)
    }

    /// The number of copies that were seen at the destination and have not expired.
    pub(super) fn live(&self, now: Timestamp) -> usize {
        let is_live = |copied: &&Copied| copied.is_certain && copied.expires_at > now;
        self.known.values().filter(is_live).count()
    }

    /// Writes all records to disk, so that they survive power loss.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let write = |file: &mut BufWriter<File>| file.flush().and_then(|()| file.get_ref().sync_data());
        self.file.as_mut().map_or(Ok(()), write).map_err(self.failed())
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let written = self.file.as_mut().map_or(Ok(()), |file| writeln!(file, "{line}"));
        written.map_err(self.failed())
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> Failure + use<> {
        Failure::during(format!("cannot write the journal {}", self.path.display()))
    }
}

fn heading(places: &str) -> String {
    format!("tessera migration 1: {places}")
}

/// Reads all complete lines, and returns their records and their length in bytes.
fn read(file: &File, places: &str, path: &Path) -> Result<(HashMap<Hash, Copied>, u64), Failure> {
    let (mut reader, mut known, mut end) = (BufReader::new(file), HashMap::new(), 0);
    let mut line = String::new();
    loop {
        line.clear();
        let read = reader.read_line(&mut line);
        let read = read.map_err(Failure::during(format!(
            "cannot read the journal {}",
            path.display()
        )))?;
        let Some(text) = line.strip_suffix('\n') else {
            // The last line is cut off, unless the file is not a journal at all.
            if end == 0 && !heading(places).starts_with(&line) {
                return Err(foreign(path));
            }
            return Ok((known, end));
        };
        if end == 0 {
            if text != heading(places) {
                return Err(foreign(path));
            }
        } else {
            let (hash, copied) = parse(text)
                .ok_or_else(|| Failure::new(format!("the journal {} is damaged", path.display())))?;
            known.insert(hash, copied);
        }
        end += read as u64;
    }
}

fn foreign(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(format!(
        "{path} is not the journal of a migration between these two stores"
    ))
}

fn parse(line: &str) -> Option<(Hash, Copied)> {
    let mut parts = line.split(' ');
    let is_certain = match parts.next()? {
        "c" => true,
        "i" => false,
        _ => return None,
    };
    let hex = parts.next()?;
    let hash = u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32)?;
    let version = u64::from_str_radix(parts.next()?, 16).ok()?;
    let expires_at = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let next = parts.next().map(|next| u64::from_str_radix(next, 16));
    let copied = Copied {
        version,
        next: next.transpose().ok()?,
        expires_at,
        is_certain,
    };
    parts.next().is_none().then_some((hash.to_be_bytes(), copied))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(version: u64, is_certain: bool) -> Copied {
        Copied {
            version,
            next: (version == 9).then_some(10),
            expires_at: Timestamp::from_millis(7),
            is_certain,
        }
    }

    #[test]
    fn a_journal_knows_what_was_noted_and_drops_a_line_that_was_cut_off() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("journal");
        let mut journal = Journal::open(&path, "a b").expect("a journal");
        journal.note(hash("x"), copied(1, false)).expect("noted");
        journal.note(hash("x"), copied(1, true)).expect("noted");
        journal.note(hash("y"), copied(u64::MAX, false)).expect("noted");
        journal.note(hash("z"), copied(9, true)).expect("noted");
        journal.flush().expect("flushed");
        drop(journal);
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(!text.contains("x y"));
        std::fs::write(&path, format!("{text}c 00ff")).expect("a file");
        let journal = Journal::open(&path, "a b").expect("a journal");
        assert_eq!(journal.get(&hash("x")), Some(copied(1, true)));
        assert_eq!(journal.get(&hash("y")), Some(copied(u64::MAX, false)));
        assert_eq!(journal.get(&hash("z")), Some(copied(9, true)));
        assert!(copied(9, true).is(9) && copied(9, true).is(10) && !copied(9, true).is(11));
        drop(journal);
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), text);
    }

    #[test]
    fn a_journal_of_other_stores_or_one_that_is_damaged_or_in_use_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("journal");
        let open = Journal::open(&path, "a b").expect("a journal");
        let refused = |places: &str| Journal::open(&path, places).err().map(|why| why.to_string());
        assert!(refused("a b").is_some_and(|why| why.contains("another migration")));
        drop(open);
        assert!(refused("a c").is_some_and(|why| why.contains("not the journal of a migration")));
        std::fs::write(&path, "{\"keys\":[]}").expect("a file");
        assert!(refused("a b").is_some_and(|why| why.contains("not the journal of a migration")));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "{\"keys\":[]}");
        std::fs::write(&path, "tessera migration 1: a b\nnonsense\n").expect("a file");
        assert!(refused("a b").is_some_and(|why| why.contains("damaged")));
    }
}
