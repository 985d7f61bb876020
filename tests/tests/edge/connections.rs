//! Connections in the Worker: WebSockets that hibernate, and long polls, by one Durable Object for each connection.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tessera::store::{Condition, Store as _};
use tessera_tests::edge::{Remote, RemoteMailbox, SERVICE_KEY, Worker};
use tessera_tests::http_client::{Answer, Client, bearer};
use tessera_tests::mailbox_suite::check_stored;
use tessera_tests::socket::Socket;

use crate::both::{Both, serve};
use crate::{nothing, order, start, state};

/// Something that has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// workerd has memory for the databases of some three thousand objects.
const MAILBOXES_OF_A_WORKER: u32 = 4;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_objects_of_connections_keep_the_mailbox_suite() {
    let (worker, made) = (RefCell::new(start(&nothing())), Cell::new(0));
    check_stored(&async || {
        if made.replace(made.get() + 1) % MAILBOXES_OF_A_WORKER == MAILBOXES_OF_A_WORKER - 1 {
            worker.replace(start(&nothing()));
        }
        let mailbox = RemoteMailbox::new(&worker.borrow());
        (mailbox.clone(), mailbox)
    })
    .await;
}

#[test]
fn messages_arrive_in_order_and_a_client_continues_after_its_cursor_by_socket_and_by_poll() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    let mut first = socket(&worker, &token);
    for number in 0..20 {
        sent(&worker, &first.name, &format!("{number}\r\n"));
    }
    for number in 0..7 {
        assert_eq!(first.message(), format!("{number}\r\n"));
    }
    let (last, name) = (first.last.clone(), first.name.clone());
    drop(first);
    let (mut back, is_resumed) = Socket::after(worker.address(), &token, &last);
    assert!(is_resumed && back.name == name);
    for number in 7..20 {
        assert_eq!(back.message(), format!("{number}\r\n"));
    }
    let path = |after: &str, wait: u32| format!("/v1/connections/{name}/messages?after={after}&wait={wait}");
    let polled = call(&worker, "GET", &path(&back.last, 0), &token, None).json();
    assert_eq!(polled["events"], json!([]));
    // The poll has displaced the socket.
    assert_eq!(back.end(), end(4409, "taken-over"));
    // A message ends the wait of a poll.
    let poll = std::thread::spawn({
        let (worker, token, path) = (worker.clone(), token.clone(), path(&back.last, 25));
        move || call(&worker, "GET", &path, &token, None).json()
    });
    wait_until("the poll waits", || {
        let path = format!("/v1/connections/{name}");
        service(&worker, "GET", &path, None).json()["attached"] == true
    });
    let id = sent(&worker, &name, "for the poll");
    let polled = poll.join().expect("an answer");
    let wanted = json!([{"event": "message", "id": format!("{name}:{id}"), "data": "for the poll"}]);
    assert_eq!(polled["events"], wanted);
    // An answer that was lost is repeated.
    let again = call(&worker, "GET", &path(&back.last, 0), &token, None).json();
    assert_eq!(again["events"], wanted);
    let (mut back, is_resumed) = Socket::after(
        worker.address(),
        &token,
        again["after"].as_str().expect("a cursor"),
    );
    assert!(is_resumed);
    sent(&worker, &name, "last");
    assert_eq!(back.message(), "last");
}

#[test]
fn a_message_wakes_an_object_that_hibernates_and_its_lease_is_renewed() {
    let worker = start(&nothing());
    let (token, public_id) = login(&worker, "alice");
    let mut socket = socket(&worker, &token);
    sent(&worker, &socket.name, "before");
    assert_eq!(socket.message(), "before");
    let made = || state(&worker)["connections-made"].as_u64().expect("a number");
    let before = made();
    // workerd discards an object that has done nothing for ten seconds.
    std::thread::sleep(Duration::from_secs(13));
    sent(&worker, &socket.name, "after");
    assert_eq!(socket.message(), "after");
    assert!(made() > before, "the object was not discarded");
    // The lease of the tests is half a minute.
    std::thread::sleep(Duration::from_secs(21));
    assert_eq!(of_session(&worker, &public_id)[0]["attached"], true);
    sent(&worker, &socket.name, "much later");
    assert_eq!(socket.message(), "much later");
}

#[test]
fn a_stream_ends_with_its_session_however_that_ends() {
    let worker = start(&nothing());
    let over = || end(4401, "session-over");
    // A logout by its holder.
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    sent(&worker, &stream.name, "a");
    assert_eq!(call(&worker, "DELETE", "/v1/session", &token, None).status, 204);
    assert_eq!(stream.message(), "a");
    assert_eq!(stream.end(), over());
    // A revocation by a service.
    let (token, public_id) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    let path = format!("/v1/subjects/alice/sessions/{public_id}");
    assert_eq!(service(&worker, "DELETE", &path, None).status, 204);
    assert_eq!(stream.end(), over());
    // A login that replaces the token.
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    let bearer = bearer(&token);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-Tessera-Service-Key", SERVICE_KEY),
        ("Content-Type", "application/json"),
    ];
    let body = json!({"subject": "alice"}).to_string();
    let path = "/v1/session/authenticate";
    let again = worker
        .send("POST", path, &headers, Some(&body))
        .expect("an answer");
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(stream.end(), over());
    // A renewed token and a save are no end.
    let token = again.json()["token"].as_str().expect("a token").to_owned();
    let mut stream = socket(&worker, &token);
    let rotated = call(&worker, "POST", "/v1/session/rotate", &token, None);
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let token = rotated.json()["token"].as_str().expect("a token").to_owned();
    let saved = call(
        &worker,
        "PATCH",
        "/v1/session",
        &token,
        Some(json!({"set": {"theme": "dark"}})),
    );
    assert_eq!(saved.status, 200, "{saved:?}");
    sent(&worker, &stream.name, "alive");
    assert_eq!(stream.message(), "alive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_notification_that_has_failed_is_repeated() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    order(&worker, &json!({"unnotified": 2}));
    let store = Remote::of_service(&worker, "durable").expect("a store");
    let page = store.list_owned(tessera::Timestamp::now(), "alice", "", 10).await;
    let key = page.expect("a page").rows[0].key.clone();
    let owner = Condition::Owner("alice".to_owned());
    // Nothing but the record's object knows.
    assert!(
        store
            .delete(tessera::Timestamp::now(), &key, &owner)
            .await
            .expect("a deletion")
    );
    assert_eq!(stream.end(), end(4401, "session-over"));
}

#[test]
fn a_stream_is_no_activity_and_ends_when_its_session_expires() {
    let worker = start(&json!({"TESSERA_IDLE_TIMEOUT": "3s", "TESSERA_TOUCH_INTERVAL": "0s"}));
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    let began = Instant::now();
    assert_eq!(stream.end(), end(4401, "session-over"));
    assert!(began.elapsed() > Duration::from_secs(2), "it had not expired");
    // One whose session is used lives on.
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(call(&worker, "GET", "/v1/session", &token, None).status / 100, 2);
    }
    sent(&worker, &stream.name, "alive");
    assert_eq!(stream.message(), "alive");
}

#[test]
fn a_client_whose_session_cannot_be_judged_is_sent_away_and_continues_later() {
    let worker = start(
        &json!({"TESSERA_IDLE_TIMEOUT": "3s", "TESSERA_TOUCH_INTERVAL": "0s", "TESSERA_STORE_TIMEOUT": "2s"}),
    );
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    // Every call of an object takes longer than the Worker waits.
    order(&worker, &json!({"slow-ms": 4000}));
    assert_eq!(stream.closed(), (1012, "try-again".to_owned()));
    order(&worker, &json!({}));
}

/// How often alarms of connections' objects have gone off.
fn alarms(worker: &Worker) -> u64 {
    state(worker)["connection-alarms"].as_u64().expect("a number")
}

#[test]
fn an_object_whose_connection_has_ended_waits_for_its_removal() {
    let worker = start(&json!({"TESSERA_IDLE_TIMEOUT": "4500ms", "TESSERA_TOUCH_INTERVAL": "0s"}));
    let (token, _) = login(&worker, "alice");
    // One whose client does not answer the close frame.
    let silent = socket(&worker, &token);
    let path = format!("/v1/connections/{}", silent.name);
    assert_eq!(service(&worker, "DELETE", &path, None).status, 204);
    // One whose session expires while its mailbox, which nobody has polled, has expired and is still there.
    call(&worker, "POST", "/v1/connections", &token, None);
    std::thread::sleep(Duration::from_secs(8));
    assert!(alarms(&worker) < 10, "{} alarms", alarms(&worker));
}

#[test]
fn an_alarm_that_is_early_by_the_clock_of_its_object_is_repeated() {
    let worker = start(&json!({"TESSERA_IDLE_TIMEOUT": "3s", "TESSERA_TOUCH_INTERVAL": "0s"}));
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    worker.ask("POST", "/test/clock/300", None).expect("a clock");
    assert_eq!(stream.end(), end(4401, "session-over"));
}

#[test]
fn a_socket_that_was_sent_much_is_replaced_so_that_a_client_that_does_not_read_costs_bounded_memory() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    let mut stalled = socket(&worker, &token);
    let path = format!("/v1/connections/{}/messages", stalled.name);
    let message = json!({"data": "x".repeat(64 * 1024)});
    let (mut accepted, mut refused) = (0, None);
    // 2 MiB to the socket, and a full mailbox of 256 KiB.
    for _ in 0..60 {
        let answer = service(&worker, "POST", &path, Some(message.clone()));
        match answer.status {
            202 => accepted += 1,
            _ => refused = Some(answer.json()["code"].clone()),
        }
    }
    assert_eq!(refused, Some(json!("mailbox-full")));
    assert!((30..45).contains(&accepted), "{accepted} messages");
    // A client that reads loses nothing.
    let mut received = 0;
    let mut last = String::new();
    while let Some(data) = stalled.message_or_close() {
        assert_eq!(data.len(), 64 * 1024);
        received += 1;
        last.clone_from(&stalled.last);
    }
    let (mut back, is_resumed) = Socket::after(worker.address(), &token, &last);
    assert!(is_resumed);
    while received < accepted {
        assert_eq!(back.message().len(), 64 * 1024);
        received += 1;
    }
}

#[test]
fn a_record_that_too_many_connections_watch_forgets_those_that_have_ended() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    // More than a record notifies.
    for _ in 0..150 {
        let registered = call(&worker, "POST", "/v1/connections", &token, None);
        assert_eq!(registered.status, 201, "{registered:?}");
        let name = registered.json()["connection"]
            .as_str()
            .expect("a name")
            .to_owned();
        assert_eq!(
            service(&worker, "DELETE", &format!("/v1/connections/{name}"), None).status,
            204
        );
    }
    let mut stream = socket(&worker, &token);
    assert_eq!(call(&worker, "DELETE", "/v1/session", &token, None).status, 204);
    assert_eq!(stream.end(), end(4401, "session-over"));
}

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
fn a_connection_that_was_closed_stays_closed() {
    let worker = start(&nothing());
    let (token, public_id) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    sent(&worker, &stream.name, "a");
    let path = format!("/v1/connections/{}", stream.name);
    assert_eq!(service(&worker, "DELETE", &path, None).status, 204);
    assert_eq!(stream.message(), "a");
    assert_eq!(stream.end(), end(1000, "closed"));
    let mut back = Socket::with(worker.address(), &token, &format!("?after={}", stream.last));
    assert_eq!(back.closed(), (1000, "connection-ended".to_owned()));
    let refused = service(
        &worker,
        "POST",
        &format!("{path}/messages"),
        Some(json!({"data": "b"})),
    );
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (410, &json!("connection-ended"))
    );
    assert!(of_session(&worker, &public_id).is_empty());
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
