//! The builder of a store.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;

use super::dialect::{Access, Content, TABLE, Table};
use super::driver::{PoolLimits, Suspicion};
use super::options::{check_table, check_timeout};
use super::retry::Retrier;
use super::shared::Shared;
use super::statements::Statements;
use super::{MAXIMUM_VALUE_BYTES, SqlStore, SqlStoreError, SqlUrl, schema, sweeper};
#[cfg(doc)]
use crate::SWEEP_GRACE;

/// Maximum size of a statement in a packet beside the value, in bytes.
const PACKET_OVERHEAD: i64 = 8 * 1024;

/// Settings of a [`SqlStore`]. The options of the URL override them.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct SqlStoreBuilder {
    table: String,
    max_connections: u32,
    acquire_timeout: Duration,
    statement_timeout: Duration,
    sweep_interval: Duration,
    survives_failover: bool,
    announces: bool,
    access: Access,
    maximum_value_bytes: u32,
}

impl Default for SqlStoreBuilder {
    fn default() -> Self {
        Self {
            table: TABLE.to_owned(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(3),
            sweep_interval: Duration::from_secs(60),
            survives_failover: false,
            announces: false,
            access: Access::Write,
            maximum_value_bytes: MAXIMUM_VALUE_BYTES,
        }
    }
}

impl SqlStoreBuilder {
    /// Sets the name of the table: 1 to 48 letters, digits and underscores. A second table has the same name with `_schema` at
    /// its end. Default: `tessera_sessions`. In a URL: `table`.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// Sets the maximum number of connections, at least 1. Default: 10. In a URL: `max_connections`.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Sets the longest wait of a call for a connection, 100 ms to 60 s. Default: 2 seconds. In a URL: `acquire_timeout_ms`.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// Sets the longest time of a statement in the database, 100 ms to 60 s. Default: 3 seconds.
    /// In a URL: `statement_timeout_ms`.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// Sets the interval at which one of all instances removes the entries that expired [`SWEEP_GRACE`] ago, 500 at a time.
    /// Default: 60 seconds. `Duration::ZERO`: never. In a URL: `sweep_interval_s`.
    ///
    /// The sweeper uses this machine's clock. If the `now` of your calls comes from another clock, choose `Duration::ZERO`
    /// and call [`SqlStore::sweep`].
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// Declares whether the acknowledged writes of the database survive a failover to a replica. Default: no.
    /// In a URL: `failover=lossless` or `failover=lossy`.
    ///
    /// The store cannot detect it. Declare it only if a commit waits for the replica that would take over
    /// (PostgreSQL's `synchronous_standby_names`, Galera, group replication with `group_replication_consistency`).
    pub fn survives_failover(mut self, survives: bool) -> Self {
        self.survives_failover = survives;
        self
    }

    /// Sets whether the store notifies the caches of other processes of its writes (PostgreSQL: `NOTIFY`, one more statement
    /// for each write). Default: no, unless a [`CachedStore`](crate::CachedStore) in front listens.
    /// In a URL: `announce=true`. No effect with MySQL, which has no notifications.
    pub fn announce(mut self, announces: bool) -> Self {
        self.announces = announces;
        self
    }

    /// Sets whether the store is opened read-only. Default: no.
    ///
    /// A read-only store needs only SELECT, and the server may be a standby. The tables must exist, the store does not sweep,
    /// and every write fails with [`StoreError::Other`](crate::StoreError::Other).
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.access = if read_only { Access::Read } else { Access::Write };
        self
    }

    /// Sets the maximum length of a value in bytes; at most, and by default, 8 MiB, or the server's `max_allowed_packet` less
    /// 8 KiB if that is smaller.
    pub fn maximum_value_bytes(mut self, bytes: u32) -> Self {
        self.maximum_value_bytes = bytes.min(MAXIMUM_VALUE_BYTES);
        self
    }

    /// Connects, creates the tables if they do not exist, checks the user's rights, and starts the sweeper.
    ///
    /// Needs a tokio runtime with I/O and time enabled, for as long as the store is used.
    ///
    /// # Errors
    ///
    /// [`SqlStoreError`], which contains neither user nor password nor URL.
    pub async fn open(self, url: &str) -> Result<SqlStore, SqlStoreError> {
        self.open_at(&url.parse()?).await
    }

    /// As [`open`](Self::open), with a parsed URL.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_at(self, url: &SqlUrl) -> Result<SqlStore, SqlStoreError> {
        let runtime = Handle::try_current().map_err(|_| SqlStoreError::NoRuntime)?;
        let given = url.settings.clone();
        let table = Table {
            schema: given.schema.clone(),
            name: check_table(given.table.as_ref().unwrap_or(&self.table))?,
        };
        for (name, path) in given.files() {
            // The driver's error does not name the file.
            std::fs::File::open(&path).map_err(|source| SqlStoreError::File { name, path, source })?;
        }
        let acquire_timeout = check_timeout(given.acquire_timeout.unwrap_or(self.acquire_timeout))?;
        let statement_timeout = check_timeout(given.statement_timeout.unwrap_or(self.statement_timeout))?;
        let found = schema::ensure(
            &url.target,
            Content::Sessions,
            &table,
            acquire_timeout,
            self.access,
        )
        .await?;

        let dialect = url.target.dialect();
        let suspicion = Arc::new(Suspicion::default());
        let limits = PoolLimits {
            max_connections: given.max_connections.unwrap_or(self.max_connections),
            acquire_timeout,
        };
        let session = url.target.session(statement_timeout, self.access);
        let pool = url.target.pool(&limits, session, &suspicion);
        let room = found.message_limit.map_or(u32::MAX, |limit| {
            u32::try_from((limit - PACKET_OVERHEAD).max(0)).unwrap_or(u32::MAX)
        });
        let sweep_interval = given.sweep_interval.unwrap_or(self.sweep_interval);
        let shared = Arc::new_cyclic(|shared| Shared {
            retrier: Retrier {
                pool,
                suspicion,
                acquire_timeout,
                statement_timeout,
                access: self.access,
                is_closed: AtomicBool::new(false),
            },
            statements: Statements::new(dialect, &table),
            #[cfg(feature = "connections")]
            target: url.target.clone(),
            #[cfg(feature = "connections")]
            table: table.clone(),
            survives_failover: given.survives_failover.unwrap_or(self.survives_failover),
            listens_at: url.listens_at().cloned().map(Box::new),
            channel: format!("tessera {}", table.name),
            announces: AtomicBool::new(
                self.access == Access::Write && given.announces.unwrap_or(self.announces),
            ),
            maximum_value_bytes: self.maximum_value_bytes.min(room),
            sweeper: Mutex::new(
                (!sweep_interval.is_zero() && self.access == Access::Write)
                    .then(|| sweeper::start(shared.clone(), sweep_interval)),
            ),
            runtime,
        });
        Ok(SqlStore { shared })
    }
}
