//! The Worker, in workerd: its stores, its engine, and what it answers.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::Write as _;

use serde_json::{Value, json};
use tessera_tests::edge::Worker;

#[path = "edge/both.rs"]
mod both;
#[path = "edge/bundle.rs"]
mod bundle;
#[path = "edge/cached.rs"]
mod cached;
#[path = "edge/connections.rs"]
mod connections;
#[path = "edge/contended.rs"]
mod contended;
#[path = "edge/contract.rs"]
mod contract;
#[path = "edge/demo.rs"]
mod demo;
#[path = "edge/failures.rs"]
mod failures;
#[path = "edge/hosts.rs"]
mod hosts;
#[path = "edge/kv.rs"]
mod kv;
#[path = "edge/operations.rs"]
mod operations;
#[path = "edge/remembered.rs"]
mod remembered;
#[path = "edge/scenarios.rs"]
mod scenarios;
#[path = "edge/soak.rs"]
mod soak;
#[path = "edge/stores.rs"]
mod stores;
#[path = "edge/variables.rs"]
mod variables;
#[path = "edge/wrangler.rs"]
mod wrangler;

/// A Worker with these variables.
fn start(variables: &Value) -> Worker {
    Worker::start(variables).expect("a Worker")
}

/// Orders faults of the Worker's storage, in the place of those before.
fn order(worker: &Worker, faults: &Value) {
    worker
        .ask("POST", "/test/faults", Some(faults))
        .expect("the faults are ordered");
}

/// What the Worker holds: the requests under way, this one among them, and bytes of memory.
fn state(worker: &Worker) -> Value {
    worker.ask("GET", "/test/state", None).expect("the state")
}

fn tell(what: &str) {
    // Not `print`, which the test harness would swallow.
    let _ = writeln!(std::io::stderr(), "{what}");
}

fn nothing() -> Value {
    json!({})
}
