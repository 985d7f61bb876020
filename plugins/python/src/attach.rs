//! Threads of the runtime in the interpreter: before it ends, all of them leave it, and none enters it any more.
//!
//! Up to Python 3.13, a thread that waits for the interpreter when it ends is ended by it, through the frames of this module.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tessera_embedding::runtime::is_own_thread;

/// The number of threads of the runtime in the interpreter, or waiting for it.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
/// Whether the interpreter is about to end.
static ENDS: AtomicBool = AtomicBool::new(false);
/// The longest time for which the end waits for code of Python in threads of the runtime.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

struct Attached;

impl Attached {
    fn new() -> Option<Self> {
        ATTACHED.fetch_add(1, Ordering::SeqCst);
        let attached = Self;
        // In this order, so that either this thread finds the end, or the end finds this thread.
        (!ENDS.load(Ordering::SeqCst)).then_some(attached)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        ATTACHED.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs code of Python. `None`: the interpreter ends.
pub(crate) fn attach<T>(code: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    if !is_own_thread() {
        return Python::try_attach(code);
    }
    let _attached = Attached::new()?;
    Python::try_attach(code)
}

/// Waits until no thread of the runtime runs code of Python. From then on, none does.
pub(crate) fn end(py: Python<'_>) {
    ENDS.store(true, Ordering::SeqCst);
    py.detach(|| {
        let until = Instant::now() + PATIENCE;
        while ATTACHED.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
    });
}

/// Counts from the beginning, in a process that was forked.
pub(crate) fn forget() {
    ATTACHED.store(0, Ordering::SeqCst);
}
