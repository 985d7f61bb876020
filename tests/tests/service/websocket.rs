//! Connections by WebSocket: the same stream as by SSE, its close codes, and sockets that break the rules.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use tessera_tests::servers::RedisServer;
use tessera_tests::socket::Socket;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{bearer, connect, request};
use crate::server::Server;
use crate::streams::{END_BOUND, Stream, login, public_id, send, sent};
use crate::{place, serve};

/// A frame that has not come by then is missing.
const PATIENCE: Duration = Duration::from_secs(30);

fn close(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

/// The end for this reason, by the event and by the close frame.
fn end(code: u16, reason: &str) -> (String, (u16, String)) {
    (reason.to_owned(), close(code, reason))
}

/// Waits until a connection is with a client, or without.
fn wait_until_attached(server: &Server, name: &str, is_attached: bool) {
    let began = Instant::now();
    let path = format!("/v1/connections/{name}");
    let mut client = server.client();
    while client.call("GET", &path, &server.service_key(), None).ok()["attached"] != is_attached {
        assert!(began.elapsed() < PATIENCE, "{name} is still not: {is_attached}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn messages_of_two_processes_arrive_in_order_and_a_client_that_was_cut_continues_after_its_cursor() {
    let redis = RedisServer::start(&["--appendonly", "yes"]);
    let url = redis.url();
    let (_directory, data) = place();
    let flags = ["--store", url.as_str()];
    let one = Server::start(&data, &flags);
    let two = Server::start(&data, &flags);
    let token = login(&one, "alice");
    let mut socket = Socket::new(&one.address, &token);
    for number in 0..20 {
        let by = [&one, &two][number % 2];
        sent(by, &socket.name, &format!("{number}\r\n\r"));
    }
    for number in 0..10 {
        assert_eq!(socket.message(), format!("{number}\r\n\r"));
    }
    one.process().kill();
    let (mut back, is_resumed) = Socket::after(&two.address, &token, &socket.last);
    assert!(is_resumed && back.name == socket.name);
    for number in 10..20 {
        assert_eq!(back.message(), format!("{number}\r\n\r"));
    }
    let id = sent(&two, &back.name, "last");
    assert_eq!(
        (back.message().as_str(), &back.last),
        ("last", &format!("{}:{id}", back.name))
    );
    // A stream and a socket continue each other.
    drop(back);
    let mut stream = Stream::after(&two, &token, &socket.last).expect("a stream");
    assert!(stream.opened());
    assert_eq!(stream.message(), "10\n\n");
    two.stop();
}

#[test]
fn a_cursor_of_another_session_opens_a_new_connection_that_begins_with_a_gap() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let (alice, mallory) = (login(&server, "alice"), login(&server, "mallory"));
    let socket = Socket::new(&server.address, &alice);
    sent(&server, &socket.name, "for alice");
    let (mut stolen, is_resumed) = Socket::after(&server.address, &mallory, &socket.last);
    assert!(!is_resumed && stolen.name != socket.name);
    assert_eq!(stolen.event(), ("gap".into(), "{}".into()));
    sent(&server, &stolen.name, "for mallory");
    assert_eq!(stolen.message(), "for mallory");
    server.stop();
}

#[test]
fn the_close_code_says_how_a_stream_has_ended() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let (mut client, key) = (server.client(), server.service_key());
    let mut socket = Socket::new(&server.address, &token);
    let (mut other, is_resumed) = Socket::after(&server.address, &token, &socket.last);
    assert!(is_resumed);
    assert_eq!(socket.end(), end(4409, "taken-over"));
    sent(&server, &other.name, "a");
    let path = format!("/v1/connections/{}", other.name);
    assert_eq!(client.call("DELETE", &path, &key, None).status, 204);
    assert_eq!(other.message(), "a");
    assert_eq!(other.end(), end(1000, "closed"));
    let mut back = Socket::with(&server.address, &token, &format!("?after={}", other.last));
    assert_eq!(back.closed(), close(1000, "connection-ended"));
    server.stop();
}

#[test]
fn a_socket_ends_with_its_session_within_the_bound_and_does_not_come_back() {
    let redis = RedisServer::start(&[]);
    let url = redis.url();
    let (_directory, data) = place();
    let flags = ["--store", url.as_str()];
    let (one, two) = (Server::start(&data, &flags), Server::start(&data, &flags));
    let token = login(&one, "alice");
    let mut socket = Socket::new(&one.address, &token);
    let began = Instant::now();
    assert_eq!(
        two.client().call("DELETE", "/v1/session", &token, None).status,
        204
    );
    assert_eq!(socket.end(), end(4401, "session-over"));
    assert!(began.elapsed() < END_BOUND, "{:?}", began.elapsed());
    let mut refused = Socket::with(&one.address, &token, &format!("?after={}", socket.last));
    assert_eq!(refused.closed().0, 4401);
    one.stop();
    two.stop();
}

#[test]
fn a_service_that_stops_closes_its_sockets_and_keeps_their_messages() {
    let (_directory, data) = place();
    let mut server = Server::start(&data, &[]);
    let token = login(&server, "alice");
    let mut socket = Socket::new(&server.address, &token);
    // This one does not answer the close frame.
    let silent = Socket::new(&server.address, &token);
    let began = Instant::now();
    server.tell_to_end();
    assert_eq!(socket.closed(), close(1012, "try-again"));
    assert!(server.ended().success());
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert!(!server.log().contains("did not end within"), "{}", server.log());
    drop(silent);
    let server = Server::start(&data, &[]);
    sent(&server, &socket.name, "b");
    let (mut back, is_resumed) = Socket::after(&server.address, &token, &socket.last);
    assert!(is_resumed);
    assert_eq!(back.message(), "b");
    server.stop();
}

#[test]
fn a_page_of_another_origin_shakes_no_hands_by_the_cookie() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let cookie = format!("__Host-tessera={}", login(&server, "alice"));
    let invalid = "__Host-tessera=ts1.x";
    let own = format!("http://{}", server.address);
    let open = |cookie: &str, headers: &[(&str, &str)]| {
        let headers = [&[("Cookie", cookie)], headers].concat();
        Socket::open(&server.address, &headers, "").map(|_| ())
    };
    let cross_site = Err((403, "cross-site".to_owned()));
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost:1",
        &format!("{own}.evil.example"),
    ] {
        // Whether the cookie is valid, is nothing for the page to know.
        for cookie in [cookie.as_str(), invalid] {
            assert_eq!(open(cookie, &[("Origin", origin)]), cross_site, "{origin}");
        }
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(
            open(&cookie, &[("Origin", &own), ("Sec-Fetch-Site", site)]),
            cross_site
        );
    }
    assert_eq!(open(&cookie, &[("Origin", &own)]), Ok(()));
    // No browser leaves it out.
    assert_eq!(open(&cookie, &[]), Ok(()));
    server.stop();
}

#[test]
fn a_refusal_that_concerns_the_page_is_a_close_code_and_any_other_a_response() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let authorization = bearer(&token);
    let mut nobody = Socket::open(&server.address, &[], "").expect("a socket");
    assert_eq!(nobody.closed(), close(4401, "token-absent"));
    let mut forged = Socket::with(&server.address, "ts1.x", "");
    assert_eq!(forged.closed(), close(4401, "token-malformed"));
    let refused = |query: &str, more: &[(&str, &str)]| {
        let headers = [&[("Authorization", authorization.as_str())], more].concat();
        Socket::open(&server.address, &headers, query)
            .err()
            .expect("no socket")
    };
    assert_eq!(refused("?after=7", &[]), (400, "cursor-malformed".into()));
    assert_eq!(refused("?token=x", &[]), (400, "query-malformed".into()));
    let long = format!("?prefix={}", "p".repeat(256));
    assert_eq!(refused(&long, &[]), (422, "invalid-argument".into()));
    let other_version = [("Sec-WebSocket-Version", "12")];
    assert_eq!(refused("", &other_version), (400, "handshake-malformed".into()));
    let sockets: Vec<Socket> = (0..16).map(|_| Socket::new(&server.address, &token)).collect();
    std::thread::sleep(Duration::from_millis(2));
    let mut further = Socket::with(&server.address, &token, "");
    assert_eq!(further.closed(), close(1013, "too-many-connections"));
    let path = format!("/v1/sessions/{}/connections", public_id(&server, &token));
    let listed = server
        .client()
        .call("GET", &path, &server.service_key(), None)
        .ok();
    let listed = listed["connections"].as_array().expect("a list");
    assert_eq!(listed.len(), sockets.len());
    assert!(listed.iter().all(|connection| connection["type"] == "websocket"));
    server.stop();
}

#[test]
fn sockets_occupy_the_places_of_streams_and_of_connections() {
    let (_directory, server) = serve(&["--store", "memory:", "--maximum-connections", "2"]);
    let token = login(&server, "alice");
    let socket = Socket::new(&server.address, &token);
    // Three quarters of two connections, rounded down.
    assert_eq!(
        Socket::with(&server.address, &token, "").closed(),
        close(1013, "node-full")
    );
    let mut second = connect(&server.address).expect("a connection");
    second
        .get_mut()
        .write_all(&request("GET", "/healthz", &[], None))
        .expect("a request");
    let mut byte = [0];
    second.read_exact(&mut byte).expect("an answer");
    let mut third = connect(&server.address).expect("a connection");
    third
        .get_mut()
        .write_all(&request("GET", "/healthz", &[], None))
        .expect("a request");
    let brief = Some(Duration::from_millis(300));
    third.get_mut().set_read_timeout(brief).expect("a time-out");
    assert!(
        third.read_exact(&mut byte).is_err(),
        "there is a third connection"
    );
    drop(socket);
    third
        .get_mut()
        .set_read_timeout(Some(PATIENCE))
        .expect("a time-out");
    third.read_exact(&mut byte).expect("an answer");
    server.stop();
}

#[test]
fn a_client_that_sends_a_message_or_breaks_the_protocol_is_closed() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let masked = |head: &[u8], body: usize| [head, &[0; 4], &vec![b'x'; body]].concat();
    for (frames, wanted) in [
        (masked(&[0x81, 0x85], 5), close(1003, "no-messages")),
        (masked(&[0x82, 0x85], 5), close(1003, "no-messages")),
        // 1 MiB is announced, and a part of it arrives.
        (
            masked(&[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0], 64 * 1024),
            close(1009, "too-large"),
        ),
        // Parts of one message.
        (
            [
                masked(&[0x02, 0xfe, 0x0c, 0], 3072),
                masked(&[0x00, 0xfe, 0x0c, 0], 3072),
            ]
            .concat(),
            close(1009, "too-large"),
        ),
        // Without a mask.
        (vec![0x89, 0], close(1002, "malformed")),
        // A ping of more than 125 bytes.
        (masked(&[0x89, 0xfe, 0, 200], 200), close(1002, "malformed")),
    ] {
        let mut socket = Socket::new(&server.address, &token);
        socket.socket.get_mut().write_all(&frames).expect("frames");
        assert_eq!(socket.closed(), wanted);
        wait_until_attached(&server, &socket.name, false);
        assert_eq!(send(&server, &socket.name, "kept").status, 202);
    }
    server.stop();
}

#[test]
fn a_client_that_closes_its_socket_or_vanishes_is_detached_and_pings_are_answered() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut socket = Socket::new(&server.address, &token);
    socket.socket.send(Message::Ping("a".into())).expect("a ping");
    assert_eq!(socket.socket.read().expect("a frame"), Message::Pong("a".into()));
    socket.socket.close(None).expect("a close frame");
    assert!(matches!(socket.socket.read(), Ok(Message::Close(_))));
    assert!(matches!(socket.socket.read(), Err(Error::ConnectionClosed)));
    wait_until_attached(&server, &socket.name, false);
    let (mut back, is_resumed) = Socket::after(&server.address, &token, &socket.last);
    assert!(is_resumed);
    sent(&server, &back.name, "a");
    assert_eq!(back.message(), "a");
    let name = back.name.clone();
    wait_until_attached(&server, &name, true);
    drop(back);
    wait_until_attached(&server, &name, false);
    server.stop();
}

#[test]
fn a_client_that_floods_the_service_with_pings_and_reads_no_answer_is_cut() {
    let (_directory, server) = serve(&["--store", "memory:", "--request-timeout", "1s"]);
    let token = login(&server, "alice");
    let mut socket = Socket::new(&server.address, &token);
    let stream = socket.socket.get_mut();
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    let pings = ping.repeat(500);
    let began = Instant::now();
    while stream.write_all(&pings).is_ok() {
        assert!(began.elapsed() < PATIENCE);
    }
    wait_until_attached(&server, &socket.name, false);
    server.stop();
}

#[test]
fn a_client_that_does_not_read_is_cut_and_continues() {
    let (_directory, server) = serve(&["--store", "memory:", "--request-timeout", "1s"]);
    let token = login(&server, "alice");
    let socket = Socket::new(&server.address, &token);
    let large = "x".repeat(60 * 1024);
    let began = Instant::now();
    let mut number = 0;
    // Until the buffers of both systems are full.
    loop {
        let data = format!("{number} {large}");
        if send(&server, &socket.name, &data).status == 202 {
            number += 1;
        } else {
            std::thread::sleep(Duration::from_millis(50));
        }
        let path = format!("/v1/connections/{}", socket.name);
        let shown = server.client().call("GET", &path, &server.service_key(), None);
        if shown.ok()["attached"] == false {
            break;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "it is still attached after {number} messages"
        );
    }
    // What was in buffers is lost with them. That is told.
    let (mut back, is_resumed) = Socket::after(&server.address, &token, &socket.last);
    assert!(is_resumed);
    let (event, data) = back.event();
    assert!(event == "gap" || data.starts_with("0 "), "{event}");
    server.stop();
}
