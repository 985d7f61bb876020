//! Who may use a connection, and the lists.

use std::time::Duration;

use serde_json::json;
use tessera_tests::http_client::bearer;
use tessera_tests::socket::Socket;

use super::{all, call, login, login_again, of_session, registered, sent, service, socket, wait_until};
use crate::{nothing, start};

#[test]
fn a_connection_belongs_to_its_session_alone() {
    let worker = start(&nothing());
    let ((alice, _), (mallory, _)) = (login(&worker, "alice"), login(&worker, "mallory"));
    let of_alice = socket(&worker, &alice);
    sent(&worker, &of_alice.name, "for alice");
    let (mut stolen, is_resumed) = Socket::after(worker.address(), &mallory, &of_alice.last);
    assert!(!is_resumed && stolen.name != of_alice.name);
    sent(&worker, &stolen.name, "for mallory");
    assert_eq!(stolen.event(), ("gap".into(), "{}".into()));
    assert_eq!(stolen.message(), "for mallory");
    let path = format!("/v1/connections/{}/messages?wait=0", of_alice.name);
    let polled = call(&worker, "GET", &path, &mallory, None);
    assert_eq!(
        (polled.status, &polled.json()["code"]),
        (404, &json!("connection-not-found"))
    );
}

#[test]
fn what_is_left_of_a_connection_belongs_to_its_login_alone() {
    let worker = start(&nothing());
    let (token, public_id) = login(&worker, "alice");
    let name = registered(&worker, &token);
    sent(&worker, &name, "for alice");
    let token = login_again(&worker, &token, "mallory");
    let session = call(&worker, "GET", "/v1/session", &token, None).json();
    assert_eq!(session["public_id"], public_id.as_str());
    let cursor = format!("{name}:0.00000000");
    let path = format!("/v1/connections/{name}/messages?wait=0&after={cursor}");
    let polled = call(&worker, "GET", &path, &token, None);
    assert_eq!(
        (polled.status, &polled.json()["code"]),
        (404, &json!("connection-not-found"))
    );
    let (_, is_resumed) = Socket::after(worker.address(), &token, &cursor);
    assert!(!is_resumed);
}

#[test]
fn a_session_has_sixteen_connections_and_those_left_behind_make_room() {
    let worker = start(&nothing());
    let (token, public_id) = login(&worker, "alice");
    let mut sockets: Vec<Socket> = (0..16).map(|_| socket(&worker, &token)).collect();
    let mut refused = Socket::with(worker.address(), &token, "");
    assert_eq!(refused.closed(), (1013, "too-many-connections".to_owned()));
    drop(sockets.remove(0));
    wait_until("a connection is without a client", || {
        of_session(&worker, &public_id)
            .iter()
            .any(|listed| listed["attached"] == false)
    });
    // A new connection has half a second for its client.
    std::thread::sleep(Duration::from_millis(600));
    sockets.push(socket(&worker, &token));
}

#[test]
fn the_lists_have_each_connection_and_lose_it_after_its_time() {
    let worker = start(&nothing());
    let (token, public_id) = login(&worker, "alice");
    let registered = |prefix: &str, kind: &str| {
        let path = format!("/v1/connections?prefix={prefix}&type={kind}");
        let answer = call(&worker, "POST", &path, &token, None);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["connection"].as_str().expect("a name").to_owned()
    };
    let (a, b) = (registered("/a", "x"), registered("/b", "x"));
    let c = registered("/a/c", "y");
    let mut under_a = all(&worker, "/a", "");
    under_a.sort_unstable();
    let mut wanted = [a.clone(), c.clone()];
    wanted.sort_unstable();
    assert_eq!(under_a, wanted);
    assert_eq!(all(&worker, "/a", "y"), [c]);
    assert_eq!(of_session(&worker, &public_id).len(), 3);
    let of_subject = service(&worker, "GET", "/v1/subjects/alice/connections", None).json();
    assert_eq!(of_subject["connections"].as_array().map(Vec::len), Some(3));
    let outcomes = service(
        &worker,
        "POST",
        "/v1/messages?prefix=/b",
        Some(json!({"data": "x"})),
    )
    .json();
    assert_eq!(outcomes["outcomes"][0]["connection"], b.as_str());
    // Without a client, a mailbox of the tests lives for four seconds.
    let lines = || {
        worker.ask(
            "GET",
            &format!("/test/lines/connections%2F/session:{public_id}"),
            None,
        )
    };
    assert_eq!(lines().expect("lines").as_array().map(Vec::len), Some(3));
    wait_until("the lists are empty", || {
        all(&worker, "", "").is_empty() && lines().expect("lines") == json!([])
    });
    let gone = service(&worker, "GET", &format!("/v1/connections/{a}"), None);
    assert_eq!(gone.status, 404);
}

#[test]
fn a_client_that_sends_messages_or_comes_from_another_origin_is_refused() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    let mut noisy = socket(&worker, &token);
    noisy.socket.send("hello".into()).expect("a frame");
    assert_eq!(noisy.closed(), (1003, "no-messages".to_owned()));
    let path = format!("/v1/connections/{}", noisy.name);
    wait_until("the connection is without a client", || {
        service(&worker, "GET", &path, None).json()["attached"] == false
    });
    let mut nobody = Socket::open(worker.address(), &[], "").expect("an accepted handshake");
    assert_eq!(nobody.closed(), (4401, "token-absent".to_owned()));
    let cookie = format!("__Host-tessera={token}");
    let cross = [("Cookie", cookie.as_str()), ("Origin", "https://evil.example")];
    let refused = Socket::open(worker.address(), &cross, "")
        .err()
        .map(|(status, _)| status);
    assert_eq!(refused, Some(403));
    // A Worker that calls this one by a service binding names no version.
    let upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Authorization", &bearer(&token)),
    ];
    let other = [upgrade[0], upgrade[1], upgrade[2], ("Sec-WebSocket-Version", "8")];
    let refused = worker
        .send("GET", "/v1/connections", &other, None)
        .expect("an answer");
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (400, &json!("handshake-malformed"))
    );
    let malformed = Socket::open(
        worker.address(),
        &[("Authorization", &bearer(&token))],
        "?after=x",
    );
    assert_eq!(malformed.err().map(|(status, _)| status), Some(400));
}

#[test]
fn what_the_worker_does_not_have_is_said() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    let headers = [
        ("Authorization", bearer(&token)),
        ("Accept", "text/event-stream".to_owned()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let stream = worker
        .send("GET", "/v1/connections", &headers, None)
        .expect("an answer");
    assert_eq!(
        (stream.status, &stream.json()["code"]),
        (501, &json!("unsupported"))
    );
    let worker = start(&json!({"TESSERA_STORE": "kv", "TESSERA_ROTATION_GRACE": "60s"}));
    for (method, path) in [
        ("GET", "/v1/connections"),
        ("POST", "/v1/connections"),
        ("POST", "/v1/connections/a/messages"),
        ("GET", "/v1/sessions/a/connections"),
        ("POST", "/v1/subjects/a/messages"),
        ("POST", "/v1/messages"),
    ] {
        let answer = service(&worker, method, path, None);
        let code = answer.json()["code"].clone();
        assert_eq!(
            (answer.status, code),
            (501, json!("unsupported")),
            "{method} {path}"
        );
    }
}
