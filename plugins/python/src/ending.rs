//! The end of an engine, and of the process: both wait for the writes that calls have begun.

use std::cell::Cell;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tessera::BegunWrites;
use tessera_embedding::begun_writes;

use crate::block::block;
use crate::border::guarded;
use crate::{attach, fork};

/// The longest time for which begun writes are waited for: at a close, and at the end of the process for everything.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// The moment at which this thread does not put off the end of the process any longer.
    static ENDS_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn patience() -> Instant {
    ENDS_AT.get().unwrap_or_else(|| Instant::now() + PATIENCE)
}

/// Waits for the writes, each of which the time-out of its store ends.
pub(crate) fn finish(py: Python<'_>, writes: &[BegunWrites]) -> PyResult<()> {
    let until = patience();
    block(py, async {
        let all = async {
            for writes in writes {
                writes.finish().await;
            }
        };
        // What has not ended by then is as if the process had been killed.
        let _finished = tokio::time::timeout_at(until.into(), all).await;
        Ok(())
    })
}

/// Begins the end of the process: all waits together take five seconds at most.
#[pyfunction]
pub(crate) fn begin_end() {
    ENDS_AT.set(Some(Instant::now() + PATIENCE));
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
        attach::end(py, patience());
        ENDS_AT.set(None);
        finished
    })
}
