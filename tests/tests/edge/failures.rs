//! What the Worker does where something fails: its configuration, the component, itself, or its storage.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tessera_tests::edge::{SERVICE_KEY, Worker};

use crate::{nothing, order, start, state, tell};

/// A short time-out, so that the tests wait for less.
const TIMEOUT_MS: u64 = 300;

fn impatient() -> Worker {
    start(&json!({"TESSERA_STORE_TIMEOUT": format!("{TIMEOUT_MS}ms")}))
}

#[test]
fn what_is_missing_or_weak_is_named_in_a_500_and_in_the_log() {
    let zeros = json!({"keys": [{"id": "k", "secret": "AAAA"}]}).to_string();
    for (variables, named) in [
        (json!({"TESSERA_KEYS": null}), "TESSERA_KEYS"),
        (json!({"TESSERA_KEYS": "not-a-key-file-SECRET"}), "TESSERA_KEYS"),
        (json!({ "TESSERA_KEYS": zeros }), "keys[0]"),
        (json!({"TESSERA_SERVICE_KEY": null}), "TESSERA_SERVICE_KEY"),
        (
            json!({"TESSERA_SERVICE_KEY": "short-SECRET"}),
            "TESSERA_SERVICE_KEY",
        ),
        (json!({"TESSERA_STORE": "somewhere"}), "TESSERA_STORE"),
        (json!({"TESSERA_IDLE_TIMEOUT": "soon"}), "TESSERA_IDLE_TIMEOUT"),
        (json!({"TESSERA_TOKEN_FORMAT": "paseto"}), "TESSERA_TOKEN_FORMAT"),
        (json!({"TESSERA_STORE_TIMEOUT": "61s"}), "TESSERA_STORE_TIMEOUT"),
        (
            json!({"TESSERA_AUTH_HEADERS": "role=Cookie"}),
            "TESSERA_AUTH_HEADERS",
        ),
        // The engine's own words.
        (json!({"TESSERA_STORE": "kv"}), "rotation-grace-ms"),
        (
            json!({"TESSERA_STORE": "kv", "TESSERA_ROTATION_GRACE": "60s", "TESSERA_FIELD_RULE": "conflict"}),
            "field-rule",
        ),
        (
            json!({"TESSERA_STORE": "kv", "TESSERA_ROTATION_GRACE": "60s", "TESSERA_SESSIONS_PER_SUBJECT": "5"}),
            "sessions-per-subject",
        ),
        (
            json!({"TESSERA_STORE": "combined", "TESSERA_MAX_STALE": "11s", "TESSERA_ROTATION_GRACE": "10s"}),
            "rotation-grace-ms",
        ),
        (
            json!({"TESSERA_STORE": "combined", "TESSERA_MAX_STALE": "11m"}),
            "TESSERA_MAX_STALE",
        ),
    ] {
        let worker = start(&variables);
        for path in ["/v1/session", "/healthz"] {
            let answer = worker.send("GET", path, &[], None).expect("an answer");
            answer.refused(500, "not-configured");
            let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
            assert!(detail.contains(named), "{variables} is answered {detail}");
            assert!(!answer.text.contains("SECRET"), "{}", answer.text);
        }
        let log = worker.log_with(named);
        assert!(
            log.contains("not configured") && log.contains(named),
            "{variables} is logged as {log}"
        );
        assert!(!log.contains("SECRET"), "{log}");
    }
}

/// What traps whichever instance is told of it.
#[test]
fn a_trap_that_comes_again_costs_one_request_its_answer_and_the_next_finds_a_new_instance() {
    let worker = start(&nothing());
    for _ in 0..3 {
        // What was opened before asks no instance.
        let token = worker.client().create(SERVICE_KEY, Some("alice"));
        order(&worker, &json!({"traps": 1}));
        worker
            .client()
            .call("GET", "/v1/session", &token, None)
            .refused(503, "instance-lost");
        let read = worker.client().call("GET", "/v1/session", &token, None).ok();
        assert_eq!(read["subject"], "alice");
        assert!(!worker.log().contains(&token), "a token stands in the log");
    }
    let said = "failed again, and its instance is discarded";
    assert!(worker.log_with(said).contains(said), "{}", worker.log());
}

/// What a session was asked and answered is told to the next instance: nothing is asked twice, and nothing is done twice.
#[test]
fn a_call_whose_instance_is_lost_goes_on_with_another_as_if_nothing_had_been() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, None);
    let questions = || state(&worker)["object-questions"].as_u64().expect("a number");
    let change = |n: u64| {
        let body = json!({"set": { "n": n }}).to_string();
        let before = questions();
        let changed = worker
            .client()
            .call("PATCH", "/v1/session", &token, Some(&body))
            .ok();
        assert_eq!(changed["fields"]["n"], n);
        questions() - before
    };
    assert_eq!(change(1), 2, "a change reads and writes");
    for (n, fault) in [(2, "losses"), (3, "write-losses")] {
        let mut faults = json!({});
        faults[fault] = json!(1);
        order(&worker, &faults);
        assert_eq!(change(n), 2, "{fault}");
    }
    let read = worker.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(read["fields"]["n"], 3);
    // A line comes after the others.
    worker.ask("POST", "/test/say/enough", None).expect("a line");
    let log = worker.log_with("enough");
    assert_eq!(log.matches("its instance is discarded").count(), 2, "{log}");
}

/// The first pass, and the one that is told what the store has answered.
#[test]
fn a_call_that_loses_two_instances_is_given_up() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, None);
    order(&worker, &json!({"losses": 2}));
    worker
        .client()
        .call("GET", "/v1/session", &token, None)
        .refused(503, "instance-lost");
    worker.client().call("GET", "/v1/session", &token, None).ok();
}

/// One isolate has one instance, which every request under way has begun on.
#[test]
fn a_trap_costs_the_requests_beside_it_nothing() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, None);
    let change = |n: usize| json!({"set": {format!("field{n}"): n}}).to_string();
    order(&worker, &json!({"slow-ms": 1000}));
    std::thread::scope(|scope| {
        let beside: Vec<_> = (0..3)
            .map(|n| {
                let (worker, token, body) = (&worker, &token, change(n));
                scope.spawn(move || worker.client().call("PATCH", "/v1/session", token, Some(&body)))
            })
            .collect();
        let begun = Instant::now();
        while state(&worker)["under-way"] != 4 {
            assert!(begun.elapsed() < Duration::from_secs(10), "they do not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
        order(&worker, &json!({"traps": 1}));
        let trapped = worker.client().call("GET", "/v1/session", &token, None);
        trapped.refused(503, "instance-lost");
        for asked in beside {
            asked.join().expect("no thread panicked").ok();
        }
    });
    let read = worker.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(read["fields"], json!({"field0": 0, "field1": 1, "field2": 2}));
}

#[test]
fn a_trap_after_a_write_was_asked_is_an_outcome_that_is_not_known() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, None);
    let change = json!({"set": {"n": 1}}).to_string();
    // The answers of a change: the read, then the write.
    order(&worker, &json!({"traps": 0}));
    worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change))
        .ok();
    order(&worker, &json!({"write-traps": 1}));
    worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change))
        .refused(503, "outcome-unknown");
    worker.client().call("GET", "/v1/session", &token, None).ok();
}

#[test]
fn a_panic_costs_the_requests_under_way_and_the_worker_begins_anew() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    for _ in 0..3 {
        worker
            .client()
            .send("POST", "/test/panic", &[], None)
            .refused(500, "other");
        let read = worker.client().call("GET", "/v1/session", &token, None).ok();
        assert_eq!(read["subject"], "alice");
    }
}

/// What ends at the end of its stack or memory says nothing.
#[test]
fn a_trap_of_the_worker_itself_is_as_a_panic() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    for _ in 0..3 {
        worker
            .client()
            .send("POST", "/test/trap", &[], None)
            .refused(500, "other");
        let read = worker.client().call("GET", "/v1/session", &token, None).ok();
        assert_eq!(read["subject"], "alice");
    }
}

/// Nobody would ever answer them: the instance that they are in is gone.
#[test]
fn a_panic_answers_the_requests_under_way_at_once() {
    let worker = start(&json!({"TESSERA_STORE_TIMEOUT": "60s"}));
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    order(&worker, &json!({"never": 3}));
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| worker.client().call("GET", "/v1/session", &token, None)))
            .collect();
        let begun = Instant::now();
        while state(&worker)["under-way"] != 4 {
            assert!(begun.elapsed() < Duration::from_secs(10), "they do not begin");
            std::thread::sleep(Duration::from_millis(10));
        }
        let panicked = worker.client().send("POST", "/test/panic", &[], None);
        panicked.refused(500, "other");
        for asked in waiting {
            asked.join().expect("no thread panicked").refused(500, "other");
        }
    });
    let read = worker.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(read["subject"], "alice");
    assert_eq!(
        state(&worker)["waiting"],
        1,
        "nobody waits for the instance that is gone"
    );
}

#[test]
fn storage_that_never_answers_is_503_in_time_and_leaves_nothing_behind() {
    let worker = impatient();
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let change = json!({"set": {"text": "x".repeat(10_000)}}).to_string();
    let round = |times: usize| {
        for _ in 0..times {
            order(&worker, &json!({"never": 1}));
            let asked = Instant::now();
            worker
                .client()
                .call("GET", "/v1/session", &token, None)
                .refused(503, "unavailable");
            let took = asked.elapsed();
            assert!(took >= Duration::from_millis(TIMEOUT_MS - 50), "{took:?}");
            assert!(took < Duration::from_secs(5), "{took:?}");
            order(&worker, &nothing());
            worker
                .client()
                .call("PATCH", "/v1/session", &token, Some(&change))
                .ok();
        }
    };
    round(3);
    let before = state(&worker);
    round(24);
    let after = state(&worker);
    tell(&format!(
        "storage that never answers: before {before}, after {after}"
    ));
    assert_eq!(after["under-way"], 1, "{after}");
    // One page at most: what a request holds that waits for storage is longer than a record, of which six fill a page.
    let bytes = |state: &Value| state["worker-bytes"].as_f64().expect("a number");
    assert!(
        bytes(&after) - bytes(&before) <= 65_536.0,
        "memory grows: {before} {after}"
    );
    assert_eq!(
        after["component-bytes"], before["component-bytes"],
        "the engine's memory grows"
    );
}

#[test]
fn a_write_that_never_answers_is_an_outcome_that_is_not_known() {
    let worker = impatient();
    let token = worker.client().create(SERVICE_KEY, None);
    order(&worker, &json!({"never-write": 1}));
    let change = json!({"set": {"n": 1}}).to_string();
    worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change))
        .refused(503, "outcome-unknown");
    worker
        .client()
        .call("PATCH", "/v1/session", &token, Some(&change))
        .ok();
}

/// The client goes away, the runtime ends the request, and nobody ever runs what was to come: its memory is found by its age.
#[test]
fn a_request_that_was_given_up_is_dropped_once_it_is_older_than_any_can_be() {
    let worker = start(&json!({"TESSERA_STORE_TIMEOUT": "60s"}));
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    const GIVEN_UP: u64 = 20;
    order(&worker, &json!({ "never": GIVEN_UP }));
    for _ in 0..GIVEN_UP {
        let headers = [("Authorization", &*tessera_tests::http_client::bearer(&token))];
        let request = tessera_tests::http_client::request("GET", "/v1/session", &headers, None);
        let mut connection = tessera_tests::http_client::connect(worker.address()).expect("a connection");
        std::io::Write::write_all(connection.get_mut(), &request).expect("it is sent");
        std::thread::sleep(Duration::from_millis(20));
        drop(connection);
    }
    let held = state(&worker)["under-way"].as_u64();
    assert_eq!(held, Some(GIVEN_UP + 1), "they wait for storage");
    assert_eq!(state(&worker)["waiting"], GIVEN_UP + 1, "and are waited for");
    std::thread::sleep(Duration::from_millis(50));
    worker.ask("POST", "/test/abandon/40", None).expect("an age");
    let left: Value = state(&worker);
    assert_eq!(left["under-way"], 1, "{left}");
    assert_eq!(left["waiting"], 1, "{left}");
    worker.client().call("GET", "/v1/session", &token, None).ok();
}

#[test]
fn an_outage_is_never_an_answer_about_a_login() {
    let worker = impatient();
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    for path in ["/v1/session", "/auth"] {
        order(&worker, &json!({"never": 1}));
        worker
            .client()
            .call("GET", path, &token, None)
            .refused(503, "unavailable");
    }
    order(&worker, &json!({"never": 1}));
    let answer = worker.send("GET", "/healthz", &[], None).expect("an answer");
    answer.refused(503, "unavailable");
    order(&worker, &nothing());
    assert_eq!(
        worker
            .send("GET", "/healthz", &[], None)
            .expect("an answer")
            .status,
        200
    );
}

/// A plan's daily writes are used up, or an object is full: reads go on.
#[test]
fn a_store_that_can_be_read_and_not_written_is_unhealthy() {
    let policy = |store: &str| json!({"TESSERA_STORE": store, "TESSERA_ROTATION_GRACE": "60s"});
    for (store, fault) in [
        ("durable", "unwritable"),
        ("combined", "unwritable"),
        ("kv", "throttled"),
    ] {
        let worker = start(&policy(store));
        let token = worker.client().create(SERVICE_KEY, Some("alice"));
        let health = || worker.send("GET", "/healthz", &[], None).expect("an answer");
        let mut faults = json!({});
        faults[fault] = json!(1000);
        order(&worker, &faults);
        for _ in 0..2 {
            health().refused(503, "unavailable");
        }
        worker.client().call("GET", "/v1/session", &token, None).ok();
        order(&worker, &nothing());
        let healthy = health().ok();
        assert_eq!(
            (&healthy["status"], &healthy["signing_key"]),
            (&json!("ok"), &json!("2026-01"))
        );
        let said = "the store cannot be read and written";
        assert!(worker.log_with(said).contains(said), "{store}: {}", worker.log());
    }
}

/// Anybody may ask for it, and each write costs.
#[test]
fn many_checks_of_health_in_a_row_write_once() {
    let worker = start(&json!({"TESSERA_STORE": "kv", "TESSERA_ROTATION_GRACE": "60s"}));
    let writes = || state(&worker)["kv-writes"].as_u64().expect("a number");
    let before = writes();
    for _ in 0..20 {
        worker.send("GET", "/healthz", &[], None).expect("an answer").ok();
    }
    assert_eq!(writes() - before, 1);
}
