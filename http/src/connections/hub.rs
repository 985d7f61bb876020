//! The interface of a host's connections to this crate.

use std::time::Duration;

use axum_core::response::{IntoResponse, Response};
use http::header;
use tessera_connections::{Connection, Event, Message, MessageId, Name, Registration, SendKey};

use crate::engine::Engine;
use crate::problem::Problem;

/// `Retry-After` for a limit that other clients may free at any time, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;

/// What a stream sends next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// An event of the connection.
    Event(Event),
    /// Nothing has happened for a while: the stream sends a sign of life.
    Idle,
}

/// The client of a connection at this node. A host with streams detaches it when it is dropped.
pub trait Client: Send + 'static {
    /// Waits for events, and returns those that are there: at most 64 messages or 128 KiB, and at least one message if there
    /// is any. Empty after `wait`, and after the last event.
    ///
    /// A message counts as received when the client is attached again after it, so nothing is lost with the future.
    fn next_batch(&mut self, wait: Duration) -> impl Future<Output = Vec<Event>> + Send;
}

/// A client whose events can be streamed in a response that stays open.
pub trait StreamClient: Client {
    /// Waits for the next event; `None` after the last one. The future may be dropped at any time.
    fn next(&mut self) -> impl Future<Output = Option<Served>> + Send;
}

/// The connections of a host.
pub trait Hub<E: Engine>: Send + Sync + 'static {
    /// A client that is attached to this node.
    type Client: Client;

    /// Registers a connection of a session, whose client is attached later.
    ///
    /// # Errors
    /// [`HubError::TooManyOfSession`], [`HubError::Other`].
    fn register(
        &self,
        session: &E::Session,
        registration: Registration,
    ) -> impl Future<Output = Result<Name, HubError>> + Send;

    /// Registers a connection of a session, and attaches its client to this node. After an error, what may be left of it is without
    /// a client: it makes room for others, and goes.
    ///
    /// # Errors
    /// [`HubError::TooManyOfSession`], [`HubError::TooManyOnNode`], [`HubError::Other`].
    fn open(
        &self,
        session: &E::Session,
        registration: Registration,
    ) -> impl Future<Output = Result<(Name, Self::Client), HubError>> + Send;

    /// Attaches the client of a connection after the last message that it has received.
    ///
    /// # Errors
    /// [`HubError::Missing`] if there is no such connection of this session, [`HubError::Ended`], [`HubError::TooManyOnNode`],
    /// [`HubError::Other`].
    fn attach(
        &self,
        name: &Name,
        after: MessageId,
        session: &E::Session,
    ) -> impl Future<Output = Result<Self::Client, HubError>> + Send;

    /// Returns the interval of the signs of life of a stream: [`Served::Idle`], and the pings of a WebSocket.
    fn sign_of_life(&self) -> Duration;

    /// Returns the longest time that a poll waits. It ends before the time-out of a request.
    fn longest_poll(&self) -> Duration;

    /// Returns the limit of a message, in bytes, with its event and key.
    fn maximum_message_bytes(&self) -> u32;

    /// Sends a message to a connection.
    ///
    /// # Errors
    /// [`HubError::Missing`], [`HubError::Ended`], [`HubError::Full`], [`HubError::TooLarge`], [`HubError::Other`].
    fn send(
        &self,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
    ) -> impl Future<Output = Result<MessageId, HubError>> + Send;

    /// Returns a connection.
    ///
    /// # Errors
    /// [`HubError::Missing`], [`HubError::Other`].
    fn get(&self, name: &Name) -> impl Future<Output = Result<Connection, HubError>> + Send;

    /// Returns the connections of a session, given its public id.
    ///
    /// # Errors
    /// [`HubError::Other`].
    fn of_session(&self, session: &str) -> impl Future<Output = Result<Vec<Connection>, HubError>> + Send;

    /// Returns the connections of one page of a subject's sessions, and the cursor of the next page.
    ///
    /// # Errors
    /// [`HubError::Other`].
    fn of_subject(
        &self,
        subject: &str,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<(Vec<Connection>, Option<String>), HubError>> + Send;

    /// Lists one page of all connections with this prefix and kind; empty texts select all.
    ///
    /// # Errors
    /// [`HubError::Other`].
    fn walk(
        &self,
        prefix: &str,
        kind: &str,
        cursor: &str,
    ) -> impl Future<Output = Result<(Vec<Connection>, Option<String>), HubError>> + Send;

    /// Ends all connections of a session that has ended, given its public id.
    ///
    /// # Errors
    /// [`HubError::Other`].
    fn close_session(&self, session: &str) -> impl Future<Output = Result<usize, HubError>> + Send;

    /// Ends a connection.
    ///
    /// # Errors
    /// [`HubError::Missing`], [`HubError::Other`].
    fn close(&self, name: &Name) -> impl Future<Output = Result<(), HubError>> + Send;
}

/// The error of a call on connections.
#[derive(Debug)]
pub enum HubError {
    /// There is no such connection, or it belongs to another session.
    Missing,
    /// The connection has ended.
    Ended,
    /// The mailbox is full.
    Full,
    /// The message is longer than this number of bytes.
    TooLarge(u32),
    /// The session has too many connections.
    TooManyOfSession,
    /// The node has too many connections.
    TooManyOnNode,
    /// Any other error, as a problem.
    Other(Problem),
}

impl HubError {
    /// The stable code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Missing => "connection-not-found",
            Self::Ended => "connection-ended",
            Self::Full => "mailbox-full",
            Self::TooLarge(_) => "message-too-large",
            Self::TooManyOfSession => "too-many-connections",
            Self::TooManyOnNode => "node-full",
            Self::Other(problem) => problem.code(),
        }
    }
}

impl From<Problem> for HubError {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        let code = error.code();
        let retry = |problem: Problem| problem.header(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        match error {
            HubError::Missing => Self::new(404, code, "there is no such connection"),
            HubError::Ended => Self::new(410, code, "the connection has ended"),
            HubError::Full => retry(Self::new(
                429,
                code,
                "the mailbox is full of messages that the client has not received",
            )),
            HubError::TooLarge(maximum) => {
                Self::new(413, code, format!("a message is at most {maximum} bytes")).with("maximum", maximum)
            }
            HubError::TooManyOfSession => retry(Self::new(
                429,
                code,
                "the session has too many connections: close one",
            )),
            HubError::TooManyOnNode => retry(Self::new(503, code, "this node has too many connections")),
            HubError::Other(problem) => problem,
        }
    }
}

impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
