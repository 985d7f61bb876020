//! The state that all clones of a [`MemoryStore`](super::MemoryStore) share.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::eviction::Eviction;
use super::index::OwnerIndex;
use super::shard::{Owned, Record, Shard};
use crate::{Condition, Deletion, Entry, Expected, Page, Placement, Row, SWEEP_GRACE, StoreError};
use tessera_contract::Timestamp;

const SHARDS: usize = 64;
/// The number of records that are swept under one lock.
const SWEEP_BATCH: usize = 256;
/// The number of index lines that one page scans at most, so that many expired ones do not slow it down.
const PAGE_SCAN: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) capacity: usize,
    pub(super) eviction: Eviction,
    pub(super) value_bytes: u32,
}

/// Lock order: a shard of records, then a shard of the index; never two of one kind.
/// The index changes only under the lock of the record's shard, so that every visible record is listed.
#[derive(Debug)]
pub(super) struct Shared {
    limits: Limits,
    hasher: RandomState,
    shards: Box<[OneCacheLine]>,
    index: OwnerIndex,
    /// The number of records, including reserved slots; never more than the capacity.
    held: AtomicUsize,
    evicted: AtomicU64,
    /// The next version or place in the index: counted up from a random start, so that no number occurs twice.
    next: AtomicU64,
}

/// Aligned so that the locks of two shards do not share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OneCacheLine(Mutex<Shard>);

/// Reserved space for one record. Released when dropped.
struct Slot<'a>(&'a Shared);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot<'_> {
    /// Passes the space to a record, which releases it when it is removed.
    fn taken(self) {
        std::mem::forget(self);
    }
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        let hasher = RandomState::new();
        // At most 2^63, so that 2^63 numbers follow without a wrap: places in the index only rise.
        let start = RandomState::new().hash_one(0_u8) >> 1;
        Self {
            limits,
            shards: (0..SHARDS).map(|_| OneCacheLine::default()).collect(),
            hasher,
            index: OwnerIndex::new(),
            held: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            next: AtomicU64::new(start),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(super) fn maximum_value_bytes(&self) -> u32 {
        self.limits.value_bytes
    }

    pub(super) fn get(&self, now: Timestamp, key: &str) -> Result<Entry, StoreError> {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        match shard.get(hash, key) {
            Some(record) if record.is_live(now) => Ok(record.entry()),
            _ => Err(StoreError::Missing),
        }
    }

    pub(super) fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        let (hash, key, value) = (self.hash(key), Arc::from(key), Arc::from(value));
        let mut slot = None;
        loop {
            let mut shard = self.shard(hash);
            let old = shard.get(hash, &key);
            if old.is_some_and(|old| old.is_live(now)) {
                return Err(StoreError::Stale);
            }
            // An expired record passes its space to the new one.
            if old.is_none() && slot.is_none() {
                slot = self.free_slot();
                if slot.is_none() {
                    // Making room locks other shards, and two shards are never locked at once.
                    drop(shard);
                    slot = Some(self.make_room(now)?);
                    continue;
                }
            }
            let needs_slot = old.is_none();
            let version = self.write(&mut shard, hash, &key, Arc::clone(&value), now, at);
            if needs_slot && let Some(slot) = slot {
                slot.taken();
            }
            return Ok(version);
        }
    }

    pub(super) fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        // Copied before the lock: values can be megabytes.
        let (hash, key, value) = (self.hash(key), Arc::from(key), Arc::from(value));
        let mut shard = self.shard(hash);
        match shard.get(hash, &key) {
            Some(record) if record.is_live(now) && expected.is_met(record.version, record.guard) => {}
            Some(record) if record.is_live(now) => return Err(StoreError::Stale),
            _ => return Err(StoreError::Missing),
        }
        Ok(self.write(&mut shard, hash, &key, value, now, at))
    }

    pub(super) fn touch(&self, now: Timestamp, key: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        let hash = self.hash(key);
        if self.shard(hash).touch(hash, key, now, expires_at) {
            Ok(())
        } else {
            Err(StoreError::Missing)
        }
    }

    /// Deletes a record that meets the condition, and returns whether it was live. An expired record is deleted as well.
    pub(super) fn delete(
        &self,
        now: Timestamp,
        key: &str,
        condition: &Condition,
    ) -> Result<bool, StoreError> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let Some(record) = shard.get(hash, key) else {
            return Ok(false);
        };
        let was_live = record.is_live(now);
        if condition.is_met(record.owner(), record.guard) {
            self.remove(&mut shard, hash, key);
        } else if was_live {
            return Err(StoreError::Stale);
        }
        Ok(was_live)
    }

    /// Deletes a record of this owner, if it has the guard that the deletion may name. Returns whether it was live.
    pub(super) fn delete_of(&self, now: Timestamp, deletion: &Deletion, owner: &str) -> bool {
        let Deletion { key, guard } = deletion;
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let is_doomed =
            |record: &Record| record.is_of(owner) && guard.is_none_or(|guard| guard == record.guard);
        if !shard.get(hash, key).is_some_and(is_doomed) {
            return false;
        }
        self.remove(&mut shard, hash, key)
            .is_some_and(|record| record.is_live(now))
    }

    pub(super) fn list_owned(&self, now: Timestamp, owner: &str, after: Option<u64>, limit: usize) -> Page {
        let mut page = Page::default();
        let mut after = after;
        let mut scanned = 0;
        while scanned < PAGE_SCAN {
            let wanted = limit - page.rows.len();
            let lines = self.index.page(owner, after, wanted);
            scanned += lines.len();
            let is_last = lines.len() < wanted;
            after = lines.last().map_or(after, |(place, _)| Some(*place));
            page.rows
                .extend(lines.iter().filter_map(|(_, key)| self.row(now, owner, key)));
            if is_last {
                return page;
            }
            if page.rows.len() == limit {
                break;
            }
        }
        page.next = after.map(|place| place.to_string());
        page
    }

    pub(super) fn sweep(&self, now: Timestamp) -> usize {
        let before = now.saturating_sub(SWEEP_GRACE);
        let mut swept = 0;
        for shard in &self.shards {
            loop {
                let batch = self.sweep_batch(&mut lock(shard), before);
                swept += batch;
                if batch < SWEEP_BATCH {
                    break;
                }
            }
        }
        swept
    }

    pub(super) fn count_live(&self, now: Timestamp) -> usize {
        self.shards.iter().map(|shard| lock(shard).count_live(now)).sum()
    }

    fn sweep_batch(&self, shard: &mut Shard, before: Timestamp) -> usize {
        for swept in 0..SWEEP_BATCH {
            match shard.soonest() {
                Some((expires_at, key)) if expires_at <= before => {
                    let key = Arc::clone(key);
                    self.remove(shard, self.hash(&key), &key);
                }
                _ => return swept,
            }
        }
        SWEEP_BATCH
    }

    /// Writes a record. Order: the entry in the new owner's index, the record, the removal from the old owner's index.
    fn write(
        &self,
        shard: &mut Shard,
        hash: u64,
        key: &Arc<str>,
        value: Arc<str>,
        now: Timestamp,
        at: &Placement,
    ) -> u64 {
        let old = shard.get(hash, key);
        let kept = old.filter(|old| old.is_live(now)).map(|old| old.guard);
        let guard = at.guard.or(kept).unwrap_or(0);
        let previous = old.and_then(|old| old.owner.clone());
        let owner = match (&at.owner, &previous) {
            // The same owner keeps its place, so that a walk in progress does not miss the record.
            (Some(owner), Some(previous)) if **owner == *previous.owner => Some(previous.clone()),
            (Some(owner), _) => {
                let owned = Owned {
                    owner: Arc::from(owner.as_str()),
                    place: self.number(),
                };
                self.index.enter(&owned.owner, owned.place, key);
                Some(owned)
            }
            (None, _) => None,
        };
        let place = owner.as_ref().map(|owned| owned.place);
        let version = self.number();
        let record = Record {
            value,
            version,
            guard,
            owner,
            touched_at: now,
            expires_at: at.expires_at.min(at.ends_at),
            ends_at: at.ends_at,
        };
        shard.put(hash, key, record);
        if let Some(previous) = previous.filter(|previous| Some(previous.place) != place) {
            self.index.leave(&previous.owner, previous.place);
        }
        version
    }

    fn remove(&self, shard: &mut Shard, hash: u64, key: &str) -> Option<Record> {
        let record = shard.remove(hash, key)?;
        if let Some(owned) = &record.owner {
            self.index.leave(&owned.owner, owned.place);
        }
        self.held.fetch_sub(1, Ordering::Relaxed);
        Some(record)
    }

    fn row(&self, now: Timestamp, owner: &str, key: &str) -> Option<Row> {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let record = shard
            .get(hash, key)
            .filter(|record| record.is_live(now) && record.is_of(owner))?;
        Some(Row {
            key: key.to_owned(),
            version: record.version,
            guard: record.guard,
            touched_at: record.touched_at,
            expires_at: record.expires_at,
            value: Some(Arc::clone(&record.value)),
        })
    }

    /// Reserves space for one record if there is any.
    fn free_slot(&self) -> Option<Slot<'_>> {
        let more = |held| {
            if held < self.limits.capacity {
                Some(held + 1)
            } else {
                None
            }
        };
        self.held
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Slot(self))
    }

    /// Removes the record that expires soonest, if it has expired or the eviction policy allows it, and takes its space.
    fn make_room(&self, now: Timestamp) -> Result<Slot<'_>, StoreError> {
        // Other threads may remove the chosen record first; that this happens in every attempt means overload.
        for _ in 0..SHARDS {
            if let Some(slot) = self.free_slot() {
                return Ok(slot);
            }
            let soonest = |shard: &OneCacheLine| lock(shard).soonest().map(|(expires_at, _)| expires_at);
            let Some((expires_at, chosen)) = self
                .shards
                .iter()
                .filter_map(|shard| Some((soonest(shard)?, shard)))
                .min_by_key(|found| found.0)
            else {
                // No records and no space: the capacity is 0, or reserved by inserts in progress.
                return Err(StoreError::Full);
            };
            if expires_at > now && self.limits.eviction == Eviction::Refuse {
                return Err(StoreError::Full);
            }
            let mut shard = lock(chosen);
            let Some((found, key)) = shard.soonest() else {
                continue;
            };
            if found != expires_at {
                continue;
            }
            let key = Arc::clone(key);
            self.remove(&mut shard, self.hash(&key), &key);
            if expires_at > now {
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.free_slot().ok_or(StoreError::Full)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The map uses the low bits and the top seven, so the shard is chosen by others.
        lock(&self.shards[(hash >> 40) as usize % SHARDS])
    }
}

/// Locks a shard. A panic under a lock leaves the store usable: at worst an index has an extra line.
fn lock(shard: &OneCacheLine) -> MutexGuard<'_, Shard> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_has_one_line_for_each_record_with_an_owner_and_no_other() -> Result<(), StoreError> {
        let limits = Limits {
            capacity: 2,
            eviction: Eviction::SoonestExpiry,
            value_bytes: 10,
        };
        let store = Shared::new(limits);
        let at = |owner: Option<&str>, expires_at: u64| Placement {
            owner: owner.map(str::to_owned),
            previous_owner: None,
            guard: None,
            expires_at: Timestamp::from_millis(expires_at),
            ends_at: Timestamp::from_millis(u64::MAX),
        };
        let now = Timestamp::from_millis(0);
        let mut version = store.insert(now, "key", "1", &at(Some("a"), 10))?;
        for (owner, lines) in [(Some("a"), 1), (Some("b"), 1), (None, 0), (Some("a"), 1)] {
            version = store.replace(now, "key", "1", Expected::Version(version), &at(owner, 10))?;
            assert_eq!(store.index.lines(), lines);
        }
        store.insert(Timestamp::from_millis(10), "key", "1", &at(Some("heir"), 20))?;
        assert_eq!(store.index.lines(), 1);
        store.insert(now, "second", "1", &at(Some("a"), 30))?;
        store.insert(now, "evicts the first", "1", &at(Some("a"), 40))?;
        assert_eq!((store.index.lines(), store.held()), (2, 2));
        let second = Deletion {
            key: "second".into(),
            guard: None,
        };
        assert!(store.delete_of(now, &second, "a"));
        assert_eq!(store.sweep(Timestamp::from_millis(u64::MAX)), 1);
        assert_eq!((store.index.lines(), store.held()), (0, 0));
        Ok(())
    }
}
