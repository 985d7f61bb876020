//! The connections of this crate for the routes of `tessera-http`.

use std::time::Duration;

use tessera_connections::{Connection, Event, Mailbox, Message, MessageId, Name, Registration, SendKey};
use tessera_http::connections::{Client, Hub, HubError, Served, StreamClient};
use tessera_http::{ErrorKind, Problem};
use tokio::time::timeout;

use super::attachment::Attachment;
use super::calls::Connections;
use super::error::ConnectionError;
use crate::store::StoreError;
use crate::{Session, SessionError, Sessions};

/// The connections of one page of a list.
const PAGE: u32 = 100;

/// The error of the mailboxes as one of the sessions' store, so that it is answered alike.
fn outage(error: StoreError) -> SessionError {
    match error {
        StoreError::Throttled(pause) => SessionError::Throttled(pause),
        StoreError::Full => SessionError::Full,
        StoreError::Unsupported => SessionError::Unsupported {
            what: "connections".into(),
        },
        StoreError::MalformedCursor => SessionError::InvalidArgument {
            argument: "cursor".into(),
            reason: "was not returned by this service".into(),
        },
        StoreError::Corrupt => SessionError::Corrupt {
            reason: "the mailbox of a connection cannot be read".into(),
        },
        StoreError::OutcomeUnknown(_) => SessionError::OutcomeUnknown { source: Some(error) },
        StoreError::Unavailable(_) => SessionError::Unavailable { source: Some(error) },
        other => SessionError::Other {
            reason: "the mailboxes failed".into(),
            source: Some(other),
        },
    }
}

impl From<ConnectionError> for HubError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Missing => Self::Missing,
            ConnectionError::Ended => Self::Ended,
            ConnectionError::Full => Self::Full,
            ConnectionError::TooLarge { maximum } => Self::TooLarge(maximum),
            ConnectionError::TooManyOfSession => Self::TooManyOfSession,
            ConnectionError::TooManyOnNode => Self::TooManyOnNode,
            ConnectionError::InvalidHead(error) => {
                let kind = ErrorKind::InvalidArgument;
                Self::Other(Problem::new(kind.status(), kind.code(), error.to_string()))
            }
            ConnectionError::Session(error) => Self::Other(Problem::of(&error)),
            ConnectionError::Mailbox(error) => Self::Other(Problem::of(&outage(error))),
        }
    }
}

impl<M: Mailbox> Client for Attachment<M> {
    async fn next_batch(&mut self, wait: Duration) -> Vec<Event> {
        Attachment::next_batch(self, wait).await
    }
}

impl<M: Mailbox> StreamClient for Attachment<M> {
    async fn next(&mut self) -> Option<Served> {
        match timeout(self.sign_of_life(), Attachment::next(self)).await {
            Ok(event) => event.map(Served::Event),
            Err(_) => Some(Served::Idle),
        }
    }
}

impl<M: Mailbox> Hub<Sessions> for Connections<M> {
    type Client = Attachment<M>;

    async fn register(&self, session: &Session, registration: Registration) -> Result<Name, HubError> {
        Ok(self.register(session, registration).await?)
    }

    async fn open(
        &self,
        session: &Session,
        registration: Registration,
    ) -> Result<(Name, Attachment<M>), HubError> {
        let attachment = self.open(session, registration).await?;
        Ok((attachment.name().clone(), attachment))
    }

    async fn attach(
        &self,
        name: &Name,
        after: MessageId,
        session: &Session,
    ) -> Result<Attachment<M>, HubError> {
        Ok(self.attach(name, after, session).await?)
    }

    fn sign_of_life(&self) -> Duration {
        self.node.settings.sign_of_life
    }

    fn longest_poll(&self) -> Duration {
        self.node.settings.longest_poll
    }

    fn maximum_message_bytes(&self) -> u32 {
        self.node.settings.bounds.maximum_message_bytes
    }

    async fn send(
        &self,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
    ) -> Result<MessageId, HubError> {
        Ok(self.send(name, message, key).await?)
    }

    async fn get(&self, name: &Name) -> Result<Connection, HubError> {
        Ok(self.get(name).await?)
    }

    async fn of_session(&self, session: &str) -> Result<Vec<Connection>, HubError> {
        Ok(self.of_session(session).await?)
    }

    async fn of_subject(
        &self,
        subject: &str,
        cursor: Option<&str>,
    ) -> Result<(Vec<Connection>, Option<String>), HubError> {
        Ok(self.of_subject(subject, cursor).await?)
    }

    async fn walk(
        &self,
        prefix: &str,
        kind: &str,
        cursor: &str,
    ) -> Result<(Vec<Connection>, Option<String>), HubError> {
        Ok(self.walk(prefix, kind, cursor, PAGE).await?)
    }

    async fn close_session(&self, session: &str) -> Result<usize, HubError> {
        Ok(self.close_session(session).await?)
    }

    async fn close(&self, name: &Name) -> Result<(), HubError> {
        Ok(self.close(name).await?)
    }
}
