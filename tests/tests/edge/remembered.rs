//! What a Worker remembers of opens: the store is asked each time, the component where its answer may be another.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use tessera_tests::edge::{SERVICE_KEY, Worker};

use crate::{nothing, order, start, state};

/// Whether a request with a token calls the component, by a fault that every pass through it meets: the pass is made once more
/// on another instance, which the log says.
fn calls_component(worker: &Worker, token: &str) -> bool {
    static LINES: AtomicU32 = AtomicU32::new(0);
    let lost = || {
        // A line comes after the others.
        let line = format!("line-{}.", LINES.fetch_add(1, Ordering::Relaxed));
        worker
            .ask("POST", &format!("/test/say/{line}"), None)
            .expect("a line");
        let log = worker.log_with(&line);
        log.matches("its instance is discarded").count()
    };
    let before = lost();
    order(worker, &json!({"losses": 1}));
    worker.client().call("GET", "/v1/session", token, None);
    order(worker, &nothing());
    lost() > before
}

#[test]
fn an_open_that_was_decided_asks_the_store_and_not_the_component() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    assert!(calls_component(&worker, &token));
    worker.client().call("GET", "/v1/session", &token, None).ok();
    for _ in 0..3 {
        let asked = || state(&worker)["object-questions"].as_u64().expect("a number");
        let before = asked();
        assert!(!calls_component(&worker, &token));
        assert_eq!(asked() - before, 1);
    }
}

#[test]
fn another_version_an_end_and_a_damaged_token_are_decided_anew() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let read = |token: &str| worker.client().call("GET", "/v1/session", token, None);
    read(&token).ok();
    let body = json!({"set": {"n": 1}}).to_string();
    worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&body))
        .ok();
    assert!(
        !calls_component(&worker, &token),
        "the Worker has written it itself"
    );
    assert_eq!(read(&token).ok()["fields"]["n"], 1);
    // Another Worker's save, or a login elsewhere, is another version or guard.
    let rotated = worker
        .client()
        .call("POST", "/v1/session/rotate", &token, None)
        .ok();
    assert!(calls_component(&worker, &token), "the generations are others");
    assert!(
        rotated["token"]
            .as_str()
            .is_some_and(|new| calls_component(&worker, new))
    );
    read(&token).ok();
    assert!(!calls_component(&worker, &token));

    let mut damaged = token.clone().into_bytes();
    let last = damaged.last_mut().expect("a byte");
    *last = if *last == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).expect("text");
    assert!(calls_component(&worker, &damaged));

    let revoke = "/v1/subjects/alice/sessions";
    worker.client().call("DELETE", revoke, SERVICE_KEY, None).ok();
    assert_eq!(read(&token).status, 401);
}

#[test]
fn a_moment_on_which_the_decision_depends_is_decided_anew() {
    let worker = start(&json!({"TESSERA_IDLE_TIMEOUT": "4s", "TESSERA_TOUCH_INTERVAL": "1s"}));
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let read = || worker.client().call("GET", "/v1/session", &token, None);
    read().ok();
    // The touch has fallen due: the request moves the expiry, and the next is decided by that.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(calls_component(&worker, &token));
    read().ok();
    std::thread::sleep(Duration::from_millis(4500));
    assert_eq!(read().status, 401, "it has expired");
}
