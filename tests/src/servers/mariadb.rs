//! A MariaDB server.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::daemon::{Daemon, as_user, done, give, listens, program};
use super::process::free_port;
use super::{ENCODED_PASSWORD, PASSWORD, Server};

/// The user that Debian's package creates.
const USER: &str = "mysql";

/// A separate MariaDB server, killed on drop.
pub struct MariaDb {
    process: Daemon,
    directory: TempDir,
    port: u16,
}

impl MariaDb {
    /// Initialises the data directory and starts the server.
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let setup = format!(
            "CREATE DATABASE IF NOT EXISTS tessera CHARACTER SET latin1;
             CREATE USER IF NOT EXISTS 'tessera'@'%' IDENTIFIED BY '{PASSWORD}';
             GRANT ALL ON *.* TO 'tessera'@'%' WITH GRANT OPTION;
             DROP USER IF EXISTS ''@'localhost';\n"
        );
        fs::write(directory.path().join("setup.sql"), setup).expect("a file");
        give(USER, directory.path());
        done(
            as_user(USER, &program("mariadb-install-db", &[]))
                // In the common directory, two concurrent starts would use each other's temporary tables.
                .env("TMPDIR", directory.path())
                .args([
                    "--no-defaults",
                    "--skip-test-db",
                    "--auth-root-authentication-method=normal",
                ])
                .arg(format!("--datadir={}", directory.path().join("data").display())),
        );
        let server = Self {
            process: Daemon::default(),
            directory,
            port: free_port(),
        };
        server.restart();
        server
    }
}

impl Server for MariaDb {
    fn url_at(&self, port: u16) -> String {
        format!("mysql://tessera:{ENCODED_PASSWORD}@127.0.0.1:{port}/tessera")
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn kill(&self) {
        self.process.kill();
    }

    fn restart(&self) {
        let directory = self.directory.path();
        let path = |name: &str| directory.join(name).display().to_string();
        let mut command = as_user(USER, &program("mariadbd", &[PathBuf::from("/usr/sbin")]));
        command
            .env("TMPDIR", directory)
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args([
                "--skip-ssl",
                "--max-connections=200",
                "--innodb-buffer-pool-size=64M",
            ])
            .arg(format!("--port={}", self.port))
            .arg(format!("--datadir={}", path("data")))
            .arg(format!("--socket={}", path("socket")))
            .arg(format!("--pid-file={}", path("pid")))
            .arg(format!("--init-file={}", path("setup.sql")));
        self.process
            .start(&mut command, &directory.join("log"), || listens(self.port));
    }
}
