//! Every scenario, on the engine in workerd and over the Worker's stores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tessera::Timestamp;
use tessera::store::MemoryStore;
use tessera_tests::edge::{Remote, Worker};
use tessera_tests::scenario::{self, BEGINNING_MS, Pace, Scenario};

use crate::{nothing, start, tell};

/// How many run at a time.
const AT_ONCE: usize = 8;

/// What a store promises, by the names of `wit/store.wit`, where that is less than scenarios take for granted.
type Promises<'a> = &'a [(&'a str, Value)];

/// Runs all, several at a time; returns the number of those that need more than the store promises: the Rust host fails them as
/// well over a store that promises as little. `TESSERA_SCENARIO` selects some of them.
fn all_pass(worker: &Worker, kind: &str, promises: Promises<'_>) -> usize {
    let chosen = scenario::chosen().expect("scenarios");
    let needing = AtomicUsize::new(0);
    let run = async |(): &(), scenario: &Scenario| {
        let scenario = &promising(scenario, promises);
        let ran = run(worker, kind, scenario).await;
        if ran.is_err() && !promises.is_empty() && !passes_in_the_host(scenario).await {
            needing.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        ran
    };
    let failures = scenario::each(&chosen, AT_ONCE, || Ok(()), run).expect("runtimes");
    let needing = needing.into_inner();
    tell(&format!(
        "workerd, {kind}: {} scenarios, {needing} that need a store which promises more, {} failed",
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

async fn run(worker: &Worker, kind: &str, scenario: &Scenario) -> Result<(), String> {
    let beginning = Timestamp::from_millis(BEGINNING_MS);
    let store = Remote::with_clock_from(worker, kind, beginning)?;
    scenario::run_in_worker(scenario, store, worker).await
}

/// The scenario over a store that promises no more than this; what it says itself of its store counts.
fn promising(scenario: &Scenario, promises: Promises<'_>) -> Scenario {
    let mut scenario = scenario.clone();
    for (name, promise) in promises {
        let promised = scenario.store.entry(*name);
        promised.or_insert_with(|| promise.clone());
    }
    // Without compare-and-swap the same is done by other questions.
    if scenario.store.get("compare-and-swap") == Some(&json!(false)) && !promises.is_empty() {
        scenario.steps.iter_mut().for_each(forget_questions);
    }
    scenario
}

fn forget_questions(step: &mut Value) {
    match step {
        Value::Object(members) => {
            members.remove("questions");
            members.values_mut().for_each(forget_questions);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_questions),
        _ => {}
    }
}

/// The same scenario in the Rust host, over a store that promises as much.
async fn passes_in_the_host(scenario: &Scenario) -> bool {
    let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
    scenario::run(scenario, store, Pace::Own).await.is_ok()
}

#[test]
fn all_scenarios_pass_in_workerd_over_durable_objects() {
    let worker = start(&nothing());
    assert_eq!(all_pass(&worker, "durable", &[]), 0);
}

/// The cache is as young as it can be, so that scenarios that sleep for nothing see no old answer; `cached` shows old ones.
#[test]
fn all_scenarios_pass_in_workerd_over_kv_and_durable_objects() {
    let worker = start(&json!({"TESSERA_MAX_STALE": "1ms"}));
    let needing = all_pass(&worker, "combined", &[("maximum-staleness-ms", json!(1))]);
    assert!(
        needing < 30,
        "{needing} scenarios need a store that is never stale"
    );
}

/// As in one place, where KV shows at once what was written there: a minute would have each scenario wait for it. What it is
/// like elsewhere, `kv` shows.
#[test]
fn all_scenarios_pass_in_workerd_over_kv_alone() {
    let worker = start(&nothing());
    let promises = [
        ("compare-and-swap", json!(false)),
        ("maximum-staleness-ms", json!(0)),
        ("index-staleness-ms", json!(0)),
        ("minimum-ttl-ms", json!(0)),
        ("minimum-write-interval-ms", json!(0)),
    ];
    let needing = all_pass(&worker, "kv", &promises);
    // Those about tokens from before a login, which are replaced elsewhere and missing here; the rule `conflict`; those that put a
    // record back by hand; eight of `guards.json`, where a renewal or login in the middle of another call moves the session; and one
    // of `standing.json`, which puts a record back.
    assert!(needing < 74, "{needing} scenarios need compare-and-swap");
}
