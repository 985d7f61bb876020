//! The thread that removes expired entries.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::shared::Shared;
use tessera_contract::Timestamp;

/// The sweeper's thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Sweeper {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits for the interval, or until a stop is requested; returns whether it is.
    fn wait(&self, interval: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = self
            .changed
            .wait_timeout_while(asked, interval, |asked| !*asked)
            .unwrap_or_else(PoisonError::into_inner);
        *asked
    }

    fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

impl Sweeper {
    /// Starts the thread; `None` if the interval is zero or the system has no thread left.
    pub(super) fn start(interval: Duration, store: &Arc<Shared>) -> Option<Self> {
        if interval.is_zero() {
            return None;
        }
        let stop = Arc::new(Stop::default());
        // Weak, so that the thread does not keep the store alive.
        let (asked, store) = (Arc::clone(&stop), Arc::downgrade(store));
        let started = Builder::new()
            .name("tessera-memory-sweep".to_owned())
            .spawn(move || sweep_until_asked(&asked, interval, &store));
        match started {
            Ok(thread) => Some(Self {
                stop,
                thread: Some(thread),
            }),
            Err(error) => {
                tracing::warn!(%error, "cannot start the sweeper's thread: expired entries stay until their space is needed");
                None
            }
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            // The thread returns nothing, and a panic in it was already reported.
            let _ = thread.join();
        }
    }
}

fn sweep_until_asked(stop: &Stop, interval: Duration, store: &Weak<Shared>) {
    while !stop.wait(interval) {
        let Some(store) = store.upgrade() else { return };
        // A panic, for example because a log cannot be written, ends one round and not the sweeper. It was already reported.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let swept = store.sweep(Timestamp::now());
            if swept > 0 {
                tracing::debug!(swept, "swept expired entries");
            }
        }));
    }
}
