//! Streams of events, as a client reads them, and messages to them.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, bearer, connect, read_answer, request};
use crate::server::Server;

/// The longest time from the end of a session to the end of its streams: the beat, and one store operation.
pub(crate) const END_BOUND: Duration = Duration::from_secs(7);

/// A stream of events.
pub(crate) struct Stream {
    connection: BufReader<TcpStream>,
    /// Events of the last chunk that were not returned yet.
    left: VecDeque<String>,
    /// The id of the last event.
    pub(crate) last: String,
    pub(crate) name: String,
}

/// An event of a stream.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) event: String,
    pub(crate) data: String,
}

impl Stream {
    /// Opens a stream, or returns the answer that is none.
    pub(crate) fn open(
        address: &str,
        token: &str,
        more: &[(&str, &str)],
        path: &str,
    ) -> Result<Self, Answer> {
        let mut connection = connect(address).expect("a connection");
        let bearer = bearer(token);
        let mut headers = vec![
            ("Authorization", bearer.as_str()),
            ("Accept", "text/event-stream"),
        ];
        headers.extend(more);
        let sent = connection
            .get_mut()
            .write_all(&request("GET", path, &headers, None));
        sent.expect("a request");
        let answer = read_answer(&mut connection).expect("an answer");
        if answer.header("content-type") != Some("text/event-stream") {
            return Err(answer);
        }
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        Ok(Self {
            connection,
            left: VecDeque::new(),
            last: String::new(),
            name: String::new(),
        })
    }

    /// Opens a new stream.
    pub(crate) fn new(server: &Server, token: &str) -> Self {
        let mut stream = Self::open(&server.address, token, &[], "/v1/connections").expect("a stream");
        assert!(!stream.opened());
        stream
    }

    /// Comes back after the last event of another stream.
    pub(crate) fn after(server: &Server, token: &str, last: &str) -> Result<Self, Answer> {
        Self::open(
            &server.address,
            token,
            &[("Last-Event-ID", last)],
            "/v1/connections",
        )
    }

    /// Reads the first event; returns whether the client has continued a connection.
    pub(crate) fn opened(&mut self) -> bool {
        let first = self.next().expect("an event");
        assert_eq!(first.event, "connection");
        let data: Value = serde_json::from_str(&first.data).expect("JSON");
        data["connection"]
            .as_str()
            .expect("a name")
            .clone_into(&mut self.name);
        data["resumed"].as_bool().expect("a boolean")
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.connection.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Reads one chunk, which has one or more whole events.
    fn chunk(&mut self) -> Option<String> {
        let length = usize::from_str_radix(&self.line()?, 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        self.connection.read_exact(&mut chunk).ok()?;
        chunk.truncate(length);
        (length > 0).then(|| String::from_utf8(chunk).expect("UTF-8"))
    }

    /// Waits for the next event; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Sent> {
        loop {
            while self.left.is_empty() {
                let chunk = self.chunk()?;
                self.left
                    .extend(chunk.split_terminator("\n\n").map(str::to_owned));
            }
            let text = self.left.pop_front()?;
            let (mut event, mut data) = ("message".to_owned(), Vec::new());
            for line in text.lines() {
                match line.split_once(": ") {
                    Some(("event", name)) => name.clone_into(&mut event),
                    Some(("id", id)) => id.clone_into(&mut self.last),
                    Some(("data", text)) => data.push(text.to_owned()),
                    _ => {}
                }
            }
            // A sign of life has no data.
            if !data.is_empty() {
                let data = data.join("\n");
                return Some(Sent { event, data });
            }
        }
    }

    /// The data of the next message.
    pub(crate) fn message(&mut self) -> String {
        let sent = self.next().expect("a message");
        assert_eq!(sent.event, "message", "{sent:?}");
        sent.data
    }

    /// The reason of the end, after which the stream is closed.
    pub(crate) fn end(&mut self) -> String {
        let sent = self.next().expect("an end");
        assert_eq!(sent.event, "end", "{sent:?}");
        let data: Value = serde_json::from_str(&sent.data).expect("JSON");
        assert_eq!(self.next(), None);
        data["reason"].as_str().expect("a reason").to_owned()
    }
}

pub(crate) fn send(server: &Server, name: &str, data: &str) -> Answer {
    let path = format!("/v1/connections/{name}/messages");
    let body = json!({ "data": data }).to_string();
    server
        .client()
        .call("POST", &path, &server.service_key(), Some(&body))
}

pub(crate) fn sent(server: &Server, name: &str, data: &str) -> String {
    let answer = send(server, name, data);
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn login(server: &Server, subject: &str) -> String {
    server.client().create(&server.service_key(), Some(subject))
}

/// The session's public id.
pub(crate) fn public_id(server: &Server, token: &str) -> String {
    let session = server.client().call("GET", "/v1/session", token, None).ok();
    session["public_id"].as_str().expect("a public id").to_owned()
}
