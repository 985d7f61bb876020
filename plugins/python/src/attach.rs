//! Threads and the interpreter when it ends: before that, all leave it, and none enters it any more.
//!
//! Up to Python 3.13, the interpreter ends a thread that waits for it by unwinding through the frames of this module, which is an
//! error that ends the process. So a thread that would wait stands still instead, as in later versions, and the end waits for those
//! that are in the interpreter with a frame of this module.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tessera_embedding::runtime::is_own_thread;

/// The number of threads that are in the interpreter with a frame of this module, or on their way there.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
/// Whether the interpreter is about to end.
static ENDS: AtomicBool = AtomicBool::new(false);
/// The thread that ends it, which goes on.
static ENDED_BY: Mutex<Option<ThreadId>> = Mutex::new(None);
const PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    /// The number of frames of this thread that have it counted; the first of them has done so.
    static FRAMES: Cell<usize> = const { Cell::new(0) };
}

/// Counts this thread. `false`, and not counted: the interpreter ends, and another thread ends it.
fn count() -> bool {
    ATTACHED.fetch_add(1, Ordering::SeqCst);
    // In this order, so that either this thread finds the end, or the end finds this thread.
    let may_go_on = !ENDS.load(Ordering::SeqCst) || ends_here();
    if !may_go_on {
        uncount();
    }
    may_go_on
}

fn uncount() {
    ATTACHED.fetch_sub(1, Ordering::SeqCst);
}

fn ends_here() -> bool {
    *ENDED_BY.lock().unwrap_or_else(PoisonError::into_inner) == Some(thread::current().id())
}

fn stand_still() -> ! {
    loop {
        thread::park();
    }
}

/// A frame of this module in the interpreter.
pub(crate) struct Frame(());

impl Frame {
    /// A frame of a thread that has the interpreter. If that is about to end, the thread gives it up and stands still.
    pub(crate) fn enter() -> Self {
        if FRAMES.get() == 0 && !count() {
            Python::attach(|py| py.detach(|| stand_still()));
        }
        Self::counted()
    }

    fn counted() -> Self {
        FRAMES.set(FRAMES.get() + 1);
        Self(())
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let frames = FRAMES.get() - 1;
        FRAMES.set(frames);
        if frames == 0 {
            uncount();
        }
    }
}

/// Whether the interpreter is about to end, so that threads of the runtime run no code of Python.
pub(crate) fn has_ended() -> bool {
    ENDS.load(Ordering::SeqCst)
}

/// Runs code of Python. `None` in a thread of the runtime: the interpreter ends.
pub(crate) fn attach<T>(code: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    if FRAMES.get() == 0 && !count() {
        match is_own_thread() {
            true => return None,
            false => stand_still(),
        }
    }
    let _frame = Frame::counted();
    Python::try_attach(code)
}

/// Works without the interpreter.
pub(crate) fn detach<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let frames = FRAMES.replace(0);
    if frames > 0 {
        uncount();
    }
    let done = py.detach(|| {
        let done = catch_unwind(AssertUnwindSafe(work));
        if !count() {
            stand_still();
        }
        done
    });
    match frames {
        0 => uncount(),
        frames => FRAMES.set(frames),
    }
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Waits until no other thread is in the interpreter with a frame of this module, until this moment at most. From then on, none is.
pub(crate) fn end(py: Python<'_>, until: Instant) {
    *ENDED_BY.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current().id());
    ENDS.store(true, Ordering::SeqCst);
    detach(py, || {
        while ATTACHED.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(PAUSE);
        }
    });
}

/// Begins anew, in a process that was forked by a thread with these frames.
pub(crate) fn forget() {
    ATTACHED.store(usize::from(FRAMES.get() > 0), Ordering::SeqCst);
    ENDS.store(false, Ordering::SeqCst);
}
