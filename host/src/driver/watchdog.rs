//! Ends a call that runs for seconds where microseconds were expected.

use std::sync::Once;
use std::time::Duration;

use wasmtime::Engine;

/// How often the epoch advances.
const TICK: Duration = Duration::from_millis(500);
/// A call is trapped when the epoch has advanced this often since it began: after 2 to 2.5 seconds.
pub(crate) const TICKS: u64 = 5;

/// Starts the thread that advances the epoch; once, for the process has one engine.
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
            tracing::error!(%error, "no watchdog: a component that loops would not be stopped");
        }
    });
}
