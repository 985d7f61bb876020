//! Connections in the Worker: WebSockets that hibernate, and long polls, by one Durable Object for each connection.

#[path = "connections/access.rs"]
mod access;
#[path = "connections/alike.rs"]
mod alike;
#[path = "connections/delivery.rs"]
mod delivery;
#[path = "connections/life.rs"]
mod life;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tessera_tests::edge::{SERVICE_KEY, Worker};
use tessera_tests::http_client::{Answer, bearer};
use tessera_tests::socket::Socket;

/// Something that has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn call(worker: &Worker, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
    let (bearer, body) = (bearer(token), body.map(|body| body.to_string()));
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let answer = worker.send(method, path, &headers, body.as_deref());
    answer.expect("an answer")
}

fn service(worker: &Worker, method: &str, path: &str, body: Option<Value>) -> Answer {
    call(worker, method, path, SERVICE_KEY, body)
}

/// A login of a subject: the token and the public id.
fn login(worker: &Worker, subject: &str) -> (String, String) {
    let session = service(
        worker,
        "POST",
        "/v1/sessions",
        Some(json!({ "subject": subject })),
    )
    .json();
    let text = |member: &str| session[member].as_str().expect("a string").to_owned();
    (text("token"), text("public_id"))
}

/// A login of a subject in a session: the new token.
fn login_again(worker: &Worker, token: &str, subject: &str) -> String {
    let bearer = bearer(token);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-Tessera-Service-Key", SERVICE_KEY),
        ("Content-Type", "application/json"),
    ];
    let body = json!({ "subject": subject }).to_string();
    let answer = worker.send("POST", "/v1/session/authenticate", &headers, Some(&body));
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["token"].as_str().expect("a token").to_owned()
}

/// A connection without a client: its name.
fn registered(worker: &Worker, token: &str) -> String {
    let answer = call(worker, "POST", "/v1/connections", token, None);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["connection"].as_str().expect("a name").to_owned()
}

/// A new stream by WebSocket.
fn socket(worker: &Worker, token: &str) -> Socket {
    let mut socket = Socket::with(worker.address(), token, "");
    assert!(!socket.opened());
    socket
}

/// Sends a message, and returns its id.
fn sent(worker: &Worker, connection: &str, data: &str) -> String {
    let path = format!("/v1/connections/{connection}/messages");
    let answer = service(worker, "POST", &path, Some(json!({ "data": data })));
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// The reason of an end with its close code.
fn end(code: u16, reason: &str) -> (String, (u16, String)) {
    (reason.to_owned(), (code, reason.to_owned()))
}

/// The connections of a session.
fn of_session(worker: &Worker, public_id: &str) -> Vec<Value> {
    let path = format!("/v1/sessions/{public_id}/connections");
    let mut listed = service(worker, "GET", &path, None).json();
    listed["connections"]
        .as_array_mut()
        .expect("a list")
        .drain(..)
        .collect()
}

/// All names in the list of connections with this prefix and type.
fn all(worker: &Worker, prefix: &str, kind: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/connections?prefix={prefix}&type={kind}&cursor={cursor}");
        let page = service(worker, "GET", &path, None).json();
        for listed in page["connections"].as_array().expect("a list") {
            names.push(listed["connection"].as_str().expect("a name").to_owned());
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return names,
        }
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it is still not so that {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
