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

/// `wrangler dev` passes each request on to workerd, over connections that others follow on.
#[test]
fn a_refusal_before_the_body_is_read_costs_no_later_request_its_answer() {
    let worker = under_wrangler("");
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let body = json!({"set": {"text": "x".repeat(50_000)}}).to_string();
    // Longer than any body that is read: it is refused in its midst.
    let long = "x".repeat(2 << 20);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut client = worker.client();
                    client
                        .call("PATCH", "/v1/session", "bogus", Some(&body))
                        .refused(401, "token-malformed");
                    client.call("GET", "/v1/session", &token, None).ok();
                }
                for _ in 0..10 {
                    let mut client = worker.client();
                    client
                        .call("POST", "/v1/sessions", SERVICE_KEY, Some(&long))
                        .refused(413, "body-too-large");
                    client.call("GET", "/v1/session", &token, None).ok();
                }
            });
        }
    });
}
