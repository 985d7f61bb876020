//! Time and randomness, which a host gives the engine and a test can set.

use std::error::Error;

use crate::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The wall-clock time. It may jump; hosts that share sessions should agree within the policy's `clock_skew`.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Gives unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills all of `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// If the source fails. The call that asked fails then, and nothing is written.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// The operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        getrandom::fill(bytes).map_err(Into::into)
    }
}
