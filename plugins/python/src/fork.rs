//! Forks: a child process has none of the threads of its parent, and its locks as they were at that moment.
//!
//! Before a fork, all threads leave the engine, and the thread of the runtime stops. In the child, everything that was made before
//! the fork is left alone: neither used nor dropped. Engines are made again when they are used.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::Failure;
use crate::runtime::{self, Pause};
use crate::{attach, begun};

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The number of threads in the engine.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// The number of forks under way. While there is one, no thread enters the engine.
static FORKING: AtomicUsize = AtomicUsize::new(0);
/// The longest time for which a fork waits for threads to leave the engine.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two looks at what is waited for.
const PAUSE: Duration = Duration::from_micros(200);

thread_local! {
    /// The pause of the runtime during a fork of this thread.
    static PAUSED: RefCell<Option<Pause>> = const { RefCell::new(None) };
    /// The process that this thread forks.
    static FORKED_HERE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// A thread in the engine. While there is one, no process is forked.
pub(crate) struct Inside {
    generation: u32,
}

impl Inside {
    fn try_enter() -> Option<Self> {
        if let Some(parent) = FORKED_HERE.get() {
            // Another hook of the fork uses the engine. It would wait for its own thread, and for that of the runtime.
            if parent == std::process::id() {
                drop(PAUSED.take());
            } else {
                begin_as_child();
            }
            return Some(Self::counted());
        }
        let entered = Self::counted();
        // In this order, so that either this thread finds the fork, or the fork finds this thread.
        (FORKING.load(Ordering::SeqCst) == 0).then_some(entered)
    }

    fn counted() -> Self {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        Self {
            generation: GENERATION.load(Ordering::Acquire),
        }
    }

    /// Enters the engine. During a fork, waits without the interpreter.
    pub(crate) fn enter(py: Python<'_>) -> Self {
        Self::try_enter().unwrap_or_else(|| py.detach(Self::enter_detached))
    }

    /// Enters the engine, in a thread that is not attached to the interpreter.
    pub(crate) fn enter_detached() -> Self {
        loop {
            match Self::try_enter() {
                Some(entered) => return entered,
                None => std::thread::sleep(PAUSE),
            }
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A child counts from the beginning.
        if self.generation == GENERATION.load(Ordering::Acquire) {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The number of forks between the first process and this one.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

/// A value that belongs to one process. A child neither uses nor drops it.
pub(crate) struct Owned<T> {
    /// `None` only while it is dropped.
    value: Option<T>,
    generation: u32,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Some(value),
            generation: GENERATION.load(Ordering::Acquire),
        }
    }

    /// Whether the value is of this process.
    pub(crate) fn is_ours(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Acquire)
    }

    /// The value, unless it is of a process before a fork.
    pub(crate) fn get(&self) -> Result<&T, Failure> {
        self.value
            .as_ref()
            .filter(|_| self.is_ours())
            .ok_or(Failure::Forked)
    }

    /// As [`get`](Self::get), for the only owner.
    pub(crate) fn into_inner(mut self) -> Result<T, Failure> {
        self.get()?;
        self.value.take().ok_or(Failure::Forked)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            std::mem::forget(self.value.take());
        }
    }
}

#[pyfunction]
fn before_fork(py: Python<'_>) {
    FORKING.fetch_add(1, Ordering::SeqCst);
    let pause = py.detach(|| {
        let until = Instant::now() + PATIENCE;
        while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        runtime::pause(PATIENCE)
    });
    PAUSED.set(pause);
    FORKED_HERE.set(Some(std::process::id()));
}

#[pyfunction]
fn after_fork_in_parent() {
    if FORKED_HERE.take().is_some() {
        drop(PAUSED.take());
        FORKING.fetch_sub(1, Ordering::SeqCst);
    }
}

#[pyfunction]
fn after_fork_in_child() {
    if FORKED_HERE.get().is_some() {
        begin_as_child();
    }
}

/// Leaves everything of the parent alone.
fn begin_as_child() {
    FORKED_HERE.set(None);
    // Its other end is a thread that is not in this process.
    std::mem::forget(PAUSED.take());
    GENERATION.fetch_add(1, Ordering::AcqRel);
    INSIDE.store(0, Ordering::SeqCst);
    FORKING.store(0, Ordering::SeqCst);
    runtime::forget();
    begun::forget();
    attach::forget();
}

/// Lets Python call the functions above at each fork.
pub(crate) fn register(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    // Windows has no forks.
    let Ok(register) = os.getattr("register_at_fork") else {
        return Ok(());
    };
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(before_fork, py)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(after_fork_in_parent, py)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, py)?)?;
    register.call((), Some(&hooks))?;
    Ok(())
}
