//! Threads and the interpreter when it ends: before that, all leave it, and none enters it any more.
//!
//! Up to Python 3.13, the interpreter ends a thread that waits for it by unwinding through the frames of this module, which is an
//! error that ends the process. So a thread that would wait stands still instead, as in later versions, and the end waits for those
//! that are in the interpreter with a frame of this module.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// The number of threads that are in the interpreter with a frame of this module, or on their way there.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
/// Whether the interpreter is about to end. It is not taken back: a process that runs the functions of `atexit` by hand and goes on
/// uses this module in that thread alone.
static ENDS: AtomicBool = AtomicBool::new(false);
const PAUSE: Duration = Duration::from_millis(1);
/// The least time for which other threads get to leave the interpreter.
const LEAST_PATIENCE: Duration = Duration::from_millis(200);

thread_local! {
    /// The number of frames of this thread that have it counted; the first of them has done so.
    static FRAMES: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread ends the interpreter. It goes on.
    static ENDS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Counts this thread. `false`, and not counted: the interpreter ends, and another thread ends it.
fn count() -> bool {
    ATTACHED.fetch_add(1, Ordering::SeqCst);
    // In this order, so that either this thread finds the end, or the end finds this thread.
    let may_go_on = !ENDS.load(Ordering::SeqCst) || ENDS_HERE.get();
    if !may_go_on {
        uncount();
    }
    may_go_on
}

fn uncount() {
    ATTACHED.fetch_sub(1, Ordering::SeqCst);
}

/// Only without the interpreter, without a lock, and outside of the engine.
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
        Self::try_enter().unwrap_or_else(|| Python::attach(|py| py.detach(|| stand_still())))
    }

    /// A frame of any thread. `None` if the interpreter is about to end.
    fn try_enter() -> Option<Self> {
        if FRAMES.get() == 0 && !count() {
            return None;
        }
        FRAMES.set(FRAMES.get() + 1);
        Some(Self(()))
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let frames = FRAMES.get().saturating_sub(1);
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

/// Runs code of Python, in a thread that has the interpreter or not. `None`: the interpreter ends.
pub(crate) fn attach<T>(code: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _frame = Frame::try_enter()?;
    Python::try_attach(code)
}

/// Works without the interpreter. If that is about to end, the thread stands still afterwards.
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
    ENDS_HERE.set(true);
    ENDS.store(true, Ordering::SeqCst);
    let until = until.max(Instant::now() + LEAST_PATIENCE);
    detach(py, || {
        while ATTACHED.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(PAUSE);
        }
    });
}

/// Begins anew, in a process that was forked by this thread.
pub(crate) fn forget() {
    ATTACHED.store(usize::from(FRAMES.get() > 0), Ordering::SeqCst);
    ENDS.store(false, Ordering::SeqCst);
    ENDS_HERE.set(false);
}
