//! Traps a call that runs for seconds, because calls take microseconds.

use std::sync::Once;
use std::time::Duration;

use wasmtime::Engine;

/// The interval at which the epoch advances.
const TICK: Duration = Duration::from_millis(500);
/// The number of epochs after which a call traps: 2 to 2.5 seconds after it began.
pub(crate) const TICKS: u64 = 5;

/// Starts the thread that advances the epoch, once, because the process has one engine.
pub(crate) fn start(engine: &Engine) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
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
    });
}
