//! Connections by long poll.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Answer, Client, bearer, connect, request};
use crate::serve;
use crate::server::Server;
use crate::streams::{Stream, login, send, sent};

/// A client that polls.
struct Poller {
    client: Client,
    token: String,
    name: String,
    after: String,
}

impl Poller {
    /// Registers a connection.
    fn new(server: &Server, token: &str) -> Self {
        let mut client = server.client();
        let registered = client.call("POST", "/v1/connections", token, None);
        assert_eq!(registered.status, 201, "{registered:?}");
        let registered = registered.json();
        let text = |member: &str| registered[member].as_str().expect("a string").to_owned();
        Self {
            client,
            token: token.to_owned(),
            name: text("connection"),
            after: text("after"),
        }
    }

    fn path(&self, wait: u32) -> String {
        format!(
            "/v1/connections/{}/messages?after={}&wait={wait}",
            self.name, self.after
        )
    }

    fn answer(&mut self, wait: u32) -> Answer {
        let path = self.path(wait);
        self.client.call("GET", &path, &self.token, None)
    }

    /// Polls, and returns the names and data of the events.
    fn poll(&mut self, wait: u32) -> Vec<(String, String)> {
        let polled = self.answer(wait).ok();
        let (events, after) = read(&polled);
        if let Some(last) = polled["events"].as_array().and_then(|events| events.last()) {
            assert_eq!(last["id"], after.as_str());
        }
        self.after = after;
        events
    }
}

/// The names and data of the events of an answer, and its cursor.
fn read(polled: &Value) -> (Vec<(String, String)>, String) {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let events = polled["events"].as_array().expect("a list").iter();
    let events = events.map(|event| (text(&event["event"]), text(&event["data"])));
    (events.collect(), text(&polled["after"]))
}

fn message(data: &str) -> (String, String) {
    ("message".into(), data.into())
}

fn end(reason: &str) -> (String, String) {
    ("end".into(), json!({ "reason": reason }).to_string())
}

/// Polls on a thread of its own.
fn polling(server: &Server, poller: &Poller, wait: u32) -> std::thread::JoinHandle<(Answer, Duration)> {
    let (address, token, path) = (server.address.clone(), poller.token.clone(), poller.path(wait));
    std::thread::spawn(move || {
        let began = Instant::now();
        let answer = Client::new(&address).call("GET", &path, &token, None);
        (answer, began.elapsed())
    })
}

/// Waits until a connection is with a client.
fn wait_until_attached(server: &Server, name: &str) {
    let path = format!("/v1/connections/{name}");
    while server
        .client()
        .call("GET", &path, &server.service_key(), None)
        .ok()["attached"]
        != true
    {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_poll_returns_at_once_what_is_there_and_waits_for_what_is_not() {
    let (_directory, server) = serve(&[]);
    let token = login(&server, "alice");
    let mut poller = Poller::new(&server, &token);
    let began = Instant::now();
    assert_eq!(poller.poll(0), []);
    sent(&server, &poller.name, "a\r\nb");
    sent(&server, &poller.name, "c");
    assert_eq!(poller.poll(25), [message("a\r\nb"), message("c")]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let waiting = polling(&server, &poller, 25);
    wait_until_attached(&server, &poller.name);
    sent(&server, &poller.name, "d");
    let (answer, took) = waiting.join().expect("an answer");
    assert_eq!(read(&answer.ok()).0, [message("d")]);
    assert!(took < Duration::from_secs(10), "{took:?}");
    // The answer was lost: the client asks again.
    assert_eq!(poller.poll(25), [message("d")]);
    let began = Instant::now();
    assert_eq!(poller.poll(1), []);
    assert!(began.elapsed() >= Duration::from_secs(1));
    server.stop();
}

#[test]
fn a_poll_has_64_messages_or_128_kib_and_none_is_left_out() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut poller = Poller::new(&server, &token);
    for number in 0..100 {
        sent(&server, &poller.name, &number.to_string());
    }
    let mut polled = poller.poll(0);
    assert_eq!(polled.len(), 64);
    polled.extend(poller.poll(0));
    let wanted: Vec<_> = (0..100).map(|number| message(&number.to_string())).collect();
    assert_eq!(polled, wanted);
    for _ in 0..3 {
        sent(&server, &poller.name, &"x".repeat(60 * 1024));
    }
    assert_eq!(poller.poll(0).len(), 2);
    assert_eq!(poller.poll(0).len(), 1);
    server.stop();
}

#[test]
fn a_client_that_polls_makes_room_for_new_messages_and_one_that_went_away_loses_none() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut poller = Poller::new(&server, &token);
    // More than a mailbox has room for.
    for round in 0..6 {
        for number in 0..100 {
            sent(&server, &poller.name, &format!("{round} {number}"));
        }
        let polled = [poller.poll(0), poller.poll(0)].concat();
        assert_eq!(polled.len(), 100, "{round}");
    }
    // It goes away in the middle of a poll.
    let mut connection = connect(&server.address).expect("a connection");
    let authorization = bearer(&token);
    let asked = request(
        "GET",
        &poller.path(25),
        &[("Authorization", &authorization)],
        None,
    );
    connection.get_mut().write_all(&asked).expect("a request");
    wait_until_attached(&server, &poller.name);
    drop(connection);
    sent(&server, &poller.name, "while away");
    assert_eq!(poller.poll(5), [message("while away")]);
    server.stop();
}

#[test]
fn of_two_polls_at_once_the_later_displaces_the_earlier() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut poller = Poller::new(&server, &token);
    let earlier = polling(&server, &poller, 25);
    wait_until_attached(&server, &poller.name);
    assert_eq!(poller.poll(1), []);
    let (answer, _) = earlier.join().expect("an answer");
    assert_eq!(read(&answer.ok()).0, [end("taken-over")]);
    // A stream continues it, and displaces a poll likewise.
    let displaced = polling(&server, &poller, 25);
    wait_until_attached(&server, &poller.name);
    let mut stream = Stream::after(&server, &token, &poller.after).expect("a stream");
    assert!(stream.opened());
    assert_eq!(
        read(&displaced.join().expect("an answer").0.ok()).0,
        [end("taken-over")]
    );
    server.stop();
}

#[test]
fn the_end_is_an_event_once_and_then_a_refusal() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let (mut client, key) = (server.client(), server.service_key());
    let mut poller = Poller::new(&server, &token);
    let waiting = polling(&server, &poller, 25);
    wait_until_attached(&server, &poller.name);
    let path = format!("/v1/connections/{}", poller.name);
    assert_eq!(client.call("DELETE", &path, &key, None).status, 204);
    assert_eq!(
        read(&waiting.join().expect("an answer").0.ok()).0,
        [end("closed")]
    );
    poller.answer(25).refused(410, "connection-ended");
    // Messages of before the end are delivered, also to a client that comes back after it.
    let mut poller = Poller::new(&server, &token);
    sent(&server, &poller.name, "a");
    let path = format!("/v1/connections/{}", poller.name);
    assert_eq!(client.call("DELETE", &path, &key, None).status, 204);
    assert_eq!(poller.poll(25), [message("a"), end("closed")]);
    poller.answer(25).refused(410, "connection-ended");
    // The end of the session ends a poll.
    let mut poller = Poller::new(&server, &token);
    let waiting = polling(&server, &poller, 25);
    wait_until_attached(&server, &poller.name);
    assert_eq!(client.call("DELETE", "/v1/session", &token, None).status, 204);
    assert_eq!(
        read(&waiting.join().expect("an answer").0.ok()).0,
        [end("session-over")]
    );
    assert_eq!(poller.answer(25).status, 401);
    server.stop();
}

#[test]
fn requests_that_cannot_be_served_are_refused_by_name_and_tell_nothing_of_other_sessions() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let (alice, mallory) = (login(&server, "alice"), login(&server, "mallory"));
    let poller = Poller::new(&server, &alice);
    sent(&server, &poller.name, "for alice");
    let mut client = server.client();
    let nothing = "C3yW7lRQWRB3orhnW1JzVg";
    let refusals: Vec<Answer> = [poller.name.as_str(), nothing]
        .iter()
        .map(|name| client.call("GET", &format!("/v1/connections/{name}/messages"), &mallory, None))
        .collect();
    for refusal in &refusals {
        refusal.refused(404, "connection-not-found");
    }
    assert_eq!(refusals[0].text, refusals[1].text);
    let own = format!("/v1/connections/{}/messages", poller.name);
    for (query, code) in [
        ("?after=7", "cursor-malformed"),
        (&format!("?after={nothing}:0.00000000"), "cursor-malformed"),
        ("?wait=26", "query-malformed"),
        ("?wait=-1", "query-malformed"),
        ("?wait=x", "query-malformed"),
        ("?token=x", "query-malformed"),
    ] {
        client
            .call("GET", &format!("{own}{query}"), &alice, None)
            .refused(400, code);
    }
    client
        .call("GET", "/v1/connections/a%20b/messages", &alice, None)
        .refused(404, "connection-not-found");
    client.send("GET", &own, &[], None).refused(401, "token-absent");
    client
        .send("POST", "/v1/connections", &[], None)
        .refused(401, "token-absent");
    client
        .call("POST", "/v1/connections?after=x", &alice, None)
        .refused(400, "query-malformed");
    // A page of another origin registers nothing by the cookie.
    let cookie = format!("__Host-tessera={alice}");
    let headers = [("Cookie", cookie.as_str()), ("Origin", "https://evil.example")];
    client
        .send("POST", "/v1/connections", &headers, None)
        .refused(403, "cross-site");
    let registered = client
        .call("POST", "/v1/connections?prefix=/a&type=gateway", &alice, None)
        .ok();
    let path = format!(
        "/v1/connections/{}",
        registered["connection"].as_str().expect("a name")
    );
    let shown = client.call("GET", &path, &server.service_key(), None).ok();
    assert_eq!(
        (&shown["prefix"], &shown["type"], &shown["attached"]),
        (&json!("/a"), &json!("gateway"), &json!(false))
    );
    server.stop();
}

#[test]
fn a_place_that_is_no_longer_known_is_a_gap() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut poller = Poller::new(&server, &token);
    sent(&server, &poller.name, "a");
    poller.after = format!("{}:1.00000001", poller.name);
    assert_eq!(poller.poll(0), [("gap".into(), "{}".into()), message("a")]);
    assert_eq!(poller.poll(0), []);
    server.stop();
}

#[test]
fn a_poll_ends_before_the_time_of_a_request_and_when_the_service_stops() {
    let (_directory, mut server) = serve(&["--request-timeout", "2s"]);
    let token = login(&server, "alice");
    let mut poller = Poller::new(&server, &token);
    let began = Instant::now();
    assert_eq!(poller.poll(25), []);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(2),
        "{took:?}"
    );
    assert_eq!(send(&server, &poller.name, "a").status, 202);
    assert_eq!(poller.poll(0), [message("a")]);
    let waiting = polling(&server, &poller, 25);
    wait_until_attached(&server, &poller.name);
    server.tell_to_end();
    assert_eq!(read(&waiting.join().expect("an answer").0.ok()).0, []);
    assert!(server.ended().success());
}
