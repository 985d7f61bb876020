//! The stores under load: servers behind a proxy, or a file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::servers::{MariaDb, Postgres, Proxy, RedisServer, Server, Weather};

/// The maximum staleness of a cache in front of a store.
const MAX_STALE: Duration = Duration::from_millis(500);

/// The store of both services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Redis with a sync after every write.
    Redis,
    /// The same, with a cache in each service.
    CachedRedis,
    /// PostgreSQL with its default configuration.
    Postgres,
    /// MariaDB with its default configuration.
    MariaDb,
    /// A SQLite file that both services share.
    Sqlite,
}

impl Store {
    /// All stores.
    pub const ALL: [Self; 5] = [
        Self::Redis,
        Self::CachedRedis,
        Self::Postgres,
        Self::MariaDb,
        Self::Sqlite,
    ];

    /// The name in commands.
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

    /// Starts the store, and returns its URL. A file is created in `directory`.
    /// Its time-outs are short, so that a run has time for many faults.
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

/// The running store, with its proxy.
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
