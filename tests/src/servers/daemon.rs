//! A database server's process, under the user that it requires.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// One process, running or killed.
#[derive(Default)]
pub(super) struct Daemon(Mutex<Option<Process>>);

impl Daemon {
    pub(super) fn start(&self, command: &mut Command, log: &Path, is_up: impl Fn() -> bool) {
        let started = Instant::now();
        loop {
            let mut process = Process::spawn(command, log.to_owned());
            while !process.has_ended() && started.elapsed() < PATIENCE {
                if is_up() {
                    *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            // After a kill, remains of the previous process may lock its files briefly.
            assert!(
                started.elapsed() < PATIENCE,
                "the server does not start:\n{}",
                process.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Sends SIGKILL.
    pub(super) fn kill(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

pub(super) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Runs a command to its end.
pub(super) fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Returns a command that runs as the server's own user if the tests run as root, which a server refuses.
pub(super) fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}")]);
    command.args(["--clear-groups", "--"]).arg(program);
    command
}

/// Returns a command that runs without root's privileges, which ignore file permissions. Other users are not changed.
pub fn without_rights(program: &Path) -> Command {
    // The id of `nobody`, as user and as group, because the names differ between systems.
    as_user("65534", program)
}

/// Changes the owner of a directory to the server's user.
pub(super) fn give(user: &str, directory: &Path) {
    if is_root() {
        done(
            Command::new("chown")
                .args(["-R", &format!("{user}:{user}")])
                .arg(directory),
        );
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Finds a program in `PATH` or in one of these directories.
pub(super) fn program(name: &str, elsewhere: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(elsewhere.iter().cloned())
        .map(|directory| directory.join(name))
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("{name} is missing: `cargo xtask test` installs it"))
}
