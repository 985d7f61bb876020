//! KV as a cache over Durable Objects: cheap reads, and revocation that is late by no more than is stated.

use std::time::{Duration, Instant};

use serde_json::json;
use tessera_tests::edge::{SERVICE_KEY, Worker};

use crate::{nothing, order, start, state};

const MAX_STALE: Duration = Duration::from_millis(1500);

fn combined() -> Worker {
    start(&json!({"TESSERA_STORE": "combined", "TESSERA_MAX_STALE": format!("{}ms", MAX_STALE.as_millis())}))
}

fn status(worker: &Worker, token: &str) -> u16 {
    worker.client().call("GET", "/v1/session", token, None).status
}

#[test]
fn a_read_is_served_from_kv_and_the_durable_object_is_not_asked() {
    let worker = combined();
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    assert_eq!(status(&worker, &token), 200);
    // Kept after the answer has left.
    let start = Instant::now();
    let asked = || worker.ask("GET", "/test/state", None).expect("the state")["object-questions"].as_u64();
    while start.elapsed() < Duration::from_secs(1) {
        let before = asked();
        assert_eq!(status(&worker, &token), 200);
        if asked() == before {
            return;
        }
    }
    panic!("every read has asked the Durable Object");
}

/// KV that goes on answering what it had: its own age is of no account.
#[test]
fn a_revocation_is_late_by_no_more_than_is_stated_however_stale_kv_is() {
    let worker = combined();
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    for _ in 0..3 {
        assert_eq!(status(&worker, &token), 200);
        std::thread::sleep(Duration::from_millis(30));
    }
    order(&worker, &json!({"stale-reads": 100_000}));
    worker.client().call("DELETE", "/v1/session", &token, None);
    let ended = Instant::now();
    let mut late = Duration::ZERO;
    while ended.elapsed() < MAX_STALE * 2 {
        match status(&worker, &token) {
            200 => late = ended.elapsed(),
            401 => {}
            other => panic!("it is answered {other}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(late > Duration::ZERO, "KV was not stale, and nothing was shown");
    assert!(
        late < MAX_STALE + Duration::from_millis(100),
        "it was served {late:?} after its end"
    );
    assert_eq!(status(&worker, &token), 401);
}

#[test]
fn a_save_loses_nothing_to_a_stale_cache() {
    let worker = combined();
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    order(&worker, &json!({"stale-reads": 3}));
    for n in 0..20 {
        let change = json!({"set": {format!("field{n}"): n}}).to_string();
        worker
            .client()
            .call("PATCH", "/v1/session", &token, Some(&change))
            .ok();
    }
    order(&worker, &nothing());
    std::thread::sleep(MAX_STALE);
    let read = worker.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(
        read["fields"].as_object().map(serde_json::Map::len),
        Some(20),
        "{read}"
    );
}

/// What KV refuses is not kept, and every answer is right all the same.
#[test]
fn a_cache_that_answers_429_is_none() {
    let worker = combined();
    order(&worker, &json!({"throttled": 1000}));
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    for n in 0..10 {
        let change = json!({"set": { "n": n }}).to_string();
        let changed = worker
            .client()
            .call("PATCH", "/v1/session", &token, Some(&change))
            .ok();
        assert_eq!(changed["fields"]["n"], n);
        let read = worker.client().call("GET", "/v1/session", &token, None).ok();
        assert_eq!(read["fields"]["n"], n);
    }
    worker.client().call("DELETE", "/v1/session", &token, None);
    assert_eq!(status(&worker, &token), 401);
}

/// What is asked of KV and never answered costs its time, and no answer.
#[test]
fn a_cache_that_never_answers_is_none() {
    let worker = start(&json!({"TESSERA_STORE": "combined", "TESSERA_STORE_TIMEOUT": "900ms"}));
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    // A save asks it for the record before, and to forget that after.
    order(&worker, &json!({"never-kv": 1000}));
    let change = json!({"set": {"n": 1}}).to_string();
    let changed = worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change))
        .ok();
    assert_eq!(changed["fields"]["n"], 1);
    assert_eq!(status(&worker, &token), 200);
    let ended = worker.client().call("DELETE", "/v1/session", &token, None);
    assert_eq!(ended.status, 204, "{ended:?}");
    assert_eq!(status(&worker, &token), 401);
    std::thread::sleep(Duration::from_millis(400));
    let left = state(&worker);
    assert_eq!(left["under-way"], 1, "what was to be cached is given up: {left}");
}

/// A write to KV costs as much as ten reads: the default is to cause few.
#[test]
fn a_session_that_is_read_all_the_time_is_written_into_the_cache_once_a_minute() {
    let worker = start(&json!({"TESSERA_STORE": "combined"}));
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let read = || worker.client().call("GET", "/v1/session", &token, None).ok();
    read();
    // It is written once the read is answered.
    std::thread::sleep(Duration::from_millis(200));
    let before = state(&worker)["kv-writes"].clone();
    for _ in 0..6 {
        std::thread::sleep(Duration::from_secs(1));
        read();
    }
    assert_eq!(state(&worker)["kv-writes"], before);
}
