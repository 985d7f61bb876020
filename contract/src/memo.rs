//! A cache of values by token, bounded by entries and bytes.
//!
//! Many valid tokens only evict each other. Tokens are looked up by a keyed hash, compared in constant time, and wiped from
//! memory when they are dropped.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash as _, Hasher, RandomState};
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The number of shards, each with its own lock.
const SHARDS: usize = 16;
/// Approximate size of an entry without its token and the bytes that the caller states.
const ENTRY_BYTES: usize = 512;

struct Kept<T> {
    token: Zeroizing<Box<str>>,
    value: Arc<T>,
    bytes: usize,
}

/// Passes through a key that already is a keyed hash.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        // Unused: keys are `u64`.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Whether two texts are equal. The time depends on their lengths alone; eight bytes are compared at a time.
fn is_same(one: &str, other: &str) -> bool {
    let (ones, others) = (one.as_bytes().as_chunks::<8>(), other.as_bytes().as_chunks::<8>());
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    let words = ones.0.iter().zip(others.0);
    let differs = words.fold(0, |differs, (one, other)| differs | (word(one) ^ word(other)));
    one.len() == other.len() && bool::from(black_box(differs).ct_eq(&0) & ones.1.ct_eq(others.1))
}

struct Shard<T> {
    kept: HashMap<u64, Kept<T>, BuildHasherDefault<Hashed>>,
    /// The hashes of the kept entries, the oldest first, and of some removed ones.
    order: VecDeque<u64>,
    bytes: usize,
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self {
            kept: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T> Shard<T> {
    fn remove(&mut self, hash: u64) {
        if let Some(gone) = self.kept.remove(&hash) {
            self.bytes -= gone.bytes;
        }
    }
}

/// A cache of values by token. The oldest entry is evicted first.
pub(crate) struct Memo<T> {
    shards: [Mutex<Shard<T>>; SHARDS],
    /// Initialised with a secret random key.
    hasher: DefaultHasher,
    maximum_entries: usize,
    maximum_bytes: usize,
}

impl<T> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

impl<T> Memo<T> {
    /// Creates a cache for approximately this many entries and bytes; 0 of either disables it.
    pub(crate) fn new(maximum_entries: usize, maximum_bytes: usize) -> Self {
        Self::with(maximum_entries, maximum_bytes, RandomState::new().build_hasher())
    }

    /// As [`new`](Self::new), with a random key for the hashes.
    ///
    /// For targets whose standard library has no random numbers, such as wasm32.
    pub(crate) fn keyed(maximum_entries: usize, maximum_bytes: usize, key: [u8; 16]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&key);
        Self::with(maximum_entries, maximum_bytes, hasher)
    }

    fn with(maximum_entries: usize, maximum_bytes: usize, hasher: DefaultHasher) -> Self {
        Self {
            shards: Default::default(),
            hasher,
            maximum_entries: maximum_entries.div_ceil(SHARDS),
            maximum_bytes: maximum_bytes / SHARDS,
        }
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<T>> {
        // A panic under the lock leaves complete entries; only their sum of bytes may be wrong.
        // A map uses the lowest bits for the bucket and the highest ones to distinguish its entries.
        // The shard depends on other bits.
        self.shards[(hash >> 32) as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the keyed hash of a token, which is valid in this cache alone.
    pub(crate) fn key(&self, token: &str) -> u64 {
        let mut hasher = self.hasher.clone();
        token.hash(&mut hasher);
        hasher.finish()
    }

    /// Returns the value of the token with this hash.
    pub(crate) fn get(&self, hash: u64, token: &str) -> Option<Arc<T>> {
        let shard = self.shard(hash);
        let kept = shard.kept.get(&hash)?;
        is_same(&kept.token, token).then(|| Arc::clone(&kept.value))
    }

    /// Stores a value of `bytes` bytes and replaces an earlier one of the token.
    pub(crate) fn put(&self, hash: u64, token: &str, value: Arc<T>, bytes: usize) {
        let bytes = bytes.saturating_add(token.len()).saturating_add(ENTRY_BYTES);
        if bytes > self.maximum_bytes || self.maximum_entries == 0 {
            return;
        }
        let shard = &mut *self.shard(hash);
        shard.remove(hash);
        while shard.bytes + bytes > self.maximum_bytes || shard.kept.len() >= self.maximum_entries {
            // Every counted entry is in the order.
            let Some(oldest) = shard.order.pop_front() else {
                return;
            };
            shard.remove(oldest);
        }
        if shard.order.len() > 2 * self.maximum_entries {
            let Shard { kept, order, .. } = shard;
            order.retain(|hash| kept.contains_key(hash));
        }
        shard.bytes += bytes;
        shard.order.push_back(hash);
        let token = Zeroizing::new(Box::from(token));
        shard.kept.insert(hash, Kept { token, value, bytes });
    }

    /// Replaces the stored value by one of `bytes` bytes, if `is_meant` accepts the stored one.
    pub(crate) fn replace(&self, hash: u64, value: Arc<T>, bytes: usize, is_meant: impl FnOnce(&T) -> bool) {
        let shard = &mut *self.shard(hash);
        let Some(kept) = shard.kept.get_mut(&hash).filter(|kept| is_meant(&kept.value)) else {
            return;
        };
        let bytes = bytes.saturating_add(kept.token.len()).saturating_add(ENTRY_BYTES);
        let others = shard.bytes - kept.bytes;
        if others.saturating_add(bytes) > self.maximum_bytes {
            shard.remove(hash);
            return;
        }
        shard.bytes = others + bytes;
        (kept.value, kept.bytes) = (value, bytes);
    }

    /// Drops the value with this hash.
    pub(crate) fn forget(&self, hash: u64) {
        self.shard(hash).remove(hash);
    }

    /// Drops all values.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_that_was_kept_is_known() {
        let memo = Memo::new(64, 1 << 20);
        let token = format!("ts1.key.{}.{}", "p".repeat(51), "m".repeat(43));
        let key = memo.key(&token);
        memo.put(key, &token, Arc::new(1), 10);
        assert_eq!(memo.get(key, &token).as_deref(), Some(&1));
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] ^= 1;
            let other = core::str::from_utf8(&other).unwrap();
            assert!(memo.get(memo.key(other), other).is_none(), "{at}");
            // Also if the hashes are equal.
            assert!(memo.get(key, other).is_none(), "{at}");
        }
        for other in [&token[1..], &token[..token.len() - 1], &format!("{token}m"), ""] {
            assert!(memo.get(key, other).is_none(), "{other}");
        }
        memo.put(key, &token, Arc::new(2), 10);
        assert_eq!(memo.get(key, &token).as_deref(), Some(&2));
        memo.forget(key);
        assert!(memo.get(key, &token).is_none());
        memo.put(key, &token, Arc::new(3), 10);
        memo.clear();
        assert!(memo.get(key, &token).is_none());
    }

    #[test]
    fn a_key_decides_the_hashes() {
        let key = |key: [u8; 16]| Memo::<()>::keyed(1, 1, key).key("token");
        assert_eq!(key([1; 16]), key([1; 16]));
        assert_ne!(key([1; 16]), key([2; 16]));
        assert_ne!(
            Memo::<()>::new(1, 1).key("token"),
            Memo::<()>::new(1, 1).key("token")
        );
    }

    #[test]
    fn entries_and_bytes_stay_within_their_bounds_whatever_comes() {
        for (entries, bytes) in [(160, 1 << 20), (1 << 20, 160_000), (0, 1 << 20), (160, 0)] {
            let memo = Memo::new(entries, bytes);
            for number in 0..4000_usize {
                let token = format!("token {}", number % 700);
                memo.put(memo.key(&token), &token, Arc::new(number), 97 * (number % 13));
                if number % 5 == 0 {
                    let hash = memo.key(&format!("token {}", number * 3 % 700));
                    memo.replace(hash, Arc::new(number), 211 * (number % 17), |kept| kept % 2 == 0);
                }
                if number % 3 == 0 {
                    memo.forget(memo.key(&format!("token {}", number * 7 % 700)));
                }
            }
            for shard in &memo.shards {
                let shard = shard.lock().unwrap();
                let held: usize = shard.kept.values().map(|kept| kept.bytes).sum();
                assert_eq!(held, shard.bytes);
                assert!(held <= memo.maximum_bytes && shard.kept.len() <= memo.maximum_entries);
                assert!(shard.order.len() <= 2 * memo.maximum_entries + 1);
            }
        }
        let memo = Memo::new(64, 1 << 20);
        memo.put(7, "too large", Arc::new(0), 1 << 20);
        assert!(memo.get(7, "too large").is_none());
    }
}
