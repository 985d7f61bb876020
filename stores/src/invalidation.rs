//! Notifications of writes, by any process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::task::JoinHandle;

use super::StoreService;

/// The number of places that keys are hashed to. It is large enough that a write invalidates few other keys, and small enough
/// that a place, which other users of the database may receive, discloses no key.
const PLACES: usize = 1 << 16;

/// A store that notifies of every write to it.
pub trait InvalidationSource: StoreService {
    /// Advances `clock` at every change of an existing entry, by any process, until the subscription is dropped.
    /// `None`: the store has no notifications.
    ///
    /// Needs a tokio runtime. A notification arrives shortly after its change.
    /// While the connection is broken, none arrives; once it is restored, [`InvalidationClock::advance_all`] is called.
    fn subscribe(&self, clock: Arc<InvalidationClock>) -> Option<Subscription>;
}

/// Ends the notifications when it is dropped.
pub struct Subscription(JoinHandle<()>);

impl Subscription {
    #[cfg(any(feature = "redis", feature = "sql"))]
    pub(super) fn new(task: JoinHandle<()>) -> Self {
        Self(task)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// Counts invalidations: for each place of keys the announced writes, by any process, and in total the times at which
/// notifications may have been lost.
pub struct InvalidationClock {
    missed: AtomicU64,
    places: Box<[AtomicU32]>,
}

/// The count for a key at a moment. Two equal epochs mean that nothing was written in between.
#[cfg(feature = "cache")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    missed: u64,
    written: u32,
}

impl Default for InvalidationClock {
    fn default() -> Self {
        Self {
            missed: AtomicU64::new(0),
            places: (0..PLACES).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

impl fmt::Debug for InvalidationClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidationClock").finish_non_exhaustive()
    }
}

impl InvalidationClock {
    /// The place of a key, which is the same in all processes.
    pub fn place(key: &str) -> u16 {
        // FNV-1a, folded: http://www.isthe.com/chongo/tech/comp/fnv/
        let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        (hash >> 16) as u16 ^ (hash & 0xffff) as u16
    }

    /// Records a write to a key of this place.
    pub fn advance(&self, place: u16) {
        self.places[usize::from(place)].fetch_add(1, Ordering::AcqRel);
    }

    /// Records that unknown keys may have been written: every cached entry is stale.
    pub fn advance_all(&self) {
        self.missed.fetch_add(1, Ordering::AcqRel);
    }

    #[cfg(feature = "cache")]
    pub(super) fn epoch(&self, key: &str) -> Epoch {
        Epoch {
            missed: self.missed.load(Ordering::Acquire),
            written: self.places[usize::from(Self::place(key))].load(Ordering::Acquire),
        }
    }
}

#[cfg(all(test, feature = "cache"))]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_changes_with_its_place_and_with_whatever_was_missed_and_with_nothing_else() {
        let clock = InvalidationClock::default();
        let (a, b) = (clock.epoch("a"), clock.epoch("b"));
        assert_ne!(InvalidationClock::place("a"), InvalidationClock::place("b"));
        clock.advance(InvalidationClock::place("a"));
        assert_ne!(clock.epoch("a"), a);
        assert_eq!(clock.epoch("b"), b);
        clock.advance_all();
        assert_ne!(clock.epoch("b"), b);
    }

    #[test]
    fn the_place_of_a_key_is_the_same_in_every_process() {
        // FNV-1a of "foobar" is bf9cf968.
        assert_eq!(InvalidationClock::place("foobar"), 0xbf9c ^ 0xf968);
    }
}
