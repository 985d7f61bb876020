//! Requests over connections that are kept alive, one to each node.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http_client::{Answer, bearer, request};

/// A node that has not answered by then counts as wrong.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a node.
pub(super) struct Line {
    stream: BufReader<TcpStream>,
}

impl Line {
    pub(super) async fn to(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends a request, and reads the head of the response.
    pub(super) async fn begin(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.get_mut().write_all(request).await?;
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut answer = Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            headers: Vec::new(),
            text: String::new(),
        };
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(answer);
            };
            answer.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Sends a request, and reads the response.
    pub(super) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut answer = self.begin(request).await?;
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        answer.text = self.text(length.unwrap_or_default()).await?;
        Ok(answer)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Appends what arrives next to a buffer. Nothing is lost with a future that is dropped.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        match self.stream.read_buf(buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn text(&mut self, length: usize) -> io::Result<String> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await?;
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

/// The connections of one caller to the nodes.
pub(super) struct Desk {
    addresses: [String; 2],
    lines: [Option<Line>; 2],
}

impl Desk {
    pub(super) fn new(addresses: &[String; 2]) -> Self {
        Self {
            addresses: addresses.clone(),
            lines: [None, None],
        }
    }

    pub(super) fn address(&self, at: usize) -> &str {
        &self.addresses[at]
    }

    /// Makes a call with credentials. After an error, the next call opens a new connection.
    pub(super) async fn call(
        &mut self,
        at: usize,
        method: &str,
        path: &str,
        credentials: &str,
        body: Option<&str>,
    ) -> io::Result<Answer> {
        let headers = [("Authorization", bearer(credentials))];
        self.send(at, method, path, &headers, body).await
    }

    pub(super) async fn send(
        &mut self,
        at: usize,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&str>,
    ) -> io::Result<Answer> {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let bytes = request(method, path, &headers, body);
        let mut line = match self.lines[at].take() {
            Some(line) => line,
            None => Line::to(&self.addresses[at]).await?,
        };
        let answer = timeout(PATIENCE, line.ask(&bytes)).await??;
        if answer.header("connection") != Some("close") {
            self.lines[at] = Some(line);
        }
        Ok(answer)
    }
}
