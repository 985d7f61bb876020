//! The Worker and `tessera serve` answer calls on connections alike.

use serde_json::{Value, json};
use tessera_tests::edge::SERVICE_KEY;
use tessera_tests::http_client::{Answer, Client, bearer};

use crate::both::{Both, serve};
use crate::{nothing, start};

/// A request for both, in which `{}` is the connection's name, and the body if there is one.
type Alike<'a> = (&'a str, &'a str, Option<Value>);

#[test]
fn the_worker_and_tessera_serve_answer_calls_on_connections_alike() {
    let worker = start(&nothing());
    let host = serve(&["--demo", "off"]);
    let mut both = Both {
        edge: worker.client(),
        host: Client::new(&host.address),
        asked: 0,
    };
    let text = |answer: &Answer, member: &str| answer.json()[member].as_str().expect("a string").to_owned();
    let session = json!({"subject": "alice"}).to_string();
    let sessions = both.service("POST", "/v1/sessions", Some(&session));
    let tokens = sessions.each_ref().map(|session| text(session, "token"));
    let registered = both.holder("POST", "/v1/connections?prefix=/a&type=x", &tokens, None);
    let names = registered
        .each_ref()
        .map(|registered| text(registered, "connection"));
    let keys = [SERVICE_KEY.to_owned(), SERVICE_KEY.to_owned()];
    let mut send = |credentials: &[String; 2], (method, path, body): Alike<'_>| {
        let paths = names.each_ref().map(|name| path.replace("{}", name));
        let bearers = credentials.each_ref().map(|token| bearer(token));
        let headers = bearers.each_ref().map(|bearer| {
            [
                ("Authorization", bearer.as_str()),
                ("Content-Type", "application/json"),
            ]
        });
        let body = body.map(|body| body.to_string());
        both.send(
            method,
            [&paths[0], &paths[1]],
            [&headers[0], &headers[1]],
            body.as_deref(),
        )
    };
    let message = |text: &str| Some(json!({"data": text, "event": "news", "key": "k"}));
    for (method, path, body) in [
        ("POST", "/v1/connections/{}/messages", message("a")),
        ("POST", "/v1/connections/{}/messages", message("again")),
        ("POST", "/v1/connections/{}/messages", Some(json!({}))),
        ("POST", "/v1/connections/{}/messages", Some(json!({"data": 1}))),
        ("POST", "/v1/connections/{}/messages", Some(json!({"data": "\0"}))),
        (
            "POST",
            "/v1/connections/{}/messages",
            Some(json!({"data": "a", "event": "end"})),
        ),
        (
            "POST",
            "/v1/connections/{}/messages",
            Some(json!({"data": "a", "key": "k".repeat(65)})),
        ),
        (
            "POST",
            "/v1/connections/{}/messages",
            Some(json!({"data": "a".repeat(65_537)})),
        ),
        (
            "POST",
            "/v1/connections/{}/messages",
            Some(json!({"data": "a", "more": 1})),
        ),
        ("POST", "/v1/connections/nobody/messages", message("a")),
        ("POST", "/v1/connections/a%20b/messages", message("a")),
        ("POST", "/v1/connections/%ff/messages", message("a")),
        ("POST", "/v1/subjects/alice/messages", message("to the subject")),
        ("POST", "/v1/subjects/bob/messages", message("to nobody")),
        ("POST", "/v1/messages?prefix=/a", Some(json!({"data": "to all"}))),
        ("POST", "/v1/messages?what=1", message("a")),
        ("GET", "/v1/connections/{}", None),
        ("GET", "/v1/connections/nobody", None),
        ("GET", "/v1/connections?prefix=/a&type=x", None),
        ("GET", "/v1/connections?prefix=/b", None),
        ("GET", "/v1/connections?cursor=%01", None),
        ("GET", "/v1/sessions/nobody/connections", None),
        ("GET", "/v1/subjects/alice/connections", None),
        ("PUT", "/v1/connections", None),
    ] {
        send(&keys, (method, path, body));
    }
    for (method, path) in [
        ("GET", "/v1/connections/{}/messages?wait=0"),
        ("GET", "/v1/connections/{}/messages?wait=26"),
        ("GET", "/v1/connections/{}/messages?wait=-1"),
        ("GET", "/v1/connections/{}/messages?wait=0&after=x"),
        ("GET", "/v1/connections/{}/messages?wait=0&after=other:0.00000000"),
        ("GET", "/v1/connections/{}/messages?wait=0&after={}:7.00000007"),
        ("GET", "/v1/connections/nobody/messages?wait=0"),
        ("POST", "/v1/connections?what=1"),
        ("POST", "/v1/connections?prefix=%00"),
        ("GET", "/v1/connections"),
    ] {
        send(&tokens, (method, path, None));
    }
    let nobody = ["-".to_owned(), "-".to_owned()];
    send(&nobody, ("POST", "/v1/connections", None));
    send(&nobody, ("GET", "/v1/connections/{}/messages?wait=0", None));
    send(&keys, ("DELETE", "/v1/connections/{}", None));
    for method in ["GET", "POST"] {
        let credentials = if method == "GET" { &tokens } else { &keys };
        let path = "/v1/connections/{}/messages";
        send(
            credentials,
            (method, path, message("late").filter(|_| method == "POST")),
        );
    }
    // What was left is delivered, then the end.
    send(
        &tokens,
        (
            "GET",
            "/v1/connections/{}/messages?wait=0&after={}:0.00000000",
            None,
        ),
    );
    assert!(both.asked > 40);
}
