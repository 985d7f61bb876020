//! The writes that calls have begun: a process that ends waits for them.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use tessera::BegunWrites;

use crate::attach;
use crate::block::block;
use crate::border::guarded;

/// The longest time for which begun writes are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The writes of all engines of this process.
///
/// Locked only by threads that are in the engine, so that no fork finds it locked.
static BEGUN: Mutex<Vec<BegunWrites>> = Mutex::new(Vec::new());

fn begun() -> MutexGuard<'static, Vec<BegunWrites>> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes the writes of an engine of this process.
pub(crate) fn note(writes: BegunWrites) {
    let mut begun = begun();
    begun.retain(|writes| !writes.is_over());
    begun.push(writes);
}

/// Forgets the writes of the process before a fork, which are its own.
pub(crate) fn forget() {
    // Not dropped: as everything that was made before the fork.
    mem::forget(mem::take(&mut *begun()));
}

/// Waits for the writes, each of which the time-out of its store ends.
pub(crate) fn finish(py: Python<'_>, writes: &[BegunWrites]) -> PyResult<()> {
    block(py, async {
        let all = async {
            for writes in writes {
                writes.finish().await;
            }
        };
        // What has not ended by then is as if the process had been killed.
        let _finished = tokio::time::timeout(PATIENCE, all).await;
        Ok(())
    })
}

/// Prepares the end of the process: waits for the begun writes of all engines, also of those that are gone, and until no other
/// thread is in the interpreter for this module.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) -> PyResult<()> {
    guarded(|| {
        let all = {
            let _inside = crate::fork::Inside::enter(py);
            begun().clone()
        };
        let finished = finish(py, &all);
        attach::end(py);
        finished
    })
}
