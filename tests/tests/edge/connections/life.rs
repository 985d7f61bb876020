//! The ends of connections: with their session, by a call, and by their times.

use std::time::{Duration, Instant};

use serde_json::json;
use tessera::Timestamp;
use tessera::connections::{Head, Holder, Mailbox as _, Request};
use tessera::store::{Condition, Store as _};
use tessera_tests::edge::{Remote, RemoteMailbox, Worker};
use tessera_tests::socket::Socket;

use super::{call, end, login, login_again, of_session, registered, sent, service, socket};
use crate::{nothing, order, start, state};

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
    let token = login_again(&worker, &token, "alice");
    assert_eq!(stream.end(), over());
    // A renewed token and a save are no end.
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
    let page = store.list_owned(Timestamp::now(), "alice", "", 10).await;
    let key = page.expect("a page").rows[0].key.clone();
    let owner = Condition::Owner("alice".to_owned());
    // Nothing but the record's object knows.
    assert!(
        store
            .delete(Timestamp::now(), &key, &owner)
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
fn a_record_that_too_many_connections_watch_forgets_those_that_have_ended() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    // More than a record notifies.
    for _ in 0..150 {
        let name = registered(&worker, &token);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_joins_and_vanishes_leaves_no_lease_of_the_socket_before() {
    let mailbox = RemoteMailbox::new(&start(&nothing()));
    let name = "a-connection".parse().expect("a name");
    let now = Timestamp::now();
    let lease = now.saturating_add(Duration::from_secs(30));
    let head = Head {
        session: "C3yW7lRQWRB3orhnW1JzVg".into(),
        subject: Some("alice".into()),
        prefix: String::new(),
        kind: String::new(),
        created_at: now,
        authenticated_at: Some(now),
        ends_at: now.saturating_add(Duration::from_secs(3600)),
        request: Request::default(),
    };
    let text = head.write().expect("a text");
    let opened = mailbox.open(now, &name, &text, lease).await;
    opened.expect("a mailbox");
    let holder = |attachment| Holder { node: 0, attachment };
    let attached = mailbox.attach(now, &name, holder(1), lease).await;
    attached.expect("an attachment");
    mailbox.join(&name, &head, holder(2)).await.expect("a client");
    let began = Instant::now();
    loop {
        let found = mailbox.look(Timestamp::now(), std::slice::from_ref(&name)).await;
        if found.expect("an answer").is_empty() {
            break;
        }
        // A mailbox of the tests without a client lives for four seconds.
        assert!(began.elapsed() < Duration::from_secs(20), "it is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
