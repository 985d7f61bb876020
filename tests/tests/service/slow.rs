//! Clients that dawdle, and requests that take too long: they hold up nobody but themselves.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rusqlite::Connection;

use crate::client::bearer;
use crate::serve;
use crate::server::Server;

/// More than there are threads to serve them.
const DAWDLERS: usize = 64;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("a connection");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a time-out");
    stream
}

/// All that comes until the server hangs up.
fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an end");
    text
}

#[test]
fn clients_that_dawdle_over_head_or_body_hold_up_nobody_and_are_sent_away() {
    let (_directory, server) = serve(&["--request-timeout", "2s", "--keep-alive-timeout", "1s"]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    let head = format!(
        "PATCH /v1/session HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 15\r\n\r\n{{\"set\":",
        bearer(&token)
    );
    let dawdlers: Vec<(TcpStream, bool)> = (0..DAWDLERS)
        .map(|number| {
            let (mut stream, in_body) = (connect(&server), number % 2 == 0);
            let begun = if in_body {
                head.as_bytes()
            } else {
                &head.as_bytes()[..40]
            };
            stream.write_all(begun).expect("a beginning");
            (stream, in_body)
        })
        .collect();
    // They are all still there, and others are served.
    client.call("GET", "/v1/session", &token, None).ok();
    for (stream, in_body) in dawdlers {
        let said = rest(stream);
        if in_body {
            assert!(
                said.starts_with("HTTP/1.1 408 ") && said.contains("body-timeout"),
                "{said}"
            );
        } else {
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
        }
    }
    // The first one's connection has been idle for too long by now.
    let kept = server.client().call("GET", "/v1/session", &token, None).ok();
    assert_eq!(kept["fields"], serde_json::json!({}));
    server.stop();
}

#[test]
fn a_connection_that_nothing_comes_over_is_closed() {
    let (_directory, server) = serve(&["--keep-alive-timeout", "1s"]);
    let mut idle = connect(&server);
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("a request");
    let said = rest(idle);
    assert!(
        said.starts_with("HTTP/1.1 200 ") && said.matches("HTTP/1.1").count() == 1,
        "{said}"
    );
    server.stop();
}

/// A proxy that keeps it for a minute would send the next request into a closed one.
#[test]
fn an_idle_connection_is_kept_however_short_requests_have_to_be() {
    let (_directory, server) = serve(&["--request-timeout", "1s"]);
    let mut stream = connect(&server);
    for _ in 0..2 {
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request).expect("a request");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
        // What is left of the answer.
        let mut rest = [0; 4096];
        let _ = stream.read(&mut rest).expect("the rest");
        std::thread::sleep(Duration::from_millis(1500));
    }
    server.stop();
}

#[test]
fn a_request_that_takes_too_long_is_given_up() {
    let (_directory, server) = serve(&["--request-timeout", "1s"]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    // The store waits for longer than that.
    let other = Connection::open(server.data.join("sessions.db")).expect("the file opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let answer = client.call("PATCH", "/v1/session", &token, Some(r#"{"set":{"a":1}}"#));
    answer.refused(503, "request-timeout");
    other.execute_batch("ROLLBACK").expect("no lock");
    client
        .call("PATCH", "/v1/session", &token, Some(r#"{"set":{"a":2}}"#))
        .ok();
    server.stop();
}

#[test]
fn beyond_the_most_connections_others_wait_their_turn() {
    let (_directory, server) = serve(&["--maximum-connections", "2", "--request-timeout", "20s"]);
    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = [0; 12];
    let mut held = [connect(&server), connect(&server)];
    for stream in &mut held {
        stream.write_all(REQUEST).expect("a request");
        stream.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let mut third = connect(&server);
    third.write_all(REQUEST).expect("a request");
    third
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("a time-out");
    third.read_exact(&mut first).expect_err("it waits");
    drop(held);
    third
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a time-out");
    third.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(third);
    server.stop();
}

#[test]
fn a_client_that_reads_no_answer_is_sent_away_and_makes_room() {
    let (_directory, server) = serve(&["--maximum-connections", "1", "--request-timeout", "2s"]);
    let mut deaf = connect(&server);
    deaf.set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a time-out");
    // Answers of many kilobytes each, more of them than lie on the way.
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(4_000);
    let _ = deaf.write_all(&request);
    let answer = server.client().send("GET", "/healthz", &[], None);
    assert_eq!(answer.status, 200);
    drop(deaf);
    server.stop();
}
