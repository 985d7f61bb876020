//! The client's end of a WebSocket with the events of a connection.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a client that is served something else ends its test"
)]

use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

/// A frame that has not come by then is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The client's end of a WebSocket.
pub struct Socket {
    /// The socket itself.
    pub socket: WebSocket<TcpStream>,
    /// The id of the last event.
    pub last: String,
    /// The name of the connection.
    pub name: String,
}

/// A refused handshake: its status, and the code of the problem.
pub type Refused = (u16, String);

impl Socket {
    /// Shakes hands.
    pub fn open(address: &str, headers: &[(&str, &str)], query: &str) -> Result<Self, Refused> {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let url = format!("ws://{address}/v1/connections{query}");
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            let value = HeaderValue::from_str(value).expect("a value");
            request.headers_mut().insert(name, value);
        }
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self {
                socket,
                last: String::new(),
                name: String::new(),
            }),
            Err(HandshakeError::Failure(Error::Http(response))) => {
                let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or_default())
                    .unwrap_or_default();
                let code = body["code"].as_str().unwrap_or_default().to_owned();
                Err((response.status().as_u16(), code))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Shakes hands with a token in `Authorization`.
    pub fn with(address: &str, token: &str, query: &str) -> Self {
        let bearer = format!("Bearer {token}");
        Self::open(address, &[("Authorization", &bearer)], query).expect("a socket")
    }

    /// Opens a new stream.
    pub fn new(address: &str, token: &str) -> Self {
        let mut socket = Self::with(address, token, "");
        assert!(!socket.opened());
        socket
    }

    /// Comes back after the last event of another socket, and returns whether the client has continued a connection.
    pub fn after(address: &str, token: &str, last: &str) -> (Self, bool) {
        let mut socket = Self::with(address, token, &format!("?after={last}"));
        let is_resumed = socket.opened();
        (socket, is_resumed)
    }

    /// Reads the first event, and returns whether the client has continued a connection.
    pub fn opened(&mut self) -> bool {
        let (event, data) = self.event();
        assert_eq!(event, "connection");
        let data: Value = serde_json::from_str(&data).expect("JSON");
        data["connection"]
            .as_str()
            .expect("a name")
            .clone_into(&mut self.name);
        data["resumed"].as_bool().expect("a boolean")
    }

    /// Waits for the next event, and returns its name and data.
    pub fn event(&mut self) -> (String, String) {
        loop {
            match self.socket.read().expect("a frame") {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    let members = frame.as_object().expect("an object");
                    assert_eq!(members.len(), 3, "{frame}");
                    let text = |member: &str| frame[member].as_str().expect("a string").to_owned();
                    self.last = text("id");
                    return (text("event"), text("data"));
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The data of the next message; `None` for a close frame.
    pub fn message_or_close(&mut self) -> Option<String> {
        loop {
            match self.socket.read().expect("a frame") {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    frame["id"].as_str().expect("an id").clone_into(&mut self.last);
                    return Some(frame["data"].as_str().expect("a string").to_owned());
                }
                Message::Close(_) => {
                    let _ = self.socket.flush();
                    return None;
                }
                _ => {}
            }
        }
    }

    /// The data of the next message.
    pub fn message(&mut self) -> String {
        let (event, data) = self.event();
        assert_eq!(event, "message", "{data}");
        data
    }

    /// The code and the reason with which the service closes the socket.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            match self.socket.read().expect("a frame") {
                Message::Close(Some(frame)) => {
                    // The answer to the close frame.
                    let _ = self.socket.flush();
                    return (frame.code.into(), frame.reason.to_string());
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The reason of the event `end`, and the code and the reason of the close frame after it.
    pub fn end(&mut self) -> (String, (u16, String)) {
        let (event, data) = self.event();
        assert_eq!(event, "end");
        let data: Value = serde_json::from_str(&data).expect("JSON");
        (
            data["reason"].as_str().expect("a reason").to_owned(),
            self.closed(),
        )
    }
}
