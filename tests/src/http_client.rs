//! A minimal HTTP/1.1 client: one connection, kept alive, that sends the bytes of a request unchanged.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The maximum number of repetitions of a request to workerd that received no byte of a response.
const REOPENS: u32 = 3;

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The first header with a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All headers with a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// The body, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON body")
    }

    /// The code of a problem. Asserts the form of the problem.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert!(
            problem["title"].is_string() && problem["detail"].is_string(),
            "{self:?}"
        );
        problem["code"].as_str().expect("a code").to_owned()
    }

    /// Asserts a status and a code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{self:?}");
        self
    }

    /// Asserts success and returns the body.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(matches!(self.status, 200 | 201), "{self:?}");
        self.json()
    }

    /// The token in the body. Asserts success.
    #[track_caller]
    pub fn token(&self) -> String {
        self.ok()["token"].as_str().expect("a token").to_owned()
    }
}

/// A client of one address.
pub struct Client {
    address: String,
    connection: Option<BufReader<TcpStream>>,
    /// The maximum number of repetitions of a request.
    reopens: u32,
}

impl Client {
    /// Creates a client that connects at the first request.
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            connection: None,
            reopens: 0,
        }
    }

    /// Creates a client for workerd, which repeats a request that received no byte of a response, on a new connection.
    ///
    /// workerd closes connections that were idle for five seconds, by a clock that stands still while it works.
    /// So after a long request, it may also close a connection that is new or in use.
    pub fn reopening(address: &str) -> Self {
        Self {
            reopens: REOPENS,
            ..Self::new(address)
        }
    }

    /// Sends a request and reads the response. After an error the next request opens a new connection.
    ///
    /// # Errors
    /// If the connection fails, or the response is invalid.
    pub fn try_send(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut connection = self.begin(request)?;
        let answer = read_answer(&mut connection)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Sends a request, and waits for the first byte of its response.
    fn begin(&mut self, request: &[u8]) -> io::Result<BufReader<TcpStream>> {
        let mut reopens = self.reopens;
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => connect(&self.address)?,
            };
            match begins(&mut connection, request) {
                Ok(()) => return Ok(connection),
                Err(error) if reopens > 0 && is_closed(&error) => reopens -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request and reads the response. Panics if that fails.
    #[track_caller]
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        self.try_send(&request(method, path, headers, body))
            .expect("an answer")
    }

    /// The same, with credentials in `Authorization: Bearer`.
    #[track_caller]
    pub fn call(&mut self, method: &str, path: &str, credentials: &str, body: Option<&str>) -> Answer {
        self.send(method, path, &[("Authorization", &bearer(credentials))], body)
    }

    /// Creates a session, optionally of a subject, and returns its token.
    #[track_caller]
    pub fn create(&mut self, service_key: &str, subject: Option<&str>) -> String {
        let body = match subject {
            Some(subject) => serde_json::json!({ "subject": subject }).to_string(),
            None => "{}".into(),
        };
        self.call("POST", "/v1/sessions", service_key, Some(&body))
            .token()
    }
}

/// The value of `Authorization` for these credentials.
pub fn bearer(credentials: &str) -> String {
    format!("Bearer {credentials}")
}

/// Returns the bytes of a request. The content type of a body is JSON unless a header sets it.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            text.push_str("Content-Type: application/json\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}

/// Opens a connection with a read timeout of 30 seconds.
///
/// # Errors
/// If the connection fails.
pub fn connect(address: &str) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(BufReader::new(stream))
}

fn begins(connection: &mut BufReader<TcpStream>, request: &[u8]) -> io::Result<()> {
    connection.get_mut().write_all(request)?;
    loop {
        match connection.fill_buf() {
            Ok([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            // A stopped child process interrupts a read that has a time-out (signal(7)).
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the peer had closed the connection.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Reads one response. A response without `Content-Length` has no body.
///
/// # Errors
/// If the connection fails, or the response is invalid.
pub fn read_answer(connection: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let mut line = String::new();
    let mut next = |connection: &mut BufReader<TcpStream>| {
        line.clear();
        match connection.read_line(&mut line)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(line.trim_end().to_owned()),
        }
    };
    let unfit = || io::Error::from(io::ErrorKind::InvalidData);
    let status = next(connection)?
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(unfit)?;
    let mut headers = Vec::new();
    loop {
        let header = next(connection)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(unfit)?;
        headers.push((name.to_owned(), value.trim_start().to_owned()));
    }
    let mut answer = Answer {
        status,
        headers,
        text: String::new(),
    };
    let length = answer
        .header("content-length")
        .map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    answer.text = String::from_utf8(body).map_err(|_| unfit())?;
    Ok(answer)
}
