//! Real servers for tests: each on a free port of the loopback address, with a directory of its own, killed on drop.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]

mod caddy;
mod daemon;
mod mariadb;
mod nginx;
mod pgbouncer;
mod postgres;
mod process;
mod proxy;
mod redis;
mod redis_cluster;
mod redis_sentinel;

use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use caddy::Caddy;
pub use daemon::without_rights;
pub use mariadb::MariaDb;
pub use nginx::Nginx;
pub use pgbouncer::{PgBouncer, Pooling};
pub use postgres::Postgres;
pub use process::{Gauge, Process, free_port};
pub use proxy::{Proxy, Weather};
pub use redis::{RedisServer, ask, eventually};
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinels;

/// A password full of characters that must be percent-encoded in a URL.
pub const PASSWORD: &str = "s3/cr#e?t@w:o%r&d=";
/// The same password, percent-encoded.
pub const ENCODED_PASSWORD: &str = "s3%2Fcr%23e%3Ft%40w%3Ao%25r%26d%3D";

/// A database server under test.
pub trait Server: Send + Sync {
    /// The URL of an empty database, with a user who has all privileges, at this port.
    fn url_at(&self, port: u16) -> String;

    /// The port on 127.0.0.1.
    fn port(&self) -> u16;

    /// Sends SIGKILL, which ends the process without any clean-up.
    fn kill(&self);

    /// Starts the server again with the same directory and port.
    fn restart(&self);

    /// The URL without a proxy.
    fn url(&self) -> String {
        self.url_at(self.port())
    }

    /// The URL without a pooler, for programs that need a database session of their own.
    fn direct_url(&self) -> String {
        self.url()
    }
}

/// One server for all tests that run concurrently. It stops with the last of them.
pub struct Shared<S>(Mutex<Weak<S>>);

impl<S: Server> Shared<S> {
    /// Creates it without a running server.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    /// Returns the running server, or starts one.
    pub fn get(&self, start: impl FnOnce() -> S) -> Arc<S> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(start());
            *shared = Arc::downgrade(&server);
            server
        })
    }
}

impl<S: Server> Default for Shared<S> {
    fn default() -> Self {
        Self::new()
    }
}
