//! A store that fails is an outage: neither "logged in" nor "not logged in".

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::client::Answer;
use crate::serve;
use crate::server::Server;

/// A write that was asked may have been done, for all the engine knows; anything else certainly was not.
#[track_caller]
fn unavailable(method: &str, answer: &Answer) {
    let code = answer.code();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(
        code == "unavailable" || (method != "GET" && code == "outcome-unknown"),
        "{answer:?}"
    );
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert!(
        !answer.text.contains("sessions.db") && !answer.text.contains("records"),
        "{answer:?}"
    );
}

/// A check answers for a second what the last look at the store has seen.
fn health_becomes(server: &Server, status: u16) {
    let started = Instant::now();
    while server.client().send("GET", "/healthz", &[], None).status != status {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As when another process has the file for itself, a backup for one: what is read is served, what is written is not.
#[test]
fn a_locked_file_refuses_writes_and_serves_reads() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    let other = Connection::open(server.data.join("sessions.db")).expect("the file opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");

    client.call("GET", "/v1/session", &token, None).ok();
    // All at once, for each waits as long as the store does.
    std::thread::scope(|scope| {
        for (method, path, credentials, body) in [
            ("PATCH", "/v1/session", &token, Some(r#"{"set":{"a":1}}"#)),
            ("DELETE", "/v1/session", &token, None),
            ("POST", "/v1/sessions", &key, Some("{}")),
            ("DELETE", "/v1/subjects/alice/sessions", &key, None),
            // A service that can write nothing is not well.
            ("GET", "/healthz", &key, None),
        ] {
            let mut client = server.client();
            scope.spawn(move || unavailable(method, &client.call(method, path, credentials, body)));
        }
    });
    other.execute_batch("ROLLBACK").expect("no lock");
    let changed = client
        .call("PATCH", "/v1/session", &token, Some(r#"{"set":{"a":2}}"#))
        .ok();
    assert_eq!(changed["fields"], serde_json::json!({ "a": 2 }));
    health_becomes(&server, 200);
    server.stop();
}

/// As when the file was replaced by another, or damaged.
#[test]
fn a_file_that_cannot_be_read_is_no_logout() {
    let (_directory, server) = serve(&["--log", "debug"]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    assert_eq!(client.send("GET", "/healthz", &[], None).status, 200);
    let other = Connection::open(server.data.join("sessions.db")).expect("the file opens");
    other.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    other
        .execute_batch("ALTER TABLE records RENAME TO gone")
        .expect("another schema");

    for (method, path, credentials, body) in [
        ("GET", "/v1/session", &token, None),
        ("PATCH", "/v1/session", &token, Some(r#"{"set":{"a":1}}"#)),
        ("POST", "/v1/session/rotate", &token, None),
        ("DELETE", "/v1/session", &token, None),
        ("POST", "/v1/sessions", &key, Some(r#"{"subject":"bob"}"#)),
        ("GET", "/v1/subjects/alice/sessions", &key, None),
        ("DELETE", "/v1/subjects/alice/sessions", &key, None),
    ] {
        unavailable(method, &client.call(method, path, credentials, body));
    }
    health_becomes(&server, 503);
    // A check that asks no store still works.
    let body = serde_json::json!({ "token": token }).to_string();
    client.send("POST", "/v1/verify", &[], Some(&body)).ok();

    other
        .execute_batch("ALTER TABLE gone RENAME TO records")
        .expect("the schema as it was");
    client.call("GET", "/v1/session", &token, None).ok();
    health_becomes(&server, 200);
    let log = server.log();
    assert!(
        log.contains("no such table"),
        "the operator reads what happened:\n{log}"
    );
    assert!(!log.contains(&token) && !log.contains(&key), "{log}");
    server.stop();
}

/// The engine has read the record before, and its version is still the same.
#[test]
fn a_record_damaged_on_disk_opens_nothing_although_it_was_read_before() {
    let (_directory, server) = serve(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    // On every instance of the engine.
    for _ in 0..20 {
        server.client().call("GET", "/v1/session", &token, None).ok();
    }
    let file = Connection::open(server.data.join("sessions.db")).expect("the file opens");
    file.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    let damage = "UPDATE records SET value = replace(value, '\"fields\"', '\"fjelds\"')";
    assert_eq!(file.execute(damage, []).expect("damaged"), 1);
    for _ in 0..20 {
        let mut client = server.client();
        client
            .call("GET", "/v1/session", &token, None)
            .refused(500, "corrupt");
        client.call("GET", "/auth", &token, None).refused(500, "corrupt");
    }
    let listed = client.call("GET", "/v1/subjects/alice/sessions", &key, None).ok();
    assert_eq!(listed["sessions"], serde_json::json!([]));
    server.stop();
}
