//! A PostgreSQL server.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::daemon::{Daemon, as_user, done, give, program};
use super::process::free_port;
use super::{ENCODED_PASSWORD, PASSWORD, Server};

/// The user that Debian's package creates: PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// A separate PostgreSQL server, killed on drop.
pub struct Postgres {
    process: Daemon,
    directory: TempDir,
    port: u16,
}

impl Postgres {
    /// Initialises the data directory and starts the server.
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let password = directory.path().join("password");
        fs::write(&password, PASSWORD).expect("a file");
        give(USER, directory.path());
        done(
            as_user(USER, &bin("initdb"))
                .args(["--username=tessera", "--auth=scram-sha-256", "--encoding=UTF8"])
                .args(["--locale=C.UTF-8", "--no-sync"])
                .arg(format!("--pwfile={}", password.display()))
                .arg("--pgdata")
                .arg(directory.path().join("data")),
        );
        let server = Self {
            process: Daemon::default(),
            directory,
            port: free_port(),
        };
        server.restart();
        server
    }

    /// Restarts it as a hot standby. It waits for a primary, which does not exist.
    pub fn restart_as_standby(&self) {
        self.kill();
        let signal = self.directory.path().join("data/standby.signal");
        fs::write(signal, "").expect("a file");
        self.restart();
    }
}

impl Server for Postgres {
    fn url_at(&self, port: u16) -> String {
        format!("postgres://tessera:{ENCODED_PASSWORD}@127.0.0.1:{port}/postgres")
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn kill(&self) {
        self.process.kill();
    }

    fn restart(&self) {
        let directory = self.directory.path();
        let mut command = as_user(USER, &bin("postgres"));
        command
            .arg("-D")
            .arg(directory.join("data"))
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=200"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", directory.display()));
        let is_ready = || {
            let port = self.port.to_string();
            Command::new(bin("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port])
                .stdin(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        self.process.start(&mut command, &directory.join("log"), is_ready);
    }
}

/// Finds a PostgreSQL program: Debian has a directory for each version.
fn bin(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut directories: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    directories.sort();
    directories.reverse();
    program(name, &directories)
}
