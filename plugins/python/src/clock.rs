//! A clock that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use tessera::{Clock, Timestamp};

/// A clock that stands still until it is set, for tests of expiry.
#[pyclass(frozen, module = "tessera.testing", name = "Clock")]
pub(crate) struct ManualClock(Arc<AtomicU64>);

/// The engine's view of the clock.
pub(crate) struct Set(Arc<AtomicU64>);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl ManualClock {
    pub(crate) fn to_clock(&self) -> Set {
        Set(Arc::clone(&self.0))
    }
}

#[pymethods]
impl ManualClock {
    /// A clock that shows this time, in milliseconds since 1970.
    #[new]
    fn new(milliseconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(milliseconds)))
    }

    /// The time in milliseconds since 1970.
    #[getter]
    fn milliseconds(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Sets the time, in milliseconds since 1970.
    fn set(&self, milliseconds: u64) {
        self.0.store(milliseconds, Ordering::SeqCst);
    }

    /// Lets this many milliseconds pass.
    fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}
