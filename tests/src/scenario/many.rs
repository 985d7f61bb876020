//! Many scenarios, several at a time.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Scenario, load};
use crate::lock;

/// All scenarios of this directory, or those whose `file: name` contains the text in `TESSERA_SCENARIO`.
///
/// # Errors
/// The errors of [`load`]; if no scenario contains the text.
pub fn chosen() -> Result<Vec<Scenario>, String> {
    let wanted = std::env::var("TESSERA_SCENARIO").unwrap_or_default();
    let mut chosen = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"))?;
    chosen.retain(|scenario| format!("{}: {}", scenario.file, scenario.name).contains(&wanted));
    if chosen.is_empty() {
        return Err(format!("no scenario contains {wanted:?}"));
    }
    Ok(chosen)
}

/// Runs scenarios on this number of threads, each with a runtime and a state of its own, and returns the failures in order.
///
/// A scenario that is known to fail must fail.
///
/// # Errors
/// If a runtime or a state cannot be created.
pub fn each<T>(
    scenarios: &[Scenario],
    threads: usize,
    start: impl Fn() -> Result<T, String> + Sync,
    run: impl AsyncFn(&T, &Scenario) -> Result<(), String> + Sync,
) -> Result<Vec<String>, String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let state = start()?;
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = scenarios.get(place) else {
                return Ok(());
            };
            let ran = runtime.block_on(run(&state, scenario));
            if let Err(failure) = judge(scenario, ran) {
                lock(&failures).push((place, failure));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            let ended: Result<(), String> = thread
                .join()
                .unwrap_or_else(|_| Err("a thread panicked".to_owned()));
            ended
        })
    })?;
    let mut failures = failures
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    failures.sort();
    Ok(failures.into_iter().map(|(_, failure)| failure).collect())
}

fn judge(scenario: &Scenario, ran: Result<(), String>) -> Result<(), String> {
    match (ran, &scenario.known_failure) {
        (Ok(()), Some(_)) => Err(format!(
            "{}: {:?} passes: remove its \"known-failure\"",
            scenario.file, scenario.name
        )),
        (Err(_), Some(_)) => Ok(()),
        (ran, None) => ran,
    }
}
