//! The engines of this process, by the writes that their calls have begun.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tessera::BegunWrites;

/// Locked only by threads that are in the engine, so that no fork finds it locked.
static BEGUN: Mutex<Vec<BegunWrites>> = Mutex::new(Vec::new());

fn begun() -> MutexGuard<'static, Vec<BegunWrites>> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes the writes of an engine.
pub(crate) fn note(writes: BegunWrites) {
    let mut begun = begun();
    begun.retain(|writes| !writes.is_over());
    begun.push(writes);
}

/// The writes of all engines, also of those that are gone.
pub fn all() -> Vec<BegunWrites> {
    begun().clone()
}

/// Forgets the writes of the process before a fork, which are its own.
pub(crate) fn forget() {
    // Not dropped: as everything that was made before the fork.
    mem::forget(mem::take(&mut *begun()));
}
