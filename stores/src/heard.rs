//! What stores tell of writes by other processes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::task::JoinHandle;

use super::StoreService;

/// In how many places keys are put: enough that a write makes few others be asked for again, and so few that a place,
/// which others may hear of, gives no key away.
const PLACES: usize = 1 << 16;

/// A store that tells when anybody writes to it.
pub trait Announce: StoreService {
    /// Begins to tell `heard` of every change of an entry that was there, whoever makes it, and goes on until the
    /// answer is dropped. `None`: this store cannot tell.
    ///
    /// Needs a tokio runtime. A change is told a moment after it was made; while the way to the store is broken, nothing is
    /// told, and once it is whole again, that something was missed.
    fn announce(&self, heard: Arc<Heard>) -> Option<Listening>;
}

/// Ends the telling when it is dropped.
pub struct Listening(JoinHandle<()>);

impl Listening {
    #[cfg(any(feature = "redis", feature = "sql"))]
    pub(super) fn new(task: JoinHandle<()>) -> Self {
        Self(task)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

/// What was heard: for each place, how often something of it was written, and how often it is unknown what was.
pub struct Heard {
    missed: AtomicU64,
    places: Box<[AtomicU32]>,
}

/// What had been heard of a key at a moment. Two that are equal: nothing since.
#[cfg(feature = "cache")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    missed: u64,
    written: u32,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            missed: AtomicU64::new(0),
            places: (0..PLACES).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").finish_non_exhaustive()
    }
}

impl Heard {
    /// The place of a key: all processes agree on it.
    pub fn place(key: &str) -> u16 {
        // FNV-1a, folded: http://www.isthe.com/chongo/tech/comp/fnv/
        let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        (hash >> 16) as u16 ^ (hash & 0xffff) as u16
    }

    /// Something in this place was written.
    pub fn written(&self, place: u16) {
        self.places[usize::from(place)].fetch_add(1, Ordering::AcqRel);
    }

    /// It is not known what was written.
    pub fn missed(&self) {
        self.missed.fetch_add(1, Ordering::AcqRel);
    }

    #[cfg(feature = "cache")]
    pub(super) fn stamp(&self, key: &str) -> Stamp {
        Stamp {
            missed: self.missed.load(Ordering::Acquire),
            written: self.places[usize::from(Self::place(key))].load(Ordering::Acquire),
        }
    }
}

#[cfg(all(test, feature = "cache"))]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_with_its_place_and_with_whatever_was_missed_and_with_nothing_else() {
        let heard = Heard::default();
        let (a, b) = (heard.stamp("a"), heard.stamp("b"));
        assert_ne!(Heard::place("a"), Heard::place("b"));
        heard.written(Heard::place("a"));
        assert_ne!(heard.stamp("a"), a);
        assert_eq!(heard.stamp("b"), b);
        heard.missed();
        assert_ne!(heard.stamp("b"), b);
    }

    #[test]
    fn the_place_of_a_key_is_the_same_in_every_process() {
        // FNV-1a of "foobar" is bf9cf968.
        assert_eq!(Heard::place("foobar"), 0xbf9c ^ 0xf968);
    }
}
