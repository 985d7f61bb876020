//! Connections over HTTP: streams of events, messages from services, and the end with the session.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tessera_tests::servers::{MariaDb, Postgres, RedisServer, Server as _};

use crate::client::{Client, bearer, connect, read_answer, request};
use crate::server::{Server, run};
use crate::streams::{END_BOUND, Stream, login, public_id, send, sent};
use crate::{place, serve};

#[test]
fn a_message_reaches_the_stream_and_a_client_that_comes_back_continues_after_its_last_event() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut stream = Stream::new(&server, &token);
    let name = stream.name.clone();
    let first = sent(&server, &name, "one\ntwo");
    assert_eq!(stream.message(), "one\ntwo");
    assert_eq!(stream.last, format!("{name}:{first}"));
    let body = r#"{"event":"tick","data":"{\"a\":1}","key":"k"}"#;
    let path = format!("/v1/connections/{name}/messages");
    let key = server.service_key();
    let ids: Vec<Value> = (0..2)
        .map(|_| server.client().call("POST", &path, &key, Some(body)).json())
        .collect();
    assert_eq!(ids[0], ids[1], "a retry is one message");
    let tick = stream.next().expect("an event");
    assert_eq!((tick.event.as_str(), tick.data.as_str()), ("tick", "{\"a\":1}"));
    let last = stream.last.clone();
    drop(stream);
    sent(&server, &name, "while away");
    let mut stream = Stream::after(&server, &token, &last).expect("a stream");
    assert!(stream.opened());
    assert_eq!((stream.message().as_str(), &stream.name), ("while away", &name));
    sent(&server, &name, "back");
    assert_eq!(stream.message(), "back");
    server.stop();
}

#[test]
fn a_stream_ends_with_its_session_within_the_bound_and_does_not_come_back() {
    for how in ["logout", "revoked", "login"] {
        let (_directory, server) = serve(&[]);
        let token = login(&server, "alice");
        let mut stream = Stream::new(&server, &token);
        let (mut client, key) = (server.client(), server.service_key());
        let began = Instant::now();
        match how {
            "logout" => {
                let answer = client.call("DELETE", "/v1/session", &token, None);
                assert_eq!(answer.status, 204);
            }
            "revoked" => drop(
                client
                    .call("DELETE", "/v1/subjects/alice/sessions", &key, None)
                    .ok(),
            ),
            _ => {
                let bearer = bearer(&token);
                let headers = [
                    ("Authorization", bearer.as_str()),
                    ("X-Tessera-Service-Key", key.as_str()),
                ];
                let body = Some(r#"{"subject":"alice"}"#);
                client
                    .send("POST", "/v1/session/authenticate", &headers, body)
                    .ok();
            }
        }
        assert_eq!(stream.end(), "session-over", "{how}");
        let took = began.elapsed();
        assert!(took < END_BOUND, "{how}: {took:?}");
        let refused = Stream::after(&server, &token, &stream.last)
            .err()
            .expect("no stream");
        assert_eq!(refused.status, 401, "{refused:?}");
        send(&server, &stream.name, "late").refused(410, "connection-ended");
        server.stop();
    }
}

#[test]
fn a_connection_that_was_closed_is_not_opened_again_by_its_cursor() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut stream = Stream::new(&server, &token);
    sent(&server, &stream.name, "a");
    let path = format!("/v1/connections/{}", stream.name);
    let (mut client, key) = (server.client(), server.service_key());
    assert_eq!(client.call("DELETE", &path, &key, None).status, 204);
    assert_eq!(stream.message(), "a");
    assert_eq!(stream.end(), "closed");
    let stopped = Stream::after(&server, &token, &stream.last)
        .err()
        .expect("no stream");
    assert_eq!((stopped.status, stopped.text.as_str()), (204, ""));
    server.stop();
}

/// Two processes over the store at this URL.
fn a_client_of_a_killed_process_continues_at_another_one(url: &str) {
    let (_directory, data) = place();
    let flags = ["--store", url];
    let one = Server::start(&data, &flags);
    let two = Server::start(&data, &flags);
    let token = login(&one, "alice");
    let mut stream = Stream::new(&one, &token);
    for number in 0..20 {
        let by = [&one, &two][number % 2];
        sent(by, &stream.name, &number.to_string());
    }
    for number in 0..10 {
        assert_eq!(stream.message(), number.to_string());
    }
    one.process().kill();
    let mut stream = Stream::after(&two, &token, &stream.last).expect("a stream");
    assert!(stream.opened());
    sent(&two, &stream.name, "20");
    for number in 10..=20 {
        assert_eq!(stream.message(), number.to_string());
    }
    // A logout at either process ends the stream.
    assert_eq!(
        two.client().call("DELETE", "/v1/session", &token, None).status,
        204
    );
    assert_eq!(stream.end(), "session-over");
    two.stop();
}

#[test]
fn a_client_of_a_killed_process_continues_at_another_one_over_redis() {
    let redis = RedisServer::start(&["--appendonly", "yes"]);
    a_client_of_a_killed_process_continues_at_another_one(&redis.url());
}

#[test]
fn a_client_of_a_killed_process_continues_at_another_one_over_a_database() {
    a_client_of_a_killed_process_continues_at_another_one(&Postgres::start().url());
    a_client_of_a_killed_process_continues_at_another_one(&MariaDb::start().url());
}

#[test]
fn a_service_that_stops_ends_its_streams_and_keeps_their_messages() {
    let (_directory, data) = place();
    let mut server = Server::start(&data, &[]);
    let token = login(&server, "alice");
    let mut stream = Stream::new(&server, &token);
    sent(&server, &stream.name, "a");
    assert_eq!(stream.message(), "a");
    let began = Instant::now();
    server.tell_to_end();
    assert_eq!(stream.next(), None);
    assert!(server.ended().success());
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let server = Server::start(&data, &[]);
    sent(&server, &stream.name, "b");
    let mut back = Stream::after(&server, &token, &stream.last).expect("a stream");
    assert!(back.opened());
    assert_eq!(back.message(), "b");
    server.stop();
}

#[test]
fn an_operator_sees_sessions_and_connections_apart() {
    let (_directory, server) = serve(&[]);
    let token = login(&server, "alice");
    let _stream = Stream::new(&server, &token);
    let data = server.data.to_str().expect("UTF-8").to_owned();
    let said = |command: &str| {
        let (is_done, said, failed) = run(&["sessions", command, "--data", &data]);
        assert!(is_done, "{failed}");
        said
    };
    assert_eq!(said("count"), "live 1\nconnections 1\nexpired, not swept yet 0\n");
    let listed = said("list");
    assert!(
        listed.contains("alice") && !listed.contains("session:"),
        "{listed}"
    );
    server.stop();
}

#[test]
fn an_operator_lists_connections_sends_to_one_and_ends_it() {
    let (_directory, server) = serve(&[]);
    let token = login(&server, "alice");
    let mut stream = Stream::new(&server, &token);
    let data = server.data.to_str().expect("UTF-8").to_owned();
    let run_in = |command: &str, arguments: &[&str]| {
        let words = [&["connections", command, "--data", &data], arguments].concat();
        run(&words)
    };
    let said = |command: &str, arguments: &[&str]| {
        let (is_done, said, failed) = run_in(command, arguments);
        assert!(is_done, "{failed}");
        said
    };
    let (name, session) = (stream.name.clone(), public_id(&server, &token));
    let all = said("list", &[]);
    let words: Vec<&str> = all
        .lines()
        .nth(1)
        .expect("a row")
        .split_whitespace()
        .take(6)
        .collect();
    assert_eq!(words, [&name, &session, "alice", "-", "sse", "attached"]);
    for selection in [["--subject", "alice"], ["--session", &session], ["--type", "sse"]] {
        assert_eq!(said("list", &selection), all, "{selection:?}");
    }
    for selection in [
        ["--subject", "bob"],
        ["--session", "nobody"],
        ["--prefix", "/other"],
    ] {
        assert_eq!(said("list", &selection).lines().count(), 1, "{selection:?}");
    }
    let id = said("send", &["--connection", &name, "--text", "hello", "--key", "k"]);
    assert_eq!(
        said("send", &["--connection", &name, "--text", "hello", "--key", "k"]),
        id
    );
    assert_eq!(stream.message(), "hello");
    assert_eq!(said("close", &["--connection", &name]), "");
    assert_eq!(stream.end(), "closed");
    let refusal = |command: &str, arguments: &[&str]| {
        let (is_done, _, failed) = run_in(command, arguments);
        assert!(!is_done);
        failed
    };
    assert!(refusal("send", &["--connection", &name, "--text", "late"]).contains("ended"));
    assert!(refusal("send", &["--connection", "nobody", "--text", "x"]).contains("no such connection"));
    assert!(refusal("close", &["--connection", "a b"]).contains("name"));
    assert!(refusal("send", &["--connection", &name, "--text", "x", "--event", "end"]).contains("event"));
    assert!(
        !run(&["connections", "list", "--store", "memory:"]).0,
        "another process has the memory"
    );
    server.stop();
}

#[test]
fn a_cursor_of_another_session_opens_a_new_connection_and_tells_nothing() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let (alice, mallory) = (login(&server, "alice"), login(&server, "mallory"));
    let stream = Stream::new(&server, &alice);
    sent(&server, &stream.name, "for alice");
    let nothing = "C3yW7lRQWRB3orhnW1JzVg:1.00000000";
    let mut answers = Vec::new();
    for cursor in [&stream.last, nothing] {
        let mut stolen = Stream::after(&server, &mallory, cursor).expect("a stream");
        assert!(!stolen.opened());
        assert_ne!(stolen.name, stream.name);
        let gap = stolen.next().expect("a gap");
        answers.push((gap.event, gap.data));
        sent(&server, &stolen.name, "for mallory");
        assert_eq!(stolen.message(), "for mallory");
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, "gap");
    server.stop();
}

#[test]
fn requests_that_cannot_be_served_are_refused_by_name() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let (mut client, key) = (server.client(), server.service_key());
    let refused = |more: &[(&str, &str)], path: &str, token: &str| {
        Stream::open(&server.address, token, more, path)
            .err()
            .expect("no stream")
    };
    refused(&[("Last-Event-ID", "7")], "/v1/connections", &token).refused(400, "cursor-malformed");
    refused(&[], "/v1/connections?token=x", &token).refused(400, "query-malformed");
    refused(&[], "/v1/connections", "ts1.x").refused(401, "token-malformed");
    let long = format!("/v1/connections?prefix={}", "p".repeat(256));
    refused(&[], &long, &token).refused(422, "invalid-argument");
    let nothing = "/v1/connections/C3yW7lRQWRB3orhnW1JzVg";
    let message = Some(r#"{"data":"x"}"#);
    client
        .call("GET", nothing, &key, None)
        .refused(404, "connection-not-found");
    client
        .call("DELETE", "/v1/connections/a%20b", &key, None)
        .refused(404, "connection-not-found");
    let messages = format!("{nothing}/messages");
    client
        .call("POST", &messages, &key, message)
        .refused(404, "connection-not-found");
    client
        .call("POST", &messages, &token, message)
        .refused(403, "service-key-wrong");
    client
        .send("POST", &messages, &[], message)
        .refused(401, "service-key-absent");
    client
        .send("GET", "/v1/connections", &[], None)
        .refused(401, "service-key-absent");
    let stream = Stream::new(&server, &token);
    let own = format!("/v1/connections/{}/messages", stream.name);
    for (body, status, code) in [
        ("{}", 422, "member-absent"),
        (r#"{"data":1}"#, 422, "invalid-member"),
        (r#"{"data":"x","to":"y"}"#, 422, "unknown-member"),
        (r#"{"data":"x","event":"a b"}"#, 422, "invalid-member"),
        (r#"{"data":"x","event":"end"}"#, 422, "invalid-member"),
        (r#"{"data":"x","key":""}"#, 422, "invalid-member"),
        ("{\"data\":\"a\\u0000\"}", 422, "invalid-member"),
        ("[", 400, "json-malformed"),
    ] {
        client.call("POST", &own, &key, Some(body)).refused(status, code);
    }
    let large = |bytes: usize| json!({"data": "x".repeat(bytes)}).to_string();
    assert_eq!(
        client.call("POST", &own, &key, Some(&large(64 * 1024))).status,
        202
    );
    client
        .call("POST", &own, &key, Some(&large(64 * 1024 + 1)))
        .refused(413, "message-too-large");
    let mut other = Client::new(&server.address);
    other
        .call("POST", &own, &key, Some(&large(1 << 20)))
        .refused(413, "body-too-large");
    server.stop();
}

#[test]
fn a_page_of_another_site_opens_no_stream_by_the_cookie() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let cookie = format!("__Host-tessera={}", login(&server, "alice"));
    let open = |site: &str| {
        let mut connection = connect(&server.address).expect("a connection");
        let headers = [
            ("Cookie", cookie.as_str()),
            ("Accept", "text/event-stream"),
            ("Sec-Fetch-Site", site),
        ];
        let asked = request("GET", "/v1/connections", &headers, None);
        connection.get_mut().write_all(&asked).expect("a request");
        read_answer(&mut connection).expect("an answer").status
    };
    assert_eq!(open("cross-site"), 403);
    assert_eq!(open("same-site"), 403);
    assert_eq!(open("same-origin"), 200);
    server.stop();
}

#[test]
fn a_head_request_leaves_no_stream_that_nobody_reads() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let authorization = bearer(&token);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Accept", "text/event-stream"),
    ];
    let mut connection = connect(&server.address).expect("a connection");
    let asked = request("HEAD", "/v1/connections", &headers, None);
    connection.get_mut().write_all(&asked).expect("a request");
    let mut line = String::new();
    connection.read_line(&mut line).expect("an answer");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let path = format!("/v1/sessions/{}/connections", public_id(&server, &token));
    let listed = server.client().call("GET", &path, &server.service_key(), None);
    assert_eq!(listed.ok()["connections"], json!([]));
    server.stop();
}

#[test]
fn a_session_has_at_most_sixteen_connections_and_a_full_mailbox_refuses() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let token = login(&server, "alice");
    let mut streams: Vec<Stream> = (0..16).map(|_| Stream::new(&server, &token)).collect();
    std::thread::sleep(Duration::from_millis(2));
    let refused = Stream::open(&server.address, &token, &[], "/v1/connections")
        .err()
        .expect("no stream");
    refused.refused(429, "too-many-connections");
    assert!(refused.header("retry-after").is_some());
    let name = streams.pop().expect("a stream").name;
    let mut client = server.client();
    let path = format!("/v1/connections/{name}/messages");
    let body = json!({"data": "x".repeat(60 * 1024)}).to_string();
    let statuses: Vec<u16> = (0..6)
        .map(|_| {
            client
                .call("POST", &path, &server.service_key(), Some(&body))
                .status
        })
        .collect();
    assert_eq!(statuses, [202, 202, 202, 202, 429, 429]);
    server.stop();
}

#[test]
fn lists_and_messages_to_many_select_by_session_subject_prefix_and_type() {
    let (_directory, server) = serve(&["--store", "memory:"]);
    let (alice, bob) = (login(&server, "alice"), login(&server, "bob"));
    let mut streams = BTreeMap::new();
    for (who, token, path) in [
        ("alice 1", &alice, "/v1/connections?prefix=/mcp/a&type=mcp"),
        ("alice 2", &alice, "/v1/connections?prefix=/mcp/b"),
        ("bob", &bob, "/v1/connections?prefix=/mcp/a/deep"),
    ] {
        let mut stream = Stream::open(&server.address, token, &[], path).expect("a stream");
        stream.opened();
        streams.insert(who, stream);
    }
    let (mut client, key) = (server.client(), server.service_key());
    let session = public_id(&server, &alice);
    let mut names = |path: &str| -> Vec<String> {
        let page = client.call("GET", path, &key, None).ok();
        assert_eq!(page["next"], Value::Null);
        let connections = page["connections"].as_array().expect("a list").iter();
        let mut names: Vec<String> = connections
            .map(|connection| connection["connection"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    };
    let wanted = |who: &[&str]| {
        let mut names: Vec<String> = who.iter().map(|who| streams[who].name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names("/v1/connections"), wanted(&["alice 1", "alice 2", "bob"]));
    assert_eq!(
        names("/v1/connections?prefix=/mcp/a"),
        wanted(&["alice 1", "bob"])
    );
    assert_eq!(names("/v1/connections?type=mcp"), wanted(&["alice 1"]));
    assert_eq!(
        names(&format!("/v1/sessions/{session}/connections")),
        wanted(&["alice 1", "alice 2"])
    );
    assert_eq!(names("/v1/subjects/bob/connections"), wanted(&["bob"]));
    assert!(names("/v1/sessions/C3yW7lRQWRB3orhnW1JzVg/connections").is_empty());
    let shown = client
        .call(
            "GET",
            &format!("/v1/connections/{}", streams["bob"].name),
            &key,
            None,
        )
        .ok();
    assert_eq!(
        (
            &shown["subject"],
            &shown["prefix"],
            &shown["type"],
            &shown["ended"]
        ),
        (&json!("bob"), &json!("/mcp/a/deep"), &json!("sse"), &Value::Null)
    );
    for (path, data, reached) in [
        (
            format!("/v1/sessions/{session}/messages"),
            "to a session",
            vec!["alice 1", "alice 2"],
        ),
        ("/v1/subjects/bob/messages".into(), "to a subject", vec!["bob"]),
        (
            "/v1/messages?prefix=/mcp/a".into(),
            "to a prefix",
            vec!["alice 1", "bob"],
        ),
    ] {
        let body = json!({ "data": data }).to_string();
        let answer = client.call("POST", &path, &key, Some(&body));
        assert_eq!(answer.status, 202, "{answer:?}");
        let outcomes = answer.json()["outcomes"].as_array().expect("outcomes").len();
        assert_eq!(outcomes, reached.len());
        for who in reached {
            assert_eq!(streams.get_mut(who).expect("a stream").message(), data);
        }
    }
    server.stop();
}
