//! The stores that are loaded: each behind a proxy, or a file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::servers::{MariaDb, Postgres, Proxy, RedisServer, Server, Weather};

/// How old an answer may be where a cache stands before the store.
const MAX_STALE: Duration = Duration::from_millis(500);

/// What a service keeps its sessions in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A Redis that syncs every write.
    Redis,
    /// The same with a cache in each service.
    CachedRedis,
    /// A PostgreSQL as it comes.
    Postgres,
    /// A MariaDB as it comes.
    MariaDb,
    /// A SQLite file of both services.
    Sqlite,
}

impl Store {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Redis,
        Self::CachedRedis,
        Self::Postgres,
        Self::MariaDb,
        Self::Sqlite,
    ];

    /// As a command names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::CachedRedis => "cached+redis",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
            Self::Sqlite => "sqlite",
        }
    }

    pub(super) fn max_stale(self) -> Duration {
        match self {
            Self::CachedRedis => MAX_STALE,
            _ => Duration::ZERO,
        }
    }

    /// Starts what it needs, and answers its URL for services with a directory.
    /// Time-outs are short, so that a run has room for many faults.
    pub(super) fn start(self, directory: &Path) -> (Place, String) {
        match self {
            Self::Redis => redis("redis://", "timeout_ms=1000"),
            Self::CachedRedis => {
                let stale = MAX_STALE.as_millis();
                redis(
                    "cached+redis://",
                    &format!("timeout_ms=1000&max_stale_ms={stale}&cache_bytes=4194304"),
                )
            }
            Self::Postgres => sql(Box::new(Postgres::start())),
            Self::MariaDb => sql(Box::new(MariaDb::start())),
            Self::Sqlite => {
                let file = directory.join("sessions.db");
                (Place::File, format!("sqlite:{}", file.display()))
            }
        }
    }
}

fn redis(scheme: &str, options: &str) -> (Place, String) {
    let server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let proxy = Proxy::to(server.port);
    let url = format!("{scheme}127.0.0.1:{}?{options}", proxy.port);
    (Place::Redis(Box::new(Mutex::new(server)), proxy), url)
}

fn sql(server: Box<dyn Server>) -> (Place, String) {
    let proxy = Proxy::to(server.port());
    let url = format!(
        "{}?acquire_timeout_ms=1000&statement_timeout_ms=1000",
        server.url_at(proxy.port)
    );
    (Place::Sql(server, proxy), url)
}

/// Where the sessions are.
pub(super) enum Place {
    Redis(Box<Mutex<RedisServer>>, Proxy),
    Sql(Box<dyn Server>, Proxy),
    File,
}

impl Place {
    pub(super) fn kill(&self) {
        match self {
            Self::Redis(server, _) => server.lock().unwrap_or_else(PoisonError::into_inner).kill(),
            Self::Sql(server, _) => server.kill(),
            Self::File => {}
        }
    }

    pub(super) fn restart(&self) {
        match self {
            Self::Redis(server, _) => server.lock().unwrap_or_else(PoisonError::into_inner).restart(),
            Self::Sql(server, _) => server.restart(),
            Self::File => {}
        }
    }

    pub(super) fn set(&self, weather: Weather) {
        if let Some(proxy) = self.proxy() {
            proxy.set(weather);
        }
    }

    pub(super) fn cut(&self) {
        if let Some(proxy) = self.proxy() {
            proxy.cut();
        }
    }

    fn proxy(&self) -> Option<&Proxy> {
        match self {
            Self::Redis(_, proxy) | Self::Sql(_, proxy) => Some(proxy),
            Self::File => None,
        }
    }
}
