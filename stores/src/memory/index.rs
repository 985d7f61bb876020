//! The keys of each owner, in the order of their assignment.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

const SHARDS: usize = 64;

/// Each owner's lines: place and key.
type Owners = HashMap<Arc<str>, BTreeMap<u64, Arc<str>>>;

/// The owners' index. A line is `(place, key)`. No place is used twice, so that a walk in the order of places visits every line
/// that stays, despite concurrent changes.
#[derive(Debug)]
pub(super) struct OwnerIndex {
    hasher: RandomState,
    shards: Box<[Mutex<Owners>]>,
}

impl OwnerIndex {
    pub(super) fn new() -> Self {
        let hasher = RandomState::new();
        let shards = (0..SHARDS)
            .map(|_| Mutex::new(HashMap::with_hasher(hasher.clone())))
            .collect();
        Self { hasher, shards }
    }

    /// Adds a line.
    pub(super) fn enter(&self, owner: &Arc<str>, place: u64, key: &Arc<str>) {
        self.with(owner, |owners| {
            owners
                .entry(Arc::clone(owner))
                .or_default()
                .insert(place, Arc::clone(key));
        });
    }

    /// Removes a line, and the owner with its last line.
    pub(super) fn leave(&self, owner: &str, place: u64) {
        self.with(owner, |owners| {
            if let Some(keys) = owners.get_mut(owner) {
                keys.remove(&place);
                if keys.is_empty() {
                    owners.remove(owner);
                }
            }
        });
    }

    /// At most `limit` lines after the place `after`.
    pub(super) fn page(&self, owner: &str, after: Option<u64>, limit: usize) -> Vec<(u64, Arc<str>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.with(owner, |owners| {
            let keys = owners
                .get(owner)
                .into_iter()
                .flat_map(|keys| keys.range((from, Bound::Unbounded)));
            keys.take(limit)
                .map(|(place, key)| (*place, Arc::clone(key)))
                .collect()
        })
    }

    /// The number of all lines.
    #[cfg(test)]
    pub(super) fn lines(&self) -> usize {
        let lines = |shard: &Mutex<Owners>| {
            shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .map(BTreeMap::len)
                .sum::<usize>()
        };
        self.shards.iter().map(lines).sum()
    }

    fn with<T>(&self, owner: &str, work: impl FnOnce(&mut Owners) -> T) -> T {
        let hash = self.hasher.hash_one(owner);
        // The map uses the low bits, so the shard is chosen by others.
        let shard = &self.shards[(hash >> 40) as usize % SHARDS];
        work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
