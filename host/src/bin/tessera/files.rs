//! Files that only the service may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::Failure;
use crate::output::complain;

/// No key file is anywhere near as long.
const MAXIMUM_BYTES: u64 = 1 << 20;

/// Makes a directory that only its owner enters, unless there is one.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(Failure::during(format!(
        "cannot make the directory {}",
        path.display()
    )))
}

/// Reads a secret; `None` if there is no such file. One that everybody can read is refused.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::during(format!("cannot open {}", path.display()))(error)),
    };
    check_mode(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAXIMUM_BYTES).read_to_string(&mut text);
    read.map_err(Failure::during(format!("cannot read {}", path.display())))?;
    Ok(Some(text))
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file
        .metadata()
        .map_err(Failure::during(format!("cannot inspect {}", path.display())))?;
    let mode = metadata.permissions().mode() & 0o777;
    let path = path.display();
    if mode & 0o007 != 0 {
        return Err(Failure::new(format!(
            "{path} holds a secret and is open to everybody (mode {mode:04o}): chmod 600 {path}"
        )));
    }
    // Orchestrators hand secrets to a process through its group.
    if mode & 0o070 != 0 {
        complain(&format!(
            "tessera: warning: {path} holds a secret and is open to its group (mode {mode:04o})"
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<(), Failure> {
    Ok(())
}

/// Writes a new secret, readable by its owner only; refuses if there is a file already.
pub(crate) fn create_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let doing = || format!("cannot make {}", path.display());
    let written = write_beside(path, text).map_err(Failure::during(doing()))?;
    // A link, because a rename would silently replace the file of another process that starts at the same time.
    let linked = fs::hard_link(&written, path);
    let removed = fs::remove_file(&written);
    linked
        .and(removed)
        .and_then(|()| sync_directory(path))
        .map_err(Failure::during(doing()))
}

/// Replaces a secret, in one step.
pub(crate) fn replace_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let replace = || {
        let written = write_beside(path, text)?;
        fs::rename(written, path)?;
        sync_directory(path)
    };
    replace().map_err(Failure::during(format!("cannot replace {}", path.display())))
}

fn write_beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = path.with_file_name(name);
    // Left behind by a crash of a process that had our id, as every first process of a container has.
    let _ = fs::remove_file(&beside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(beside)
}

/// Makes the new name itself survive a loss of power.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}
