//! The engines of this process, by the writes that their calls have begun.

use tessera::BegunWrites;

use crate::process::OfProcess;

static BEGUN: OfProcess<Vec<BegunWrites>> = OfProcess::new();

/// Notes the writes of an engine.
pub(crate) fn note(writes: BegunWrites) {
    let mut begun = BEGUN.lock();
    begun.retain(|writes| !writes.is_over());
    begun.push(writes);
}

/// The writes of all engines of this process, also of those that are gone.
pub fn all() -> Vec<BegunWrites> {
    BEGUN.lock().clone()
}

/// Forgets the writes of the process before a fork, which are its own.
pub(crate) fn forget() {
    BEGUN.replace(Vec::new());
}
