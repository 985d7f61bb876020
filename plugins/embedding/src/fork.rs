//! Forks: a child process has none of the threads of its parent, and its locks as they were at that moment.
//!
//! [`before`] a fork, all threads leave the engine, and the thread of the runtime stops. In the child, everything that was made
//! before the fork is left alone: neither used nor dropped. Engines are made again when they are used.

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::begun;
use crate::runtime::{self, Pause};

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The number of threads in the engine.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// The number of forks under way. While there is one, no thread enters the engine.
static FORKING: AtomicUsize = AtomicUsize::new(0);
/// What a library does in a child besides.
static IN_CHILD: OnceLock<fn()> = OnceLock::new();
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

/// The value is of the process before a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object is of the process before a fork")]
pub struct Forked;

/// A thread in the engine. While there is one, no process is forked.
#[derive(Debug)]
pub struct Inside {
    generation: u32,
}

impl Inside {
    /// Enters the engine. `None` during a fork.
    pub fn try_enter() -> Option<Self> {
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
            generation: generation(),
        }
    }

    /// Enters the engine; waits during a fork.
    pub fn enter() -> Self {
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
        if self.generation == generation() {
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The number of forks between the first process and this one.
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

/// A value that belongs to one process. A child neither uses nor drops it.
#[derive(Debug)]
pub struct Owned<T> {
    /// `None` only while it is dropped.
    value: Option<T>,
    generation: u32,
}

impl<T> Owned<T> {
    /// A value of this process.
    pub fn new(value: T) -> Self {
        Self {
            value: Some(value),
            generation: generation(),
        }
    }

    /// Whether the value is of this process.
    pub fn is_ours(&self) -> bool {
        self.generation == generation()
    }

    /// The value.
    ///
    /// # Errors
    /// If it is of a process before a fork.
    pub fn get(&self) -> Result<&T, Forked> {
        self.value.as_ref().filter(|_| self.is_ours()).ok_or(Forked)
    }

    /// As [`get`](Self::get), for the only owner.
    ///
    /// # Errors
    /// If it is of a process before a fork.
    pub fn into_inner(mut self) -> Result<T, Forked> {
        self.get()?;
        self.value.take().ok_or(Forked)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            std::mem::forget(self.value.take());
        }
    }
}

/// Lets a library do something in each child before anything else. Only the first call has an effect.
pub fn in_child(hook: fn()) {
    let _first = IN_CHILD.set(hook);
}

/// To be called by the thread that forks, before the fork. Waits until the threads have left the engine, for a second at most.
pub fn before() {
    FORKING.fetch_add(1, Ordering::SeqCst);
    let until = Instant::now() + PATIENCE;
    while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < until {
        std::thread::sleep(PAUSE);
    }
    PAUSED.set(runtime::pause(PATIENCE));
    FORKED_HERE.set(Some(std::process::id()));
}

/// To be called by the thread that has forked, in the parent.
pub fn after_in_parent() {
    if FORKED_HERE.take().is_some() {
        drop(PAUSED.take());
        FORKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// To be called in the child.
pub fn after_in_child() {
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
    if let Some(hook) = IN_CHILD.get() {
        hook();
    }
}
