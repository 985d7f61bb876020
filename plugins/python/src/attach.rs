//! Threads and the interpreter when it ends: before that, all leave it, and none enters it any more.
//!
//! Up to Python 3.13, the interpreter ends a thread that waits for it by unwinding through the frames of this module, which is an
//! error that ends the process. So a thread that would wait stands still instead, as in later versions, and the end waits for those
//! that are on their way.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tessera_embedding::runtime::is_own_thread;

/// The number of threads that run code of Python for this module, or are about to return to it.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
/// Whether the interpreter is about to end.
static ENDS: AtomicBool = AtomicBool::new(false);
/// The thread that ends it, which goes on.
static ENDED_BY: Mutex<Option<ThreadId>> = Mutex::new(None);
const PAUSE: Duration = Duration::from_millis(1);

/// A thread that is on its way into the interpreter, or in it.
struct Attached;

impl Attached {
    /// `None` if the interpreter ends, except for the thread that ends it.
    fn new() -> Option<Self> {
        ATTACHED.fetch_add(1, Ordering::SeqCst);
        let attached = Self;
        // In this order, so that either this thread finds the end, or the end finds this thread.
        (!ENDS.load(Ordering::SeqCst) || ends_here()).then_some(attached)
    }

    /// The same. Another thread than the one that ends the interpreter stands still from now on.
    fn or_stand_still() -> Self {
        Self::new().unwrap_or_else(|| {
            loop {
                thread::park();
            }
        })
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        ATTACHED.fetch_sub(1, Ordering::SeqCst);
    }
}

fn ends_here() -> bool {
    *ENDED_BY.lock().unwrap_or_else(PoisonError::into_inner) == Some(thread::current().id())
}

/// Whether the interpreter is about to end, so that threads of the runtime run no code of Python.
pub(crate) fn has_ended() -> bool {
    ENDS.load(Ordering::SeqCst)
}

/// Runs code of Python. `None` in a thread of the runtime: the interpreter ends.
pub(crate) fn attach<T>(code: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _attached = match is_own_thread() {
        true => Attached::new()?,
        false => Attached::or_stand_still(),
    };
    Python::try_attach(code)
}

/// Works without the interpreter.
pub(crate) fn detach<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let (done, _attached) = py.detach(|| {
        let done = catch_unwind(AssertUnwindSafe(work));
        (done, Attached::or_stand_still())
    });
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Waits until no other thread is in the interpreter for this module, until this moment at most. From then on, none is.
pub(crate) fn end(py: Python<'_>, until: Instant) {
    *ENDED_BY.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current().id());
    ENDS.store(true, Ordering::SeqCst);
    py.detach(|| {
        while ATTACHED.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(PAUSE);
        }
    });
}

/// Begins anew, in a process that was forked.
pub(crate) fn forget() {
    ATTACHED.store(0, Ordering::SeqCst);
    ENDS.store(false, Ordering::SeqCst);
}
