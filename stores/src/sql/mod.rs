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
#[cfg(feature = "connections")]
mod mailbox;
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
#[cfg(feature = "connections")]
pub use mailbox::SqlMailbox;
use retry::Kind;
use rows::{check_is_of, entry, millis, new_version, next_cursor, parse_cursor, row};
use shared::Shared;
use statement::{Answer, Param, Row as SqlRow, Sql};
pub use url::SqlUrl;

/// The maximum length of a key in a [`SqlStore`].
const MAXIMUM_KEY_BYTES: u32 = 512;
/// The maximum length of an owner in a [`SqlStore`].
const MAXIMUM_OWNER_BYTES: u32 = 512;
/// The maximum length of a value in a [`SqlStore`]: a tenth of InnoDB's usual log and half of its usual packet.
const MAXIMUM_VALUE_BYTES: u32 = 8 * 1024 * 1024;
/// The number of attempts of an insert whose key exists at first and is then deleted.
const INSERT_TRIES: u32 = 3;
/// The longest wait of `close` for connections in use.
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
/// The scheme is `postgres://` (or `postgresql://`) or `mysql://` (or `mariadb://`).
/// `user:password@host:port/database` follows, with special characters percent-encoded and an IPv6 address in brackets.
/// For parts that a PostgreSQL URL omits, `PGHOST`, `PGUSER`, `PGPASSWORD`, `PGPASSFILE` and the like apply.
///
/// Options, in addition to the settings of [`SqlStoreBuilder`]:
///
/// - PostgreSQL: `pooler`, `direct`, `schema`, `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host` (also the directory of a
///   socket), `port`, `user`, `password`, `dbname`, `connect_timeout`, `application_name`, `options`.
/// - MySQL: `ssl-mode`, `ssl-ca`, `ssl-cert`, `ssl-key`, `socket`, `connect_timeout`, `charset`.
///
/// `docs/stores.md` lists the names of other clients and providers that are accepted for these options.
/// An option that is not supported is refused by its name ([`SqlStoreError::Option`]).
///
/// Without `sslmode=verify-full` (`ssl-mode=VERIFY_IDENTITY`), a connection is encrypted if the server supports it, and the
/// server's identity is not verified: this suffices on one machine, and not on a network.
/// MySQL's `caching_sha2_password` needs an encrypted connection.
///
/// # Guarantees
///
/// - A write is acknowledged after the database has committed it. With the usual settings (`synchronous_commit=on` and
///   `fsync=on`; `innodb_flush_log_at_trx_commit=1`) it survives a killed or restarted server.
///   After a failover to an asynchronous replica, the last writes may be missing, a logout among them. So
///   `acknowledged_writes_survive_failover` is false unless [`SqlStoreBuilder::survives_failover`] sets it.
///   Reads and writes go to the one server of the URL, which must not be a replica.
/// - Compare-and-swap is one UPDATE with the version or the guard in its condition, and a deletion is one DELETE with the
///   owner or the guard in its condition. Moments are integers, in milliseconds since 1970, and come from the call's `now`; the
///   server's clock has no influence.
/// - A call completes within `acquire_timeout` + `statement_timeout` + half a second; a write that notifies caches
///   ([`SqlStoreBuilder::announce`]) within a second more. The store retries within that time after a deadlock, after a
///   serialisation failure and, for reads, after a lost connection.
/// - After [`StoreError::Unavailable`] a write is not done; if its answer was lost, the error is
///   [`StoreError::OutcomeUnknown`].
/// - No error contains a key, a value, a user or a password: of a server's error only the code is kept.
///
/// Limits: keys and owners of 512 bytes, values of 8 MiB. An entry whose `expires_at` is after its `ends_at` expires at
/// `ends_at`. [`Store::list_owned`] returns values of up to 16 KiB, and omits longer ones.
///
/// # Tables
///
/// The tables are `tessera_sessions` and `tessera_sessions_schema`, or have another name ([`SqlStoreBuilder::table`]).
/// The first opening creates them; many instances may do so concurrently.
/// Afterwards the user needs only SELECT, INSERT, UPDATE and DELETE.
/// `docs/layout.md` describes the tables for hosts in other languages.
/// Keys, owners and, in PostgreSQL, values are bytes, so that every text is stored and compared unchanged:
///
/// ```sql
/// SELECT convert_from(session_key, 'UTF8'), convert_from(owner, 'UTF8'), to_timestamp(expires_at / 1000.0),
///        convert_from(value, 'UTF8') FROM tessera_sessions;            -- PostgreSQL
/// SELECT CONVERT(session_key USING utf8mb4), CONVERT(owner USING utf8mb4), FROM_UNIXTIME(expires_at / 1000),
///        value FROM tessera_sessions;                                  -- MySQL, MariaDB
/// ```
///
/// The opening checks without a write whether the user has these rights ([`SqlStoreError::Forbidden`]) and the server accepts
/// writes ([`SqlStoreError::ReadOnly`]). A [read-only](SqlStoreBuilder::read_only) store needs only SELECT.
///
/// With MySQL, `binlog_format` has to be ROW or MIXED.
///
/// # Behind a pooler
///
/// The store prepares statements under names, which belong to their connection, and the sweeper holds a lock of its session
/// (`pg_try_advisory_lock`, `GET_LOCK`).
/// Behind a pooler that changes the session between two transactions (PgBouncer in transaction mode), such a name could refer
/// to the statement of another client.
/// So the store verifies on each new connection to PostgreSQL that it is a session: it reads back a random parameter of the
/// startup message. If the parameter is missing, the connection is not used ([`SqlError::Pooler`]).
///
/// With `pooler=transaction` (or `pgbouncer=true`) in the URL, each statement is unnamed and runs in a transaction of its own,
/// locks belong to a transaction, and the session has no settings.
/// This costs three more round trips for each statement, and is also correct behind a pooler in session mode.
/// A write whose COMMIT was not sent fails with [`StoreError::Unavailable`], and not with [`StoreError::OutcomeUnknown`].
/// A cache in front cannot listen through the pooler: `direct=URL` (percent-encoded) names the server itself for that.
///
/// A clone is the same store. When the last clone is dropped, the sweeper ends.
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
    /// Opens the store with the builder's defaults. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`SqlStoreBuilder::open`].
    pub async fn open(url: &str) -> Result<Self, SqlStoreError> {
        Self::builder().open(url).await
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> SqlStoreBuilder {
        SqlStoreBuilder::default()
    }

    /// Removes the entries that expired [`SWEEP_GRACE`] before `now`, 500 at a time, and returns their number.
    ///
    /// # Errors
    ///
    /// The errors of a write. Some entries may have been removed.
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

    /// Ends the sweeper and closes the connections. Afterwards every call fails with [`StoreError::Unavailable`].
    /// Closing twice is not an error.
    ///
    /// May block, for two seconds at most, until calls in progress have ended.
    pub fn close(&self) {
        self.shared.end();
        let (closed, is_closed) = std::sync::mpsc::channel::<()>();
        let shared = Arc::clone(&self.shared);
        // On the runtime of the connections. If the runtime has ended, the connections are closed, and the task and its channel
        // are dropped.
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

    /// Whether a live entry has this key. Used only after a conditional write that affected no row.
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

    /// Overwrites an expired entry, after a duplicate key; `None` if no expired entry has the key.
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

/// The content of an entry that is written.
struct Written<'a> {
    key: &'a str,
    value: &'a str,
    version: u64,
    /// `None` keeps the current guard.
    guard: Option<u64>,
    now: Timestamp,
    at: &'a Placement,
}

impl<'a> Written<'a> {
    /// A new entry. Its guard is 0 if the placement has none.
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

    /// The columns from `value` to `ends_at`, in the order of every statement.
    fn params(&self) -> [Param<'_>; 7] {
        [
            Param::Value(self.value),
            Param::Number(self.version.cast_signed()),
            Param::Guard(self.guard.map(u64::cast_signed)),
            Param::Optional(self.at.owner.as_deref().map(str::as_bytes)),
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
                // The statement overwrites an expired entry, so a live entry has the key.
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
            // The entry was deleted between the statements.
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

/// The keys, repeated from the first one until they fill the statement's places.
fn several<S: AsRef<str>>(keys: &[S], size: usize) -> impl Iterator<Item = Param<'_>> {
    let all = keys.iter().cycle().take(size);
    all.map(|key| Param::Bytes(key.as_ref().as_bytes()))
}
