//! What was acknowledged is there, however the process ended.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::client::{bearer, connect, read_answer, request};
use crate::serve;
use crate::server::Server;

const SESSIONS: usize = 8;
const WRITERS_EACH: usize = 4;
const LOAD: Duration = Duration::from_millis(1500);

/// What clients were told, and what they asked without being told.
#[derive(Default)]
struct Told {
    /// By session and field: the last value acknowledged and the last sent.
    saved: HashMap<(usize, usize), (u64, u64)>,
    saves: u64,
    created: Vec<String>,
    ended: Vec<String>,
    refused: u64,
}

/// Writes from many clients at once until each has lost its server.
/// Clients of one session write different fields: their saves meet and are merged.
fn write_until_the_end(server: &Server, end: impl FnOnce()) -> (Vec<String>, Told) {
    let key = server.service_key();
    let tokens: Vec<String> = (0..SESSIONS)
        .map(|_| server.client().create(&key, Some("load")))
        .collect();
    let told = Mutex::new(Told::default());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..SESSIONS * WRITERS_EACH {
            let (session, field) = (writer % SESSIONS, writer / SESSIONS);
            let (told, is_over, token) = (&told, &is_over, &tokens[session]);
            scope.spawn(move || {
                let mut client = server.client();
                for value in 1.. {
                    let body = json!({ "set": { format!("w{field}"): value } }).to_string();
                    let credentials = bearer(token);
                    let request = request(
                        "PATCH",
                        "/v1/session",
                        &[("Authorization", &credentials)],
                        Some(&body),
                    );
                    let lock = || told.lock().expect("no panic");
                    lock().saved.entry((session, field)).or_default().1 = value;
                    match client.try_send(&request) {
                        Ok(answer) if answer.status == 200 => {
                            lock().saved.entry((session, field)).or_default().0 = value;
                            lock().saves += 1;
                        }
                        // Others wrote first too often, or the server is about to end: not acknowledged.
                        Ok(answer) => {
                            assert!(matches!(answer.status, 409 | 503), "{answer:?}");
                            lock().refused += 1;
                        }
                        Err(_) if is_over.load(Ordering::Relaxed) => return,
                        // A connection that was closed between two requests.
                        Err(_) => {}
                    }
                }
            });
        }
        let (told, is_over) = (&told, &is_over);
        scope.spawn(move || create_and_end(server, told, is_over));
        std::thread::sleep(LOAD);
        is_over.store(true, Ordering::Relaxed);
        end();
    });
    (tokens, told.into_inner().expect("no panic"))
}

/// Logs in, and logs every second session out again.
fn create_and_end(server: &Server, told: &Mutex<Told>, is_over: &AtomicBool) {
    let (mut client, key) = (server.client(), bearer(&server.service_key()));
    for number in 0.. {
        let login = request(
            "POST",
            "/v1/sessions",
            &[("Authorization", &key)],
            Some(r#"{"subject":"short"}"#),
        );
        let token = match client.try_send(&login) {
            Ok(answer) if answer.status == 201 => answer.token(),
            Err(_) if is_over.load(Ordering::Relaxed) => return,
            _ => continue,
        };
        if number % 2 == 0 {
            told.lock().expect("no panic").created.push(token);
            continue;
        }
        let logout = request(
            "DELETE",
            "/v1/session",
            &[("Authorization", &bearer(&token))],
            None,
        );
        if client.try_send(&logout).is_ok_and(|answer| answer.status == 204) {
            told.lock().expect("no panic").ended.push(token);
        }
    }
}

/// Starts over and looks for everything that was acknowledged.
fn check(how: &str, server: &Server, tokens: &[String], told: &Told) {
    let mut client = server.client();
    let (mut lost, mut ahead) = (0, 0);
    for ((session, field), (acknowledged, sent)) in &told.saved {
        let read = client.call("GET", "/v1/session", &tokens[*session], None).ok();
        let found = read["fields"][format!("w{field}")].as_u64().unwrap_or(0);
        lost += u64::from(found < *acknowledged);
        // Written, and the answer lost.
        ahead += u64::from(found > *acknowledged);
        assert!(
            found <= *sent,
            "session {session} field {field}: {found}, and only {sent} was ever sent"
        );
    }
    let dead = told
        .created
        .iter()
        .filter(|token| client.call("GET", "/v1/session", token, None).status != 200)
        .count();
    let risen = told
        .ended
        .iter()
        .filter(|token| client.call("GET", "/v1/session", token, None).status != 401)
        .count();
    let Told {
        saves,
        refused,
        created,
        ended,
        ..
    } = told;
    let line = format!(
        "{how}: {saves} saves acknowledged to {} clients ({lost} lost, {ahead} written and not acknowledged), \
         {refused} refused; {} logins ({dead} lost), {} logouts ({risen} undone)\n",
        told.saved.len(),
        created.len(),
        ended.len(),
    );
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("standard output");
    assert!(*saves > 100 && created.len() > 5 && ended.len() > 5, "{line}");
    assert_eq!((lost, dead, risen), (0, 0, 0), "{line}");
}

#[test]
fn a_killed_server_has_lost_nothing_that_it_acknowledged() {
    for durability in ["power-loss", "process-crash"] {
        let (_directory, server) = serve(&["--durability", durability]);
        let data = server.data.clone();
        let process = server.process();
        let (tokens, told) = write_until_the_end(&server, || process.kill());
        drop(server);
        let server = Server::start(&data, &["--durability", durability]);
        check(&format!("kill -9, {durability}"), &server, &tokens, &told);
        server.stop();
    }
}

#[test]
fn a_server_told_to_end_finishes_and_has_lost_nothing() {
    let (_directory, mut server) = serve(&[]);
    let data = server.data.clone();
    let process = server.process();
    let (tokens, told) = write_until_the_end(&server, || process.terminate());
    assert!(server.ended().success(), "{}", server.log());
    assert!(
        !data.join("sessions.db-wal").exists(),
        "the log was moved into the file"
    );
    let server = Server::start(&data, &[]);
    check("SIGTERM", &server, &tokens, &told);
    server.stop();
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let (_directory, mut server) = serve(&[]);
    let data = server.data.clone();
    let token = server.client().create(&server.service_key(), None);
    let body = r#"{"set":{"late":true}}"#;
    let bytes = request(
        "PATCH",
        "/v1/session",
        &[("Authorization", &bearer(&token))],
        Some(body),
    );
    let (head, rest) = bytes.split_at(bytes.len() - 5);
    let mut connection = connect(&server.address).expect("a connection");
    let idle = connect(&server.address).expect("a connection");
    connection.get_mut().write_all(head).expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    server.tell_to_end();
    std::thread::sleep(Duration::from_millis(300));
    assert!(connect(&server.address).is_err(), "nothing new is accepted");
    connection.get_mut().write_all(rest).expect("sent");
    assert_eq!(read_answer(&mut connection).expect("an answer").status, 200);
    assert!(server.ended().success());
    drop(idle);
    let server = Server::start(&data, &[]);
    assert_eq!(
        server.client().call("GET", "/v1/session", &token, None).ok()["fields"]["late"],
        true
    );
    server.stop();
}

#[test]
fn a_request_that_never_ends_holds_nothing_up_for_longer_than_allowed() {
    let (_directory, mut server) = serve(&["--shutdown-timeout", "500ms"]);
    let mut connection = connect(&server.address).expect("a connection");
    connection
        .get_mut()
        .write_all(b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        .expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    let started = std::time::Instant::now();
    server.tell_to_end();
    assert!(server.ended().success());
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}
