//! Every scenario, on the engine in workerd and over the Worker's stores.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tessera::Timestamp;
use tessera::store::MemoryStore;
use tessera_tests::edge::{RemoteStore, Worker};
use tessera_tests::scenario::{self, BEGINNING_MS, Pace, Scenario};

use crate::{nothing, start, tell};

/// How many run at a time.
const AT_ONCE: usize = 8;
const PROMISE: &str = "maximum-staleness-ms";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// How a scenario ended.
enum Ended {
    Passed,
    Failed(String),
    /// It asks for a store that is never stale: the Rust host ends it otherwise as well, where its store promises as little.
    NeedsMore,
}

/// Runs all, several at a time; answers how many asked for more than the store promises.
/// `TESSERA_SCENARIO` names a part of those to be run.
fn all_pass(worker: &Worker, kind: &str, stale_ms: u64) -> usize {
    let wanted = std::env::var("TESSERA_SCENARIO").unwrap_or_default();
    let mut chosen = scenario::load(&folder()).expect("the scenarios can be read");
    chosen.retain(|scenario| format!("{}: {}", scenario.file, scenario.name).contains(&wanted));
    assert!(!chosen.is_empty(), "no scenario is called so: {wanted}");
    let (next, ends) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                let runtime = runtime.expect("a runtime");
                while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ended = runtime.block_on(run(worker, kind, stale_ms, scenario));
                    ends.lock().expect("no thread panicked").push(ended);
                }
            });
        }
    });
    let (mut failures, mut needing) = (Vec::new(), 0);
    for ended in ends.into_inner().expect("no thread panicked") {
        match ended {
            Ended::Passed => {}
            Ended::Failed(error) => failures.push(error),
            Ended::NeedsMore => needing += 1,
        }
    }
    tell(&format!(
        "workerd, {kind}: {} scenarios, {needing} that need a store which is never stale, {} failed",
        chosen.len(),
        failures.len()
    ));
    assert!(
        failures.is_empty(),
        "{} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
    needing
}

async fn run(worker: &Worker, kind: &str, stale_ms: u64, scenario: &Scenario) -> Ended {
    let store = RemoteStore::new(worker, kind).expect("a store");
    let store = store.with_clock_from(Timestamp::from_millis(BEGINNING_MS));
    match (
        scenario::run_in_worker(scenario, store, worker).await,
        &scenario.known_failure,
    ) {
        (Ok(()), None) | (Err(_), Some(_)) => Ended::Passed,
        (Ok(()), Some(_)) => Ended::Failed(format!("{}: {:?} passes", scenario.file, scenario.name)),
        (Err(_), None) if stale_ms > 0 && !passes_in_the_host(scenario, stale_ms).await => Ended::NeedsMore,
        (Err(error), None) => Ended::Failed(error),
    }
}

/// The same scenario in the Rust host, over a store that promises to be no staler than this.
async fn passes_in_the_host(scenario: &Scenario, stale_ms: u64) -> bool {
    let mut scenario = scenario.clone();
    let promised = scenario.store.get(PROMISE).and_then(Value::as_u64);
    scenario
        .store
        .insert(PROMISE.to_owned(), promised.unwrap_or(stale_ms).into());
    let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
    scenario::run(&scenario, store, Pace::Own).await.is_ok()
}

#[test]
fn all_scenarios_pass_in_workerd_over_durable_objects() {
    let worker = start(&nothing());
    assert_eq!(all_pass(&worker, "durable", 0), 0);
}

/// The cache is as young as it can be, so that scenarios that sleep for nothing see no old answer; `cached` shows old ones.
#[test]
fn all_scenarios_pass_in_workerd_over_kv_and_durable_objects() {
    let worker = start(&json!({"TESSERA_MAX_STALE": "1ms"}));
    let needing = all_pass(&worker, "combined", 1);
    assert!(
        needing < 30,
        "{needing} scenarios need a store that is never stale"
    );
}
