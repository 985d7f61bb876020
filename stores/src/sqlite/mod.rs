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
mod queue;
mod readers;
mod schema;
mod statements;
mod writer;

pub use durability::Durability;
pub use error::SqliteStoreError;
use error::opened_to_read;
use queue::{Queue, Write};
use readers::Readers;
use schema::Database;

/// The longest key a [`SqliteStore`] takes, in bytes.
const MAXIMUM_KEY_BYTES: u32 = 512;
/// The longest owner a [`SqliteStore`] takes, in bytes.
const MAXIMUM_OWNER_BYTES: u32 = 512;
/// The longest value a [`SqliteStore`] takes, in bytes.
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
    /// What an acknowledged write survives. Default: [`Durability::PowerLoss`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How often the writer removes what expired [`SWEEP_GRACE`] ago, 500 entries at a time.
    /// Default: 60 seconds. `Duration::ZERO`: never.
    ///
    /// The writer goes by the machine's clock. If the `now` of your calls comes from another clock,
    /// choose `Duration::ZERO` and call [`SqliteStore::sweep`].
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// How long a write waits while another process writes to the file; then it answers
    /// [`StoreError::Unavailable`]. Default: 5 seconds.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many connections read, 1 to 16. Default: one per core.
    pub fn readers(mut self, connections: usize) -> Self {
        self.readers = connections.clamp(1, MAXIMUM_READERS);
        self
    }

    /// The longest value the store takes, in bytes; at most, and by default, 16 MiB.
    pub fn maximum_value_bytes(mut self, bytes: u32) -> Self {
        self.maximum_value_bytes = bytes.min(MAXIMUM_VALUE_BYTES);
        self
    }

    /// Whether the store is opened to read: the file is there already, the right to read it and its directory will do, nothing in it
    /// is changed, and every write answers [`StoreError::Other`]. Default: no.
    ///
    /// Where SQLite cannot make the files that it shares with other processes (`-shm`), and there is no log (`-wal`), the file is
    /// read as one that does not change. A service that begins to write to it meanwhile is not seen; open it again.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Opens the file, or makes it, readable by its owner only (mode 0600), in a directory that exists.
    ///
    /// # Errors
    ///
    /// [`SqliteStoreError`] says what is wrong with the file. That of another application or of a newer Tessera
    /// is left as it is.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, SqliteStoreError> {
        let queue = Arc::new(Queue::default());
        if self.read_only {
            let database = Database::find(path.as_ref())?;
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
        let database = Database::locate(path.as_ref())?;
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

/// A store in one SQLite file: for one machine. Other processes may use the same file at the same time.
///
/// Reads answer at the first poll. Writes go to one thread, which puts all that wait into one transaction and answers
/// when it is committed; [`Durability`] says what that is worth. No runtime is needed.
/// At most 4096 writes or 64 MiB of values wait; more answer [`StoreError::Throttled`].
///
/// A clone is the same store. When the last is dropped, what waits is written and the file closed;
/// that blocks the thread for as long as it takes, as [`close`](Self::close) does. A killed process loses nothing
/// acknowledged.
///
/// Limits: keys and owners of 512 bytes, values of 16 MiB. An entry whose `expires_at` is after its `ends_at` expires
/// at `ends_at`. [`Store::list_owned`] brings values along up to about 1 MiB a page.
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

    /// Settings to change before the file is opened.
    pub fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder::default()
    }

    /// Removes what expired [`SWEEP_GRACE`] before `now`, and answers how many entries that were.
    /// 500 at a time; other writes go in between.
    ///
    /// # Errors
    ///
    /// As a write's. Some may have been removed.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let before = now.saturating_sub(SWEEP_GRACE);
        let mut swept = 0;
        loop {
            // A batch is at most 500, which fits.
            let batch = self.write(Write::Sweep { before }).await? as usize;
            swept += batch;
            if batch < statements::SWEEP_BATCH {
                return Ok(swept);
            }
        }
    }

    /// How many entries the file holds, expired ones that are not swept yet included.
    /// Blocks while it counts: some milliseconds for a million.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the file cannot be read or the store is closed.
    pub fn len(&self) -> Result<u64, StoreError> {
        self.shared
            .readers
            .ask(|connection| statements::count(connection, None))
    }

    /// Whether the file holds no entry at all.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        self.len().map(|entries| entries == 0)
    }

    /// How many entries are live at `now`. Blocks as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn count_live(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.shared
            .readers
            .ask(|connection| statements::count(connection, Some(now)))
    }

    /// Lists live entries of all owners and of none, for an operator: at most `limit` (1 to 100) from `cursor` on;
    /// the empty cursor starts. An entry that is there throughout a walk is listed exactly once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Other`] for a limit or cursor that is none, otherwise as [`len`](Self::len).
    pub fn list_all(&self, now: Timestamp, cursor: &str, limit: u32) -> Result<Listing, StoreError> {
        let after = parse_cursor(cursor)?;
        check_limit(limit)?;
        self.shared
            .readers
            .ask(|connection| statements::list_all(connection, now, after, limit))
    }

    /// Writes an entry as another store has it, with its version, its guard and its moments: where no live entry is at `now`, or over
    /// the version `over`. Over an entry its expiry never moves earlier.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if a live entry of another version is there, otherwise as [`Store::insert`].
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

    /// Does the writes that wait, moves the log into the database and closes the file. Blocks until that is done.
    /// Afterwards every call answers [`StoreError::Unavailable`]. Closing twice is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the log could not be moved. Nothing is lost: the next opening does it.
    pub fn close(&self) -> Result<(), StoreError> {
        self.shared.close()
    }

    /// Hands a write to the writer and waits for its answer.
    async fn write(&self, write: Write) -> Result<u64, StoreError> {
        if self.shared.read_only {
            return Err(opened_to_read());
        }
        let answer = self.shared.queue.push(write)?;
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::OutcomeUnknown(Cause::new("the writer is gone"))))
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
            // What is wrong with one entry stands in its place, what is wrong with the file answers for all.
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
        // At most BATCH_LIMIT, which fits.
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
        // Before the writer, so that the writer's connection is the last, which removes the log.
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
