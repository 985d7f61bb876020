//! A clock that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tessera::{Clock, Timestamp};

/// A clock that stands still until it is set, for tests of expiry. A clone is the same clock.
#[derive(Clone, Debug)]
pub struct SetClock(Arc<AtomicU64>);

impl SetClock {
    /// A clock that shows this time, in milliseconds since 1970.
    pub fn new(milliseconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(milliseconds)))
    }

    /// The time in milliseconds since 1970.
    pub fn milliseconds(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Sets the time, in milliseconds since 1970.
    pub fn set(&self, milliseconds: u64) {
        self.0.store(milliseconds, Ordering::SeqCst);
    }

    /// Lets this many milliseconds pass.
    pub fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.milliseconds())
    }
}
