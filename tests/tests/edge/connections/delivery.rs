//! The delivery of messages to sockets and polls.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use serde_json::json;
use tessera_tests::edge::RemoteMailbox;
use tessera_tests::mailbox_suite::check_stored;
use tessera_tests::socket::Socket;

use super::{call, end, login, of_session, registered, sent, service, socket, wait_until};
use crate::{nothing, start, state};

/// workerd has memory for the databases of some three thousand objects.
const MAILBOXES_OF_A_WORKER: u32 = 4;

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
fn messages_that_are_sent_while_a_client_changes_its_transport_arrive() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    let mut stream = socket(&worker, &token);
    let name = stream.name.clone();
    let sending = std::thread::spawn({
        let (worker, name) = (worker.clone(), name.clone());
        move || (0..150).for_each(|number| drop(sent(&worker, &name, &number.to_string())))
    });
    // From one socket to the next, then to polls: the client joins before its socket or its poll is there.
    let mut expected = 0;
    for _ in 0..5 {
        for _ in 0..5 {
            assert_eq!(stream.message(), expected.to_string());
            expected += 1;
        }
        let (back, is_resumed) = Socket::after(worker.address(), &token, &stream.last);
        assert!(is_resumed);
        stream = back;
    }
    let mut after = stream.last.clone();
    while expected < 150 {
        let path = format!("/v1/connections/{name}/messages?after={after}&wait=10");
        let polled = call(&worker, "GET", &path, &token, None).json();
        let events = polled["events"].as_array().expect("a list");
        assert!(!events.is_empty(), "a poll that was not answered, at {expected}");
        for event in events {
            assert_eq!(event["data"], expected.to_string());
            expected += 1;
        }
        polled["after"].as_str().expect("a cursor").clone_into(&mut after);
    }
    sending.join().expect("all were sent");
}

#[test]
fn clients_that_come_back_at_once_to_an_ended_connection_cost_bounded_memory() {
    let worker = start(&nothing());
    let (token, _) = login(&worker, "alice");
    let name = registered(&worker, &token);
    for _ in 0..3 {
        sent(&worker, &name, &"x".repeat(64 * 1024));
    }
    let path = format!("/v1/connections/{name}");
    assert_eq!(service(&worker, "DELETE", &path, None).status, 204);
    let comes_back = || {
        let query = format!("?after={name}:0.00000000");
        Socket::with(worker.address(), &token, &query)
    };
    // None of them reads until all are there.
    let sockets: Vec<Socket> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..12).map(|_| scope.spawn(comes_back)).collect();
        let clients = clients.into_iter();
        clients.map(|client| client.join().expect("a socket")).collect()
    });
    let served = sockets.into_iter().filter_map(|mut socket| {
        let events = std::iter::from_fn(|| socket.message_or_close()).count();
        // All that is left, or nothing.
        assert!(matches!(events, 0 | 5), "{events} events");
        (events > 0).then_some(())
    });
    // Four that are closing, and one more.
    let served = served.count();
    assert!((1..=5).contains(&served), "{served} clients");
}
