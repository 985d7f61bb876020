//! The clock of a scenario.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tessera::{Clock, Timestamp};

/// A clock that the scenario sets.
#[derive(Clone)]
pub(crate) struct ScenarioClock(Arc<AtomicU64>);

impl ScenarioClock {
    pub(crate) fn new(milliseconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(milliseconds)))
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, milliseconds: u64) {
        self.0.store(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for ScenarioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.read())
    }
}
