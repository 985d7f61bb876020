//! One part of the records: a map by key, and the keys in the order of their expiry.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use crate::Entry;
use tessera_contract::Timestamp;

/// An entry with its owner and its moments.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) value: Arc<str>,
    pub(super) version: u64,
    pub(super) guard: u64,
    pub(super) owner: Option<Owned>,
    pub(super) touched_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) ends_at: Timestamp,
}

/// The line of an owner's index that lists a record.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) owner: Arc<str>,
    pub(super) place: u64,
}

impl Record {
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at > now
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_ref().map(|owned| &*owned.owner)
    }

    pub(super) fn is_of(&self, owner: &str) -> bool {
        self.owner() == Some(owner)
    }

    pub(super) fn entry(&self) -> Entry {
        Entry {
            value: Arc::clone(&self.value),
            version: self.version,
            guard: self.guard,
            expires_at: self.expires_at,
        }
    }
}

/// Invariant: `by_expiry` has exactly one line for each record.
#[derive(Debug, Default)]
pub(super) struct Shard {
    records: HashMap<HashedKey, Record, BuildHasherDefault<KnownHash>>,
    by_expiry: BTreeSet<(Timestamp, Arc<str>)>,
}

impl Shard {
    pub(super) fn get(&self, hash: u64, key: &str) -> Option<&Record> {
        self.records.get(&(hash, key) as &dyn Hashed)
    }

    /// Stores a record under its key, and returns the previous one.
    pub(super) fn put(&mut self, hash: u64, key: &Arc<str>, record: Record) -> Option<Record> {
        self.by_expiry.insert((record.expires_at, Arc::clone(key)));
        let expires_at = record.expires_at;
        let old = self.records.insert(
            HashedKey {
                hash,
                key: Arc::clone(key),
            },
            record,
        );
        if let Some(old) = &old
            && old.expires_at != expires_at
        {
            self.by_expiry.remove(&(old.expires_at, Arc::clone(key)));
        }
        old
    }

    /// Moves the expiry of a record later, and updates `touched_at`; an earlier expiry changes nothing.
    /// Returns whether a live record exists.
    pub(super) fn touch(&mut self, hash: u64, key: &str, now: Timestamp, expires_at: Timestamp) -> bool {
        let Some((stored, record)) = self.records.get_key_value(&(hash, key) as &dyn Hashed) else {
            return false;
        };
        if !record.is_live(now) {
            return false;
        }
        let (old, new) = (record.expires_at, expires_at.min(record.ends_at));
        if new < old {
            return true;
        }
        if new > old {
            let key = Arc::clone(&stored.key);
            self.by_expiry.remove(&(old, Arc::clone(&key)));
            self.by_expiry.insert((new, key));
        }
        if let Some(record) = self.records.get_mut(&(hash, key) as &dyn Hashed) {
            record.expires_at = new;
            record.touched_at = record.touched_at.max(now);
        }
        true
    }

    pub(super) fn remove(&mut self, hash: u64, key: &str) -> Option<Record> {
        let (stored, record) = self.records.remove_entry(&(hash, key) as &dyn Hashed)?;
        self.by_expiry.remove(&(record.expires_at, stored.key));
        Some(record)
    }

    /// The expiry and the key of the record that expires first.
    pub(super) fn soonest(&self) -> Option<(Timestamp, &Arc<str>)> {
        self.by_expiry.first().map(|(expires_at, key)| (*expires_at, key))
    }

    pub(super) fn count_live(&self, now: Timestamp) -> usize {
        let expired = self
            .by_expiry
            .iter()
            .take_while(|(expires_at, _)| *expires_at <= now)
            .count();
        self.records.len() - expired
    }
}

/// A key with its hash. The hash has a random seed, is computed once, and chooses the shard and the place in the map.
#[derive(Debug)]
struct HashedKey {
    hash: u64,
    key: Arc<str>,
}

/// The common view of a key in the map and of a borrowed one, for a lookup without an allocation.
trait Hashed {
    fn parts(&self) -> (u64, &str);
}

impl Hashed for HashedKey {
    fn parts(&self) -> (u64, &str) {
        (self.hash, &self.key)
    }
}

impl Hashed for (u64, &str) {
    fn parts(&self) -> (u64, &str) {
        *self
    }
}

impl Hash for dyn Hashed + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.parts().0);
    }
}

impl PartialEq for dyn Hashed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Hashed + '_ {}

impl<'a> Borrow<dyn Hashed + 'a> for HashedKey {
    fn borrow(&self) -> &(dyn Hashed + 'a) {
        self
    }
}

impl Hash for HashedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self as &dyn Hashed).hash(state);
    }
}

impl PartialEq for HashedKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for HashedKey {}

/// A hasher that returns a precomputed hash.
#[derive(Debug, Default)]
struct KnownHash(u64);

impl Hasher for KnownHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached, because keys hash by `write_u64` only. Still a valid hash.
        for byte in bytes {
            self.0 = self.0.rotate_left(5) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
