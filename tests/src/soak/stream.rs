//! A client's end of a connection: server-sent events, a WebSocket, or one long poll after the other.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::http::{Line, PATIENCE};
use crate::http_client::{Answer, bearer, request};
use crate::inbox::Delivered;

/// How a client receives events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Events,
    Socket,
    Poll,
}

impl Transport {
    pub(super) const ALL: [Self; 3] = [Self::Events, Self::Socket, Self::Poll];
}

/// Why a stream does not open, or is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The connection has ended.
    Ended,
    /// The session has ended.
    LoggedOut,
    /// There is no such connection.
    Missing,
    /// The session or the node has too many connections.
    TooMany,
    /// The node accepts no connection, because it restarts.
    Down,
    /// The socket is gone, or the node sends the client away: it comes back.
    Lost,
    /// Anything else is wrong.
    Wrong(String),
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

impl Over {
    fn of(answer: &Answer) -> Self {
        match answer.status {
            204 | 410 => Self::Ended,
            401 => Self::LoggedOut,
            404 => Self::Missing,
            429 => Self::TooMany,
            503 => Self::Lost,
            status => Self::Wrong(format!("{status} {}", answer.text)),
        }
    }
}

/// An open stream.
pub(super) struct Stream {
    wire: Wire,
    /// Events that were read and not returned yet.
    left: VecDeque<Delivered>,
}

enum Wire {
    /// With the bytes of a part of an event.
    Events(Line, Vec<u8>),
    Socket(Box<WebSocketStream<TcpStream>>),
    Poll(Poll),
}

struct Poll {
    /// `None` while a poll is open, so that one that is given up closes its socket.
    line: Option<Line>,
    address: String,
    token: String,
    name: String,
    after: String,
    wait: Duration,
}

impl Stream {
    /// Opens a stream, or continues one after a cursor. A poll waits for `wait`.
    pub(super) async fn open(
        transport: Transport,
        address: &str,
        token: &str,
        cursor: &str,
        wait: Duration,
    ) -> Result<Self, Over> {
        let opening = async {
            match transport {
                Transport::Events => events(address, token, cursor).await,
                Transport::Socket => socket(address, token, cursor).await,
                Transport::Poll => poll(address, token, cursor, wait).await,
            }
        };
        let silent = || Err(Over::Wrong(format!("{transport:?} does not open")));
        timeout(PATIENCE, opening).await.unwrap_or_else(|_| silent())
    }

    /// Waits for the next event. The future may be dropped at any time; that of a poll closes its socket.
    pub(super) async fn next(&mut self) -> Result<Delivered, Over> {
        loop {
            if let Some(event) = self.left.pop_front() {
                return Ok(event);
            }
            match &mut self.wire {
                Wire::Events(line, buffer) => match chunk(buffer)? {
                    Some(text) => {
                        let events = text.split_terminator("\n\n");
                        self.left.extend(events.filter_map(Delivered::of_text));
                    }
                    None => line.read(buffer).await?,
                },
                Wire::Socket(socket) => self.left.extend(frame(socket).await?),
                Wire::Poll(poll) => self.left.extend(poll.next().await?),
            }
        }
    }

    /// Closes the socket, as a client does that ends.
    pub(super) async fn close(mut self) {
        if let Wire::Socket(socket) = &mut self.wire {
            let _ = socket.close(None).await;
        }
    }

    /// Resets the TCP connection, as the system of a client does that has crashed.
    pub(super) fn reset(self) {
        let socket = match &self.wire {
            Wire::Events(line, _) => Some(line.socket()),
            Wire::Socket(socket) => Some(socket.get_ref()),
            Wire::Poll(poll) => poll.line.as_ref().map(Line::socket),
        };
        if let Some(socket) = socket {
            let _ = socket.set_zero_linger();
        }
    }
}

async fn events(address: &str, token: &str, cursor: &str) -> Result<Stream, Over> {
    let mut line = Line::to(address).await.map_err(|_| Over::Down)?;
    let bearer = bearer(token);
    let mut headers = vec![("Authorization", &*bearer), ("Accept", "text/event-stream")];
    if !cursor.is_empty() {
        headers.push(("Last-Event-ID", cursor));
    }
    let answer = line
        .begin(&request("GET", "/v1/connections", &headers, None))
        .await?;
    if answer.status != 200 {
        return Err(Over::of(&answer));
    }
    Ok(Stream {
        wire: Wire::Events(line, Vec::new()),
        left: VecDeque::new(),
    })
}

/// Takes a complete chunk from the beginning of a buffer.
fn chunk(buffer: &mut Vec<u8>) -> Result<Option<String>, Over> {
    let wrong = || Over::Wrong("a chunk of a stream is malformed".into());
    let Some(head) = buffer.windows(2).position(|end| end == b"\r\n") else {
        return Ok(None);
    };
    let length = std::str::from_utf8(&buffer[..head]).map_err(|_| wrong())?;
    let length = usize::from_str_radix(length, 16).map_err(|_| wrong())?;
    let end = head + 2 + length;
    if length == 0 {
        return Err(Over::Lost);
    }
    if buffer.len() < end + 2 {
        return Ok(None);
    }
    let text = String::from_utf8(buffer[head + 2..end].to_vec()).map_err(|_| wrong())?;
    buffer.drain(..end + 2);
    Ok(Some(text))
}

async fn socket(address: &str, token: &str, cursor: &str) -> Result<Stream, Over> {
    let wrong = |what: String| Over::Wrong(format!("a handshake: {what}"));
    let stream = TcpStream::connect(address).await.map_err(|_| Over::Down)?;
    let url = format!("ws://{address}/v1/connections?after={cursor}");
    let mut request = url
        .into_client_request()
        .map_err(|error| wrong(error.to_string()))?;
    let credentials = bearer(token).parse().map_err(|_| wrong("the token".into()))?;
    request.headers_mut().insert("authorization", credentials);
    match client_async(request, stream).await {
        Ok((socket, _)) => Ok(Stream {
            wire: Wire::Socket(Box::new(socket)),
            left: VecDeque::new(),
        }),
        Err(Error::Http(response)) => Err(wrong(response.status().to_string())),
        Err(_) => Err(Over::Lost),
    }
}

/// Reads one frame of a WebSocket; `None` for a ping.
async fn frame(socket: &mut WebSocketStream<TcpStream>) -> Result<Option<Delivered>, Over> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => {
            let event = serde_json::from_str(&text);
            event
                .map(Some)
                .map_err(|error| Over::Wrong(format!("a frame: {error}")))
        }
        Some(Ok(Message::Close(Some(close)))) => {
            // The answer to the close frame.
            let _ = socket.next().await;
            Err(match close.code.into() {
                1000 | 4410 => Over::Ended,
                4401 => Over::LoggedOut,
                1013 => Over::TooMany,
                1001 | 1012 | 4409 => Over::Lost,
                code => Over::Wrong(format!("close code {code} {}", close.reason)),
            })
        }
        Some(Ok(_)) => Ok(None),
        Some(Err(_)) | None => Err(Over::Lost),
    }
}

async fn poll(address: &str, token: &str, cursor: &str, wait: Duration) -> Result<Stream, Over> {
    let mut line = Line::to(address).await.map_err(|_| Over::Down)?;
    let (mut left, mut after) = (VecDeque::new(), cursor.to_owned());
    if cursor.is_empty() {
        let bearer = bearer(token);
        let headers = [("Authorization", &*bearer)];
        let answer = line
            .ask(&request("POST", "/v1/connections", &headers, None))
            .await?;
        if answer.status != 201 {
            return Err(Over::of(&answer));
        }
        let registered: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        registered["after"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut after);
        // A stream tells the name by an event.
        left.push_back(Delivered {
            event: "connection".into(),
            id: after.clone(),
            data: answer.text,
        });
    }
    let name = after.split(':').next().unwrap_or_default().to_owned();
    let poll = Poll {
        line: Some(line),
        address: address.to_owned(),
        token: token.to_owned(),
        name,
        after,
        wait,
    };
    Ok(Stream {
        wire: Wire::Poll(poll),
        left,
    })
}

impl Poll {
    async fn next(&mut self) -> Result<Vec<Delivered>, Over> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => Line::to(&self.address).await?,
        };
        let path = format!(
            "/v1/connections/{}/messages?after={}&wait={}",
            self.name,
            self.after,
            self.wait.as_secs()
        );
        let bearer = bearer(&self.token);
        let headers = [("Authorization", &*bearer)];
        let answer = line.ask(&request("GET", &path, &headers, None)).await?;
        self.line = Some(line);
        if answer.status != 200 {
            return Err(Over::of(&answer));
        }
        let mut polled: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        polled["after"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.after);
        serde_json::from_value(polled["events"].take())
            .map_err(|error| Over::Wrong(format!("a poll: {error}")))
    }
}
