//! How often a request asks storage, as `docs/edge.md` says: that is what it costs.

use std::time::Duration;

use serde_json::json;
use tessera_tests::edge::{SERVICE_KEY, Worker};
use tessera_tests::http_client::Answer;

use crate::{nothing, start, state};

/// The answer, and how often Durable Objects were asked for it.
fn counted(worker: &Worker, method: &str, path: &str, token: &str, body: Option<&str>) -> (Answer, u64) {
    let asked = || state(worker)["object-questions"].as_u64().expect("a number");
    let before = asked();
    let answer = worker.client().call(method, path, token, body);
    (answer, asked() - before)
}

#[test]
fn each_request_asks_durable_objects_as_often_as_is_said() {
    let worker = start(&nothing());
    let (made, asked) = counted(
        &worker,
        "POST",
        "/v1/sessions",
        SERVICE_KEY,
        Some(r#"{"subject":"alice"}"#),
    );
    let token = made.token();
    assert_eq!(asked, 2, "a login enters its record in the subject's index");
    let verify = json!({ "token": token }).to_string();
    for (method, path, by, body, expected) in [
        ("GET", "/v1/session", &*token, None, 1),
        ("GET", "/auth", &token, None, 1),
        ("POST", "/v1/verify", SERVICE_KEY, Some(&*verify), 0),
        // It is read once, and not again after the write.
        ("PATCH", "/v1/session", &token, Some(r#"{"set":{"n":1}}"#), 2),
        ("PATCH", "/v1/session", &token, Some("{}"), 1),
        (
            "PATCH",
            "/v1/session",
            &token,
            Some(r#"{"remove":["no such field"]}"#),
            1,
        ),
        ("POST", "/v1/session/rotate", &token, Some("{}"), 2),
        // What judges the token is read fresh.
        ("DELETE", "/v1/session", &token, None, 4),
    ] {
        let (answer, asked) = counted(&worker, method, path, by, body);
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        assert_eq!(asked, expected, "{method} {path} {body:?}");
    }
}

/// Of a JWT past half of its life.
#[test]
fn a_token_that_is_made_anew_is_one_fresh_read() {
    let worker = start(&json!({
        "TESSERA_TOKEN_FORMAT": "jwt",
        "TESSERA_ISSUER": "https://a.example",
        "TESSERA_AUDIENCE": "b",
        "TESSERA_TOKEN_LIFETIME": "4s",
    }));
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    std::thread::sleep(Duration::from_millis(2100));
    for (method, body, expected) in [("GET", None, 2), ("PATCH", Some(r#"{"set":{"n":1}}"#), 3)] {
        let (answer, asked) = counted(&worker, method, "/v1/session", &token, body);
        assert!(answer.ok()["token"].is_string(), "{answer:?}");
        assert_eq!(asked, expected, "{method}");
    }
}

#[test]
fn each_call_on_a_connection_asks_durable_objects_as_often_as_is_said() {
    let worker = start(&nothing());
    let token = worker.client().create(SERVICE_KEY, Some("alice"));
    let (registered, asked) = counted(&worker, "POST", "/v1/connections", &token, None);
    let registered = registered.json();
    let name = registered["connection"].as_str().expect("a name");
    assert_eq!(asked, 10, "a registration");
    let messages = format!("/v1/connections/{name}/messages");
    let poll = format!("{messages}?wait=0");
    let one = format!("/v1/connections/{name}");
    for (method, path, by, body, expected) in [
        ("POST", &messages, SERVICE_KEY, Some(r#"{"data":"a"}"#), 1),
        ("GET", &poll, &*token, None, 3),
        ("GET", &one, SERVICE_KEY, None, 1),
    ] {
        let (answer, asked) = counted(&worker, method, path, by, body);
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        assert_eq!(asked, expected, "{method} {path}");
    }
}
