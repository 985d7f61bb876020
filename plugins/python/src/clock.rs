//! A clock that tests set.

use pyo3::prelude::*;
use tessera_embedding::SetClock;

/// A clock that stands still until it is set, for tests of expiry.
#[pyclass(frozen, module = "tessera.testing", name = "Clock")]
pub(crate) struct ManualClock(SetClock);

impl ManualClock {
    pub(crate) fn to_clock(&self) -> SetClock {
        self.0.clone()
    }
}

#[pymethods]
impl ManualClock {
    /// A clock that shows this time, in milliseconds since 1970.
    #[new]
    fn new(milliseconds: u64) -> Self {
        Self(SetClock::new(milliseconds))
    }

    /// The time in milliseconds since 1970.
    #[getter]
    fn milliseconds(&self) -> u64 {
        self.0.milliseconds()
    }

    /// Sets the time, in milliseconds since 1970.
    fn set(&self, milliseconds: u64) {
        self.0.set(milliseconds);
    }

    /// Lets this many milliseconds pass.
    fn advance(&self, milliseconds: u64) {
        self.0.advance(milliseconds);
    }
}
