//! The end of an engine, and of the process: both wait for the writes that calls have begun.

use std::time::Duration;

use pyo3::prelude::*;
use tessera::BegunWrites;
use tessera_embedding::begun_writes;

use crate::block::block;
use crate::border::guarded;
use crate::{attach, fork};

/// The longest time for which begun writes are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

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
            let _inside = fork::enter(py);
            begun_writes()
        };
        let finished = finish(py, &all);
        attach::end(py);
        finished
    })
}
