//! Forks: a child process has none of the threads of its parent, and its locks as they were at that moment.
//!
//! [`before`] a fork, all threads leave the engine, and the thread of the runtime stops. In the child, everything that was made
//! before the fork is left alone: neither used nor dropped. Engines are made again when they are used.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use crate::begun;
use crate::forked::{advance, generation};
use crate::runtime::{self, Pause};
use crate::sqlite_files;

pub use crate::forked::{Forked, Owned};

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
    /// The number of times that this thread is in the engine.
    static OWN: Cell<usize> = const { Cell::new(0) };
    /// The process that this thread forks.
    static FORKED_HERE: Cell<Option<u32>> = const { Cell::new(None) };
}

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
        OWN.set(OWN.get() + 1);
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
            OWN.set(OWN.get().saturating_sub(1));
            INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Lets a library do something in each child before anything else. Only the first call has an effect.
pub fn in_child(hook: fn()) {
    let _first = IN_CHILD.set(hook);
}

/// Notices forks that call no hook, as those of a program in C: their children, too, leave everything of the parent alone.
///
/// At such a fork, threads may be in the engine, so that it is right only for processes that use the engine in one thread then.
pub fn notice_all() {
    static NOTICES: Once = Once::new();
    extern "C" fn in_child() {
        begin_as_child();
    }
    #[cfg(unix)]
    NOTICES.call_once(|| {
        #[expect(unsafe_code, reason = "POSIX has no safe form of it")]
        // SAFETY: the function lives as long as the process: the library is never unloaded, because its runtime's thread is not.
        let noticed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // Without memory for it, only forks with hooks are noticed.
        let _noticed = noticed == 0;
    });
}

/// To be called by the thread that forks, before the fork. Waits until the threads have left the engine, for a second at most.
pub fn before() {
    FORKING.fetch_add(1, Ordering::SeqCst);
    let until = Instant::now() + PATIENCE;
    // A store that forks is in the engine itself.
    while INSIDE.load(Ordering::SeqCst) > OWN.get() && Instant::now() < until {
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
    let parent = advance();
    INSIDE.store(0, Ordering::SeqCst);
    OWN.set(0);
    FORKING.store(0, Ordering::SeqCst);
    runtime::forget();
    begun::forget();
    sqlite_files::begin_as_child(parent);
    if let Some(hook) = IN_CHILD.get() {
        hook();
    }
}
