//! A store in one SQLite file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{
    Capabilities, Cause, Condition, Deletion, Entry, Expected, Listed, Listing, Page, Placement, SWEEP_GRACE,
    Store, StoreError,
};
use tessera_contract::Timestamp;
use tessera_contract::store::{check_batch, check_limit};

mod durability;
mod error;
#[cfg(feature = "connections")]
mod mailbox;
mod queue;
mod readers;
mod schema;
mod statements;
mod writer;

pub use durability::Durability;
pub use error::SqliteStoreError;
use error::opened_to_read;
#[cfg(feature = "connections")]
pub use mailbox::SqliteMailbox;
use queue::{Queue, Write};
use readers::Readers;
use schema::Database;

/// The maximum length of a key in a [`SqliteStore`].
const MAXIMUM_KEY_BYTES: u32 = 512;
/// The maximum length of an owner in a [`SqliteStore`].
const MAXIMUM_OWNER_BYTES: u32 = 512;
/// The maximum length of a value in a [`SqliteStore`].
const MAXIMUM_VALUE_BYTES: u32 = 16 * 1024 * 1024;
const MAXIMUM_READERS: usize = 16;

/// Settings of a [`SqliteStore`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct SqliteStoreBuilder {
    durability: Durability,
    sweep_interval: Duration,
    busy_timeout: Duration,
    readers: usize,
    maximum_value_bytes: u32,
    read_only: bool,
}

impl Default for SqliteStoreBuilder {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            sweep_interval: Duration::from_secs(60),
            busy_timeout: Duration::from_secs(5),
            readers: thread::available_parallelism()
                .map_or(1, usize::from)
                .min(MAXIMUM_READERS),
            maximum_value_bytes: MAXIMUM_VALUE_BYTES,
            read_only: false,
        }
    }
}

impl SqliteStoreBuilder {
    /// Sets what an acknowledged write survives. Default: [`Durability::PowerLoss`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the interval at which the writer removes the entries that expired [`SWEEP_GRACE`] ago, 500 at a time.
    /// Default: 60 seconds. `Duration::ZERO`: never.
    ///
    /// The writer uses the machine's clock. If the `now` of your calls comes from another clock,
    /// choose `Duration::ZERO` and call [`SqliteStore::sweep`].
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// Sets how long a write waits for another process that writes to the file, before it fails with
    /// [`StoreError::Unavailable`]. Default: 5 seconds.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets the number of connections for reads, 1 to 16. Default: one for each core, at most 16.
    pub fn readers(mut self, connections: usize) -> Self {
        self.readers = connections.clamp(1, MAXIMUM_READERS);
        self
    }

    /// Sets the maximum length of a value in bytes; at most, and by default, 16 MiB.
    pub fn maximum_value_bytes(mut self, bytes: u32) -> Self {
        self.maximum_value_bytes = bytes.min(MAXIMUM_VALUE_BYTES);
        self
    }

    /// Sets whether the store is opened read-only. Default: no.
    ///
    /// A read-only store needs an existing file and permission to read it and its directory. It does not change the file, and
    /// every write fails with [`StoreError::Other`].
    ///
    /// If SQLite cannot create the file that it shares with other processes (`-shm`), and there is no log (`-wal`), the file is
    /// read as immutable. The store then does not see the writes of a service that starts later; open it again.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Opens the file. Creates it, readable by its owner only (mode 0600), if it does not exist. The directory must exist.
    ///
    /// # Errors
    ///
    /// [`SqliteStoreError`]. The file of another application or of a newer Tessera is not changed.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, SqliteStoreError> {
        let queue = Arc::new(Queue::default());
        if self.read_only {
            let database = Database::find(path.as_ref(), &schema::SESSIONS)?;
            let reading: Result<Vec<_>, _> = (0..self.readers).map(|_| database.only_reader()).collect();
            queue.close();
            return Ok(SqliteStore {
                shared: Arc::new(Shared {
                    readers: Readers::new(reading?),
                    queue,
                    writer: Mutex::new(None),
                    maximum_value_bytes: self.maximum_value_bytes,
                    read_only: true,
                }),
            });
        }
        let database = Database::locate(path.as_ref(), &schema::SESSIONS)?;
        let writing = database.writer(self.durability, self.busy_timeout)?;
        let reading: Result<Vec<_>, _> = (0..self.readers).map(|_| database.reader()).collect();
        let readers = Readers::new(reading?);
        let writer = writer::start(writing, Arc::clone(&queue), self.sweep_interval)
            .map_err(SqliteStoreError::Thread)?;
        let maximum_value_bytes = self.maximum_value_bytes;
        let shared = Shared {
            readers,
            queue,
            writer: Mutex::new(Some(writer)),
            maximum_value_bytes,
            read_only: false,
        };
        Ok(SqliteStore {
            shared: Arc::new(shared),
        })
    }
}

/// A store in one SQLite file, for one machine. Several processes may use the same file at the same time.
///
/// Reads complete at the first poll.
/// One thread writes all queued writes, at most 256, in one transaction, and acknowledges them after its commit;
/// [`Durability`] states what an acknowledged write survives.
/// At most 4096 writes or 64 MiB of values are queued; further writes fail with [`StoreError::Throttled`].
/// The store needs no runtime.
///
/// A clone is the same store. When the last clone is dropped, the store completes the queued writes and closes the file, and
/// blocks the thread meanwhile, as [`close`](Self::close) does. A killed process loses no acknowledged write.
///
/// Limits: keys and owners of 512 bytes, values of 16 MiB. An entry whose `expires_at` is after its `ends_at` expires
/// at `ends_at`. A page of [`Store::list_owned`] contains values up to about 1 MiB, and omits the others.
/// `docs/layout.md` describes the file for hosts in other languages.
///
/// ```no_run
/// use tessera_stores::{Durability, SqliteStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStore::builder().durability(Durability::ProcessCrash).open("/var/lib/app/sessions.db")?;
/// # drop(store); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    readers: Readers,
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<writer::Closed>>>,
    maximum_value_bytes: u32,
    read_only: bool,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file with the builder's defaults.
    ///
    /// # Errors
    ///
    /// As [`SqliteStoreBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteStoreError> {
        Self::builder().open(path)
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder::default()
    }

    /// Removes the entries that expired [`SWEEP_GRACE`] before `now`, and returns their number.
    /// Removes 500 at a time; other writes run in between.
    ///
    /// # Errors
    ///
    /// The errors of a write. Some entries may have been removed.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let before = now.saturating_sub(SWEEP_GRACE);
        let mut swept = 0;
        loop {
            // A batch has at most 500 entries.
            let batch = self.write(Write::Sweep { before }).await? as usize;
            swept += batch;
            if batch < statements::SWEEP_BATCH {
                return Ok(swept);
            }
        }
    }

    /// The number of entries in the file, including expired ones that are not swept yet.
    /// Blocks while it counts: some milliseconds for a million entries.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the file cannot be read or the store is closed.
    pub fn len(&self) -> Result<u64, StoreError> {
        self.shared
            .readers
            .ask(|connection| statements::count(connection, None))
    }

    /// Whether the file has no entries.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        self.len().map(|entries| entries == 0)
    }

    /// The number of entries that are live at `now`. Blocks as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn count_live(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.shared
            .readers
            .ask(|connection| statements::count(connection, Some(now)))
    }

    /// Lists live entries with and without an owner, for an operator: at most `limit` (1 to 100) from `cursor` on.
    ///
    /// The empty cursor starts a walk. An entry that exists throughout a walk is listed exactly once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Other`] for an invalid limit, [`StoreError::MalformedCursor`], and the errors of [`len`](Self::len).
    pub fn list_all(&self, now: Timestamp, cursor: &str, limit: u32) -> Result<Listing, StoreError> {
        let after = parse_cursor(cursor)?;
        check_limit(limit)?;
        self.shared
            .readers
            .ask(|connection| statements::list_all(connection, now, after, limit))
    }

    /// Copies an entry of another store, with its version, guard, owner and moments.
    ///
    /// Writes if no live entry has the key at `now`, or overwrites the version `over`; with `None`, the version of `row`.
    /// An overwrite never moves the expiry earlier.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if a live entry has another version, and the errors of [`Store::insert`].
    pub async fn import(
        &self,
        now: Timestamp,
        row: &Listed,
        value: &Arc<str>,
        over: Option<u64>,
    ) -> Result<(), StoreError> {
        self.describe().check_sizes(&row.key, value, &row.placement())?;
        let write = Write::Import {
            now,
            row: row.clone(),
            value: Arc::clone(value),
            over: over.unwrap_or(row.version),
        };
        self.write(write).await.map(|_| ())
    }

    /// Completes the queued writes, moves the log into the database and closes the file. Blocks until that is done.
    ///
    /// Afterwards every call fails with [`StoreError::Unavailable`]. Closing twice is not an error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the log could not be moved. Nothing is lost: the next opening moves it.
    pub fn close(&self) -> Result<(), StoreError> {
        self.shared.close()
    }

    /// Queues a write and waits for its result.
    async fn write(&self, write: Write) -> Result<u64, StoreError> {
        if self.shared.read_only {
            return Err(opened_to_read());
        }
        let answer = self.shared.queue.push(write)?;
        answer.await.unwrap_or_else(|_| {
            Err(StoreError::OutcomeUnknown(Cause::new(
                "the writer's thread has ended",
            )))
        })
    }
}

impl Store for SqliteStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            // One file on one machine.
            acknowledged_writes_survive_failover: false,
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
        self.shared
            .readers
            .ask(|connection| statements::get(connection, now, key))
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        let one = |connection: &_, key: &String| match statements::get(connection, now, key) {
            // An error of one entry is returned in its place; an error of the file fails the call.
            entry @ (Ok(_) | Err(StoreError::Missing | StoreError::Corrupt)) => Ok(entry),
            Err(error) => Err(error),
        };
        self.shared
            .readers
            .ask(|connection| keys.iter().map(|key| one(connection, key)).collect())
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check_sizes(key, value, at)?;
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(Write::Insert {
            now,
            key,
            value,
            at: at.clone(),
        })
        .await
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
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(Write::Replace {
            now,
            key,
            value,
            expected,
            at: at.clone(),
        })
        .await
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        _owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(Write::Touch {
            now,
            key: key.to_owned(),
            expires_at,
        })
        .await
        .map(|_| ())
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        let write = Write::Delete {
            now,
            key: key.to_owned(),
            condition: condition.clone(),
        };
        self.write(write).await.map(|deleted| deleted > 0)
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        check_batch(deletions)?;
        let write = Write::DeleteMany {
            now,
            deletions: deletions.to_vec(),
            owner: owner.to_owned(),
        };
        // The count is at most BATCH_LIMIT.
        self.write(write).await.map(|deleted| deleted as u32)
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
        self.shared
            .readers
            .ask(|connection| statements::list_owned(connection, now, owner, after, limit))
    }
}

impl Shared {
    fn close(&self) -> Result<(), StoreError> {
        self.queue.close();
        // Before the writer, so that the writer's connection is the last one, which removes the log.
        self.readers.close();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match writer.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(StoreError::Unavailable(Cause::new(error))),
            Some(Err(_)) => Err(StoreError::Unavailable(Cause::new("the writer panicked"))),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store was not closed cleanly"
            );
        }
    }
}

fn parse_cursor(cursor: &str) -> Result<i64, StoreError> {
    if cursor.is_empty() {
        return Ok(i64::MIN);
    }
    cursor.parse().map_err(|_| StoreError::MalformedCursor)
}
