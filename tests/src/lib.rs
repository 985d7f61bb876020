//! Shared parts of the tests: the store suite, the scenarios and their servers, which apply to all hosts, and helpers.

pub mod adapter;
pub mod chaos;
pub mod conformance;
pub(crate) mod dice;
pub mod edge;
pub mod flood;
pub mod http_client;
pub(crate) mod inbox;
pub mod interleave;
pub mod mailbox_suite;
pub mod pages;
pub mod program;
pub mod python;
pub mod scenario;
pub mod servers;
pub mod soak;
pub mod socket;
pub mod store_suite;
pub mod stores;

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose data is complete after each change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the `Display` and `Debug` texts of an error and of all its sources, in one line.
#[must_use]
pub fn whole(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source} {source:?}"));
        next = source.source();
    }
    text
}
