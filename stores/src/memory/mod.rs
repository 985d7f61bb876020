//! A store in the memory of the process.

use std::sync::Arc;
use std::time::Duration;

use super::{
    BATCH_LIMIT, Capabilities, Cause, Condition, Deletion, Entry, Expected, Page, Placement, Store,
    StoreError,
};
use tessera_contract::Timestamp;
use tessera_contract::store::check_batch;

mod eviction;
mod index;
#[cfg(feature = "connections")]
mod mailbox;
mod shard;
mod shared;
mod sweeper;

pub use eviction::Eviction;
#[cfg(feature = "connections")]
pub use mailbox::MemoryMailbox;
use shared::{Limits, Shared};
use sweeper::Sweeper;

/// The maximum length of a key in a [`MemoryStore`].
const MAXIMUM_KEY_BYTES: u32 = 512;
/// The maximum length of an owner in a [`MemoryStore`].
const MAXIMUM_OWNER_BYTES: u32 = 512;
/// The maximum length of a value in a [`MemoryStore`].
const MAXIMUM_VALUE_BYTES: u32 = 16 * 1024 * 1024;
const DEFAULT_CAPACITY: usize = 1_000_000;
const DEFAULT_SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Settings of a [`MemoryStore`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct MemoryStoreBuilder {
    limits: Limits,
    sweep_interval: Duration,
}

impl Default for MemoryStoreBuilder {
    fn default() -> Self {
        Self {
            limits: Limits {
                capacity: DEFAULT_CAPACITY,
                eviction: Eviction::default(),
                value_bytes: MAXIMUM_VALUE_BYTES,
            },
            sweep_interval: DEFAULT_SWEEP_INTERVAL,
        }
    }
}

impl MemoryStoreBuilder {
    /// Sets the maximum number of entries, including expired ones that are not swept yet. Default: 1,000,000.
    ///
    /// The limit is exact, regardless of the number of threads that insert concurrently.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.limits.capacity = entries;
        self
    }

    /// Sets what an insert beyond the capacity does. Default: [`Eviction::Refuse`].
    pub fn eviction(mut self, eviction: Eviction) -> Self {
        self.limits.eviction = eviction;
        self
    }

    /// Sets the maximum length of a value in bytes; at most, and by default, 16 MiB.
    pub fn maximum_value_bytes(mut self, bytes: u32) -> Self {
        self.limits.value_bytes = bytes.min(MAXIMUM_VALUE_BYTES);
        self
    }

    /// Sets the interval at which a thread of the store removes the entries that expired
    /// [`SWEEP_GRACE`](super::SWEEP_GRACE) ago. Default: 60 seconds. `Duration::ZERO`: never, and no thread is started.
    ///
    /// The thread uses the machine's clock. If the `now` of your calls comes from another clock,
    /// choose `Duration::ZERO` and call [`MemoryStore::sweep`].
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// Creates the store. If the sweeper's thread cannot be started, the store logs a warning and works without it.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        let shared = Arc::new(Shared::new(self.limits));
        let sweeper = Sweeper::start(self.sweep_interval, &shared);
        MemoryStore {
            shared,
            _sweeper: sweeper.map(Arc::new),
        }
    }
}

/// A store in the memory of the process: for one process, for tests, and for sessions that may end with a restart.
///
/// Every call completes at the first poll and needs no runtime.
/// A clone is the same store; the sweeper ends when the last clone is dropped.
///
/// Limits: keys and owners of 512 bytes, values of 16 MiB, and 1,000,000 entries unless
/// [set otherwise](MemoryStoreBuilder::capacity).
///
/// An entry whose `expires_at` is after its `ends_at` expires at `ends_at`.
///
/// ```
/// use tessera_stores::{Eviction, MemoryStore};
///
/// let store = MemoryStore::builder().capacity(10_000).eviction(Eviction::SoonestExpiry).build();
/// assert!(store.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    _sweeper: Option<Arc<Sweeper>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Creates a store with the builder's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    /// Removes the entries that expired [`SWEEP_GRACE`](super::SWEEP_GRACE) before `now`, and returns their number.
    ///
    /// Locks one part of the store at a time, and each part for at most 256 entries.
    pub fn sweep(&self, now: Timestamp) -> usize {
        self.shared.sweep(now)
    }

    /// The number of entries, including expired ones that are not swept yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.held()
    }

    /// Whether the store has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of entries that are live at `now`. Iterates over the expired entries that are not swept yet.
    #[must_use]
    pub fn count_live(&self, now: Timestamp) -> usize {
        self.shared.count_live(now)
    }

    /// The number of live entries that [`Eviction::SoonestExpiry`] has removed since the store was created.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.shared.evicted()
    }
}

impl Store for MemoryStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            // The only server is this process, and the entries end with it.
            acknowledged_writes_survive_failover: false,
            maximum_staleness: Duration::ZERO,
            index_staleness: Duration::ZERO,
            minimum_ttl: Duration::ZERO,
            expiry_resolution: Duration::from_millis(1),
            minimum_write_interval: Duration::ZERO,
            maximum_key_bytes: MAXIMUM_KEY_BYTES,
            maximum_owner_bytes: MAXIMUM_OWNER_BYTES,
            maximum_value_bytes: self.shared.maximum_value_bytes(),
        }
    }

    async fn get(&self, now: Timestamp, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        self.shared.get(now, key)
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        Ok(keys.iter().map(|key| self.shared.get(now, key)).collect())
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check_sizes(key, value, at)?;
        self.shared.insert(now, key, value, at)
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
        self.shared.replace(now, key, value, expected, at)
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        _owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.shared.touch(now, key, expires_at)
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        self.shared.delete(now, key, condition)
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        check_batch(deletions)?;
        // The sum is at most BATCH_LIMIT.
        Ok(deletions
            .iter()
            .map(|deletion| u32::from(self.shared.delete_of(now, deletion, owner)))
            .sum())
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if !(1..=BATCH_LIMIT).contains(&limit) {
            return Err(StoreError::Other(Cause::new("a page has 1 to 100 rows")));
        }
        let after = match cursor {
            "" => None,
            text => Some(text.parse::<u64>().map_err(|_| StoreError::MalformedCursor)?),
        };
        Ok(self.shared.list_owned(now, owner, after, limit))
    }
}
