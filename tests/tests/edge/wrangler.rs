//! The Worker under `wrangler dev`, from the directory that `cargo xtask edge` makes.

use serde_json::json;
use tessera_tests::edge::{SERVICE_KEY, Worker};

fn under_wrangler(variables: &str) -> Worker {
    Worker::under_wrangler(variables).expect("a Worker")
}

#[test]
fn the_template_serves_sessions_with_the_keys_of_dev_vars() {
    let worker = under_wrangler("");
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let change = json!({"set": {"n": 1}}).to_string();
    let changed = worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change));
    assert_eq!(changed.ok()["fields"]["n"], 1);
    let read = worker.client().call("GET", "/auth", &token, None);
    assert_eq!(read.header("x-session-subject"), Some("alice"), "{read:?}");
}
