//! A store in PostgreSQL, MySQL or MariaDB.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Capabilities, Cause, Condition, Deletion, Entry, Expected, Page, Placement, SWEEP_GRACE, Store,
    StoreError,
};
use tessera_contract::Timestamp;
use tessera_contract::store::{check_batch, check_limit};

mod builder;
mod dialect;
mod driver;
mod error;
mod import;
mod invalidation;
mod lease;
mod listing;
mod options;
mod removal;
mod retry;
mod rows;
mod schema;
mod session;
mod shared;
mod statement;
mod statements;
mod sweeper;
mod url;

pub use builder::SqlStoreBuilder;
use error::{Fault, Verdict};
pub use error::{SqlCode, SqlError, SqlStoreError};
use retry::Kind;
use rows::{check_is_of, entry, millis, new_version, next_cursor, parse_cursor, row};
use shared::Shared;
use statement::{Answer, Param, Row as SqlRow, Sql};
pub use url::SqlUrl;

/// The longest key a [`SqlStore`] takes, in bytes.
const MAXIMUM_KEY_BYTES: u32 = 512;
/// The longest owner a [`SqlStore`] takes, in bytes.
const MAXIMUM_OWNER_BYTES: u32 = 512;
/// The longest value a [`SqlStore`] takes, in bytes: a tenth of InnoDB's usual log and half of its usual packet.
const MAXIMUM_VALUE_BYTES: u32 = 8 * 1024 * 1024;
/// How often an insert is tried that finds the key first there and then gone.
const INSERT_TRIES: u32 = 3;
/// How long `close` waits for connections that are still asked something.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// A store in a table of a PostgreSQL (13 or later), MySQL (8 or later) or MariaDB (10.5 or later) database, for any
/// number of instances.
///
/// ```no_run
/// use tessera_stores::SqlStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqlStore::open("postgres://app:secret@db.example/app?sslmode=verify-full").await?;
/// # drop(store); Ok(())
/// # }
/// ```
///
/// # URL
///
/// `postgres://` (or `postgresql://`) and `mysql://` (or `mariadb://`), then `user:password@host:port/database`, special
/// characters percent-encoded. What is not named of a PostgreSQL URL comes from `PGHOST`, `PGUSER`, `PGPASSWORD`,
/// `PGPASSFILE` and the like. An IPv6 address stands in brackets. Options, besides the settings of [`SqlStoreBuilder`]:
/// PostgreSQL `pooler`, `direct`, `schema`, `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host` (also the directory of a socket),
/// `port`, `user`, `password`, `dbname`, `connect_timeout`, `application_name`, `options`; MySQL `ssl-mode`, `ssl-ca`, `ssl-cert`,
/// `ssl-key`, `socket`, `connect_timeout`, `charset`. So are the names that other clients and providers of databases have for
/// these, as `docs/stores.md` lists them. What cannot be honoured is refused by its name ([`SqlStoreError::Option`]).
///
/// Without `sslmode=verify-full` (`ssl-mode=VERIFY_IDENTITY`), a connection is encrypted if the server offers it, and
/// whoever answers is believed to be the server: enough on one machine, not on a network.
/// MySQL's `caching_sha2_password` needs an encrypted connection.
///
/// # What it promises
///
/// - A write is acknowledged when the database has committed it. With the usual settings (`synchronous_commit=on` and
///   `fsync=on`; `innodb_flush_log_at_trx_commit=1`) it survives a killed or restarted server. A replica that is fed
///   asynchronously and takes over may lack the last moments, a logout among them, so
///   `acknowledged_writes_survive_failover` is false unless [`SqlStoreBuilder::survives_failover`] says otherwise.
///   Reads and writes go to the one server of the URL; do not name one that only follows.
/// - Compare-and-swap is one UPDATE with the version or the guard in its condition, and a deletion is one DELETE with the
///   owner or the guard in its condition. Times are integers, milliseconds since 1970 of
///   the call's `now`; the server's clock decides nothing.
/// - A call is answered within `acquire_timeout` + `statement_timeout` + half a second; a write that is told to caches
///   ([`SqlStoreBuilder::announce`]) within a second more. A deadlock, a lost race of
///   transactions and, for questions, a lost connection are tried again within that time.
///   [`StoreError::Unavailable`] is a write that was not done; if its answer was lost, it is
///   [`StoreError::OutcomeUnknown`].
/// - No error holds a key, a value, a user or a password: of a server's error only its code is kept.
///
/// Limits: keys and owners of 512 bytes, values of 8 MiB. An entry whose `expires_at` is after its `ends_at` expires at
/// `ends_at`. [`Store::list_owned`] brings values of up to 16 KiB along.
///
/// # What is in the database
///
/// The tables `tessera_sessions` and `tessera_sessions_schema` (other names: [`SqlStoreBuilder::table`]), made at the
/// first opening, which many instances may do at once. Afterwards SELECT, INSERT, UPDATE and DELETE are all the user
/// needs. `docs/layout.md` describes the tables for hosts in other languages. Keys, owners and, in PostgreSQL, values
/// are bytes, so that every text is kept as it is and compares as it is:
///
/// ```sql
/// SELECT convert_from(session_key, 'UTF8'), convert_from(owner, 'UTF8'), to_timestamp(expires_at / 1000.0),
///        convert_from(value, 'UTF8') FROM tessera_sessions;            -- PostgreSQL
/// SELECT CONVERT(session_key USING utf8mb4), CONVERT(owner USING utf8mb4), FROM_UNIXTIME(expires_at / 1000),
///        value FROM tessera_sessions;                                  -- MySQL, MariaDB
/// ```
///
/// When it is opened, a store finds out without a write whether the user has these rights and the server takes writes:
/// [`SqlStoreError::Forbidden`], [`SqlStoreError::ReadOnly`]. Opened [to read](SqlStoreBuilder::read_only), it needs SELECT alone.
///
/// With MySQL, `binlog_format` has to be ROW or MIXED.
///
/// # Behind a pooler
///
/// Statements are prepared under a name and kept with their connection, and the sweeper holds a lock of its session
/// (`pg_try_advisory_lock`, `GET_LOCK`). A pooler that changes the session between two transactions (PgBouncer in transaction mode)
/// would lead such a name to another's statement. So each new connection to PostgreSQL shows that it is a session: a random
/// parameter of its startup message is there when it is asked for. Otherwise it is not used ([`SqlError::Pooler`]).
///
/// With `pooler=transaction` (or `pgbouncer=true`) in the URL, each statement is a transaction of its own with a statement that has
/// no name, locks are those of a transaction, and nothing is set for the session: three more round trips for each statement, and
/// right behind poolers in session mode as well. A write whose COMMIT was not sent is [`StoreError::Unavailable`], not
/// [`StoreError::OutcomeUnknown`].
/// A cache in front cannot listen there: `direct=URL` (percent-encoded) names the server itself for that.
///
/// A clone is the same store. When the last is dropped, the sweeper ends.
#[derive(Clone)]
pub struct SqlStore {
    shared: Arc<Shared>,
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}

impl SqlStore {
    /// Opens the store with the builder's defaults, on a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`SqlStoreBuilder::open`].
    pub async fn open(url: &str) -> Result<Self, SqlStoreError> {
        Self::builder().open(url).await
    }

    /// Settings to change before the store is opened.
    pub fn builder() -> SqlStoreBuilder {
        SqlStoreBuilder::default()
    }

    /// Removes what expired [`SWEEP_GRACE`] before `now`, and answers how many entries that were. 500 at a time.
    ///
    /// # Errors
    ///
    /// As a write's. Some may have been removed.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = now.saturating_sub(SWEEP_GRACE);
        let mut swept = 0;
        loop {
            let batch = sweeper::sweep_batch(&self.shared, before).await;
            let batch = batch.map_err(Fault::of_write)?;
            swept += batch;
            if batch < sweeper::BATCH.cast_unsigned() {
                return Ok(swept);
            }
        }
    }

    /// Ends the sweeper and the connections. Afterwards every call answers [`StoreError::Unavailable`].
    /// Closing twice is no error.
    ///
    /// May block, for two seconds at most, while calls that have begun are answered.
    pub fn close(&self) {
        self.shared.end();
        let (closed, is_closed) = std::sync::mpsc::channel::<()>();
        let shared = Arc::clone(&self.shared);
        // On the runtime of the connections; if that is gone, so are they, and the channel with the task.
        self.shared.runtime.spawn(async move {
            let _ = tokio::time::timeout(CLOSE_PATIENCE, shared.retrier.pool.close()).await;
            drop(closed);
        });
        let _ = is_closed.recv_timeout(CLOSE_PATIENCE);
    }

    async fn read(&self, sql: &Sql, params: &[Param<'_>]) -> Result<Vec<SqlRow>, StoreError> {
        let retrier = &self.shared.retrier;
        let answer = retrier.ask(retrier.deadline(), Kind::Read, sql, params).await;
        answer.map(|answer| answer.rows).map_err(Fault::of_read)
    }

    /// Whether there is a live entry: asked only after a conditional write that met none.
    async fn is_live(&self, now: Timestamp, key: &str) -> Result<bool, StoreError> {
        let params = [Param::Bytes(key.as_bytes()), Param::Number(millis(now))];
        Ok(!self
            .read(&self.shared.statements.is_live, &params)
            .await?
            .is_empty())
    }

    async fn write(&self, sql: &Sql, params: &[Param<'_>]) -> Result<Answer, Fault> {
        let retrier = &self.shared.retrier;
        retrier.ask(retrier.deadline(), Kind::Write, sql, params).await
    }

    /// Writes over an expired entry, after a duplicate key; `None` if there was none that has expired.
    async fn revive(&self, sql: &Sql, written: &Written<'_>) -> Result<Option<u64>, StoreError> {
        let [value, version, guard, owner, touched_at, expires_at, ends_at] = written.params();
        let params = [
            value,
            version,
            guard,
            owner,
            touched_at,
            expires_at,
            ends_at,
            Param::Bytes(written.key.as_bytes()),
            touched_at,
        ];
        let answer = self.write(sql, &params).await.map_err(Fault::of_write)?;
        Ok((answer.affected > 0).then_some(written.version))
    }
}

/// What an entry is to be.
struct Written<'a> {
    key: &'a str,
    value: &'a str,
    version: u64,
    /// `None` keeps the one that is there.
    guard: Option<u64>,
    now: Timestamp,
    at: &'a Placement,
}

impl<'a> Written<'a> {
    /// A new entry, whose guard is 0 where the placement brings none.
    fn new(key: &'a str, value: &'a str, now: Timestamp, at: &'a Placement) -> Result<Self, StoreError> {
        Ok(Self {
            key,
            value,
            version: new_version()?,
            guard: Some(at.guard.unwrap_or(0)),
            now,
            at,
        })
    }

    /// The columns from `value` to `ends_at`, in the order in which every statement has them.
    fn params(&self) -> [Param<'_>; 7] {
        [
            Param::Value(self.value),
            Param::Number(self.version.cast_signed()),
            Param::Guard(self.guard.map(u64::cast_signed)),
            Param::Owner(self.at.owner.as_deref().map(str::as_bytes)),
            Param::Number(millis(self.now)),
            Param::Number(millis(self.at.expires_at.min(self.at.ends_at))),
            Param::Number(millis(self.at.ends_at)),
        ]
    }
}

impl Store for SqlStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            acknowledged_writes_survive_failover: self.shared.survives_failover,
            maximum_staleness: Duration::ZERO,
            index_staleness: Duration::ZERO,
            minimum_ttl: Duration::ZERO,
            expiry_resolution: Duration::from_millis(1),
            minimum_write_interval: Duration::ZERO,
            maximum_key_bytes: MAXIMUM_KEY_BYTES,
            maximum_owner_bytes: MAXIMUM_OWNER_BYTES,
            maximum_value_bytes: self.shared.maximum_value_bytes,
        }
    }

    async fn get(&self, now: Timestamp, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        let params = [Param::Bytes(key.as_bytes()), Param::Number(millis(now))];
        let rows = self.read(&self.shared.statements.get, &params).await?;
        let row = rows.first().ok_or(StoreError::Missing)?;
        check_is_of(row, 0, key)?;
        entry(row, 1)
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, size) = self.shared.statements.get_many.of_size(keys.len());
        let mut params: Vec<_> = several(keys, size).collect();
        params.push(Param::Number(millis(now)));
        let rows = self.read(sql, &params).await?;
        let mut found = std::collections::HashMap::with_capacity(rows.len());
        for row in &rows {
            let key = row.bytes(0).ok_or(StoreError::Corrupt)?;
            found.insert(key, entry(row, 1));
        }
        let one = |key: &String| found.get(key.as_bytes()).cloned();
        Ok(keys
            .iter()
            .map(|key| one(key).unwrap_or(Err(StoreError::Missing)))
            .collect())
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check_sizes(key, value, at)?;
        let written = Written::new(key, value, now, at)?;
        let [text, version, guard, owner, touched_at, expires_at, ends_at] = written.params();
        let key_param = Param::Bytes(key.as_bytes());
        let params = [
            key_param, text, version, guard, owner, touched_at, expires_at, ends_at,
        ];
        let statements = &self.shared.statements;
        for _ in 0..INSERT_TRIES {
            match self.write(&statements.insert, &params).await {
                Ok(answer) if answer.affected > 0 => return Ok(written.version),
                // Where one statement does it all, a live entry has the key.
                Ok(_) => return Err(StoreError::Stale),
                Err(fault) if fault.verdict == Verdict::Duplicate => {}
                Err(fault) => return Err(fault.of_write()),
            }
            if let Some(revive) = &statements.revive
                && let Some(version) = self.revive(revive, &written).await?
            {
                return Ok(version);
            }
            if self.is_live(now, key).await? {
                return Err(StoreError::Stale);
            }
            // It was deleted between the statements.
        }
        Err(StoreError::Unavailable(Cause::new(SqlError::Contended)))
    }

    async fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check_sizes(key, value, at)?;
        let written = Written {
            guard: at.guard,
            ..Written::new(key, value, now, at)?
        };
        let [text, version, guard, owner, touched_at, expires_at, ends_at] = written.params();
        let (sql, expected) = match expected {
            Expected::Version(version) => (&self.shared.statements.replace_version, version),
            Expected::Guard(guard) => (&self.shared.statements.replace_guard, guard),
        };
        let params = [
            text,
            version,
            guard,
            owner,
            touched_at,
            expires_at,
            ends_at,
            Param::Bytes(key.as_bytes()),
            Param::Number(expected.cast_signed()),
            touched_at,
        ];
        let answer = self.write(sql, &params).await;
        let answer = self.tell(&[key], answer.map_err(Fault::of_write)).await;
        match answer?.affected {
            0 if self.is_live(now, key).await? => Err(StoreError::Stale),
            0 => Err(StoreError::Missing),
            _ => Ok(written.version),
        }
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        _owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let (now_millis, expires_at) = (Param::Number(millis(now)), Param::Number(millis(expires_at)));
        let key_param = Param::Bytes(key.as_bytes());
        let params = [expires_at, now_millis, key_param, now_millis, expires_at];
        let answer = self.write(&self.shared.statements.touch, &params).await;
        if answer.map_err(Fault::of_write)?.affected > 0 || self.is_live(now, key).await? {
            Ok(())
        } else {
            Err(StoreError::Missing)
        }
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        self.remove(now, key, condition).await
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        check_batch(deletions)?;
        self.remove_many(now, deletions, owner).await
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let after = parse_cursor(cursor)?;
        check_limit(limit)?;
        let params = [
            Param::Bytes(owner.as_bytes()),
            Param::Number(after),
            Param::Number(millis(now)),
            Param::Number(limit.into()),
        ];
        let found = self.read(&self.shared.statements.list_owned, &params).await?;
        let next = next_cursor(&found, limit)?;
        let own = |found: &SqlRow| {
            check_is_of(found, 7, owner)?;
            row(found)
        };
        let rows: Result<_, _> = found.iter().map(own).collect();
        Ok(Page { rows: rows?, next })
    }
}

/// The keys, and again from the first on, until there are as many as the statement has places for.
fn several<S: AsRef<str>>(keys: &[S], size: usize) -> impl Iterator<Item = Param<'_>> {
    let all = keys.iter().cycle().take(size);
    all.map(|key| Param::Bytes(key.as_ref().as_bytes()))
}
