//! PgBouncer in front of a PostgreSQL server, in transaction mode.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::daemon::{Daemon, as_user, give, listens, program};
use super::process::free_port;
use super::{ENCODED_PASSWORD, PASSWORD, Postgres, Server};

/// The user of Debian's package: PgBouncer refuses to run as root.
const USER: &str = "postgres";

/// The connection settings of a [`PgBouncer`].
pub struct Pooling {
    /// The number of connections to the server.
    pub pool_size: u32,
    /// The lifetime of such a connection, in seconds; 0 replaces it after each transaction.
    pub server_lifetime: u32,
    /// Startup parameters that it drops silently. It refuses all others except a few.
    pub ignored_parameters: &'static str,
}

impl Default for Pooling {
    fn default() -> Self {
        Self {
            pool_size: 40,
            server_lifetime: 1,
            ignored_parameters: "",
        }
    }
}

/// A separate PgBouncer, killed on drop, and the PostgreSQL server behind it.
pub struct PgBouncer {
    process: Daemon,
    directory: TempDir,
    port: u16,
    postgres: Arc<Postgres>,
}

impl PgBouncer {
    /// Starts it in front of this server.
    pub fn before(postgres: Arc<Postgres>, pooling: &Pooling) -> Self {
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let Pooling {
            pool_size,
            server_lifetime,
            ignored_parameters,
        } = pooling;
        let users = directory.path().join("users.txt");
        fs::write(&users, format!("\"tessera\" \"{PASSWORD}\"\n")).expect("a file");
        let settings = format!(
            "[databases]
* = host=127.0.0.1 port={} auth_user=tessera
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {}
pool_mode = transaction
default_pool_size = {pool_size}
server_lifetime = {server_lifetime}
max_client_conn = 500
ignore_startup_parameters = {ignored_parameters}
",
            postgres.port(),
            users.display()
        );
        fs::write(directory.path().join("pgbouncer.ini"), settings).expect("a file");
        give(USER, directory.path());
        let pooler = Self {
            process: Daemon::default(),
            directory,
            port,
            postgres,
        };
        pooler.start();
        pooler
    }

    fn start(&self) {
        let directory = self.directory.path();
        let mut command = as_user(USER, &program("pgbouncer", &[PathBuf::from("/usr/sbin")]));
        command.arg(directory.join("pgbouncer.ini"));
        self.process
            .start(&mut command, &directory.join("log"), || listens(self.port));
    }

    /// The URL as a provider prints it, without a parameter for the pooler.
    #[must_use]
    pub fn plain_url(&self) -> String {
        format!(
            "postgres://tessera:{ENCODED_PASSWORD}@127.0.0.1:{}/postgres",
            self.port
        )
    }
}

impl Server for PgBouncer {
    fn url_at(&self, port: u16) -> String {
        format!("postgres://tessera:{ENCODED_PASSWORD}@127.0.0.1:{port}/postgres?pooler=transaction")
    }

    fn port(&self) -> u16 {
        self.port
    }

    /// Kills the pooler and the server.
    fn kill(&self) {
        self.process.kill();
        self.postgres.kill();
    }

    fn restart(&self) {
        self.postgres.restart();
        self.start();
    }

    fn direct_url(&self) -> String {
        self.postgres.url()
    }
}
