//! Files with secrets, which only the service may read.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output::complain;

/// Maximum length of a secret's file, in bytes. No key file is nearly as long.
const MAXIMUM_BYTES: u64 = 1 << 20;
/// How long another process may take to write a file that it has created.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Creates a directory that only its owner can enter, unless it exists.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(Failure::during(format!(
        "cannot create the directory {}",
        path.display()
    )))
}

/// A secret that was read.
pub(crate) struct Secret {
    pub(crate) text: Zeroizing<String>,
    /// The reason why others may know the secret, for the operator.
    pub(crate) warning: Option<String>,
}

impl Secret {
    /// Returns the text, and prints the warning to standard error.
    pub(crate) fn with_warning_shown(self) -> Zeroizing<String> {
        if let Some(warning) = self.warning {
            complain(&format!("tessera: warning: {warning}"));
        }
        self.text
    }
}

/// Reads a secret; `None` if there is no such file.
///
/// Refuses a file that everybody can read if its mode can be changed.
/// Refuses a file that is not a regular one, because reading a pipe waits for a writer.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Secret>, Failure> {
    let doing = |verb: &str| format!("cannot {verb} {}", path.display());
    let regular = |metadata: &Metadata| {
        let is_regular = metadata.is_file();
        is_regular.then_some(()).ok_or_else(|| {
            Failure::new(format!(
                "{} is not a regular file: a secret is read from a file or an environment variable",
                path.display()
            ))
        })
    };
    // Before the file is opened, because opening a pipe waits for a writer.
    match fs::metadata(path) {
        Ok(metadata) => regular(&metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::during(doing("inspect"))(error)),
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::during(doing("open"))(error)),
    };
    let metadata = file.metadata().map_err(Failure::during(doing("inspect")))?;
    regular(&metadata)?;
    if metadata.len() > MAXIMUM_BYTES {
        return Err(Failure::new(format!(
            "{} is longer than {MAXIMUM_BYTES} bytes",
            path.display()
        )));
    }
    let warning = check_mode(path, &file, &metadata)?;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAXIMUM_BYTES).read_to_string(&mut text);
    read.map_err(Failure::during(doing("read")))?;
    Ok(Some(Secret { text, warning }))
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File, metadata: &Metadata) -> Result<Option<String>, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    let path = path.display();
    if mode & 0o007 != 0 {
        let exposed = format!("{path} holds a secret and is open to everybody (mode {mode:04o})");
        // Sets the mode that the file has already: this changes nothing, and fails if the mode cannot be changed.
        // Orchestrators mount secrets in that way, read-only and owned by another user.
        return match file.set_permissions(metadata.permissions()) {
            Ok(()) => Err(Failure::new(format!("{exposed}: chmod 600 {path}"))),
            Err(_) => Ok(Some(format!("{exposed}, which this process cannot change"))),
        };
    }
    // Orchestrators pass secrets to a process through its group.
    Ok((mode & 0o070 != 0)
        .then(|| format!("{path} holds a secret and is open to its group (mode {mode:04o})")))
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File, _: &Metadata) -> Result<Option<String>, Failure> {
    Ok(None)
}

/// Reads a secret, or creates its file with the text that `new` returns.
pub(crate) fn read_or_create_secret(
    path: &Path,
    new: impl FnOnce() -> Result<Zeroizing<String>, Failure>,
) -> Result<(Zeroizing<String>, Created), Failure> {
    let (mut new, mut text) = (Some(new), None);
    let started = Instant::now();
    loop {
        match read_secret(path)? {
            // Empty while another process writes it.
            Some(secret) if secret.text.is_empty() && started.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE)
            }
            Some(secret) => return Ok((secret.with_warning_shown(), Created::Before)),
            None => {
                if let Some(new) = new.take() {
                    text = Some(new()?);
                }
                let text = text.clone().unwrap_or_default();
                if create_secret(path, &text)? == Created::Now {
                    return Ok((text, Created::Now));
                }
            }
        }
    }
}

/// Whether the call created the secret's file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    Now,
    /// The file existed already, or another process was faster.
    Before,
}

/// Writes a new secret that only its owner can read. An existing file is left unchanged.
pub(crate) fn create_secret(path: &Path, text: &str) -> Result<Created, Failure> {
    let create = || -> io::Result<Created> {
        let written = write_beside(path, text)?;
        match written.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(Created::Before),
            // The file system supports neither links nor renames without replacement.
            Err(_) => match create_in_place(path, text) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Created::Before),
                created => created?,
            },
        }
        sync_directory(path)?;
        Ok(Created::Now)
    };
    create().map_err(Failure::during(format!("cannot create {}", path.display())))
}

/// Replaces a secret atomically.
///
/// The new file has the owner, group and mode of the old one, because the service may run as another user.
/// A symbolic link is kept, and its target replaced.
pub(crate) fn replace_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let replace = || {
        let path = &fs::canonicalize(path)?;
        let written = write_beside(path, text)?;
        keep_owner(&fs::metadata(path)?, written.as_file())?;
        written.persist(path).map_err(|error| error.error)?;
        sync_directory(path)
    };
    replace().map_err(Failure::during(format!("cannot replace {}", path.display())))
}

#[cfg(unix)]
fn keep_owner(old: &Metadata, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let made = new.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(old.permissions())
}

#[cfg(not(unix))]
fn keep_owner(_: &Metadata, _: &File) -> io::Result<()> {
    Ok(())
}

/// Waits until no other process changes secrets in a file's directory. Other processes wait until the result is dropped.
/// On a file system without locks, no process waits.
pub(crate) fn lock(path: &Path) -> Result<File, Failure> {
    let doing = || format!("cannot lock the directory of {}", path.display());
    let directory = File::open(parent(path)).map_err(Failure::during(doing()))?;
    match directory.lock() {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(Failure::during(doing())(error)),
        _ => Ok(directory),
    }
}

/// Writes a file beside the path, with a unique name and mode 0600. It is removed when dropped, unless it is persisted.
fn write_beside(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new-");
    let mut file = tempfile::Builder::new().prefix(&name).tempfile_in(parent(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Creates the file under its final name. Another process may see it before it is written.
fn create_in_place(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes the new name survive power loss, if the file system supports that.
fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(parent(path))?.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on a file system that supports neither links nor renames without replacement.
    #[test]
    fn a_secret_made_in_place_is_its_owners_and_replaces_no_other() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        create_in_place(&path, "first").expect("it is made");
        let again = create_in_place(&path, "second").expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let secret = read_secret(&path).expect("it is read").expect("it is there");
        assert_eq!((secret.text.as_str(), secret.warning), ("first", None));
    }

    #[test]
    fn a_file_that_is_still_empty_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        create_in_place(&path, "").expect("it is made");
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || {
                std::thread::sleep(PAUSE * 3);
                fs::write(path, "written").expect("it is written");
            })
        };
        let read = read_or_create_secret(&path, || Ok(Zeroizing::new("mine".into())));
        writer.join().expect("it ends");
        let (text, created) = read.expect("it is read");
        assert_eq!(text.as_str(), "written");
        assert!(created == Created::Before);
    }
}
