//! Traps a call that runs for seconds, because calls take microseconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// The interval at which the epoch advances.
const TICK: Duration = Duration::from_millis(500);
/// The number of epochs after which a call traps: 2 to 2.5 seconds after it began.
pub(crate) const TICKS: u64 = 5;

/// Starts the thread that advances the epoch, once for each process, because a process has one engine.
///
/// A child of a fork has the engine of its parent, and none of its threads.
pub(crate) fn start(engine: &Engine) {
    static STARTED_IN: Mutex<Option<u32>> = Mutex::new(None);
    let mut started_in = STARTED_IN.lock().unwrap_or_else(PoisonError::into_inner);
    if started_in.replace(std::process::id()) != Some(std::process::id()) {
        let engine = engine.clone();
        let ticking = std::thread::Builder::new()
            .name("tessera-watchdog".into())
            .spawn(move || {
                loop {
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            });
        if let Err(error) = ticking {
            tracing::error!(%error, "the watchdog cannot be started: a component that loops is not stopped");
        }
    }
}
