//! [`ConnectionError`]: the errors of calls on connections.

use tessera_connections::{InvalidHead, MailboxError};

use crate::SessionError;
use crate::store::StoreError;

/// The error of a call on a connection. No variant contains a message, a token or a session id.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// There is no such connection, or it belongs to another session.
    #[error("there is no such connection")]
    Missing,
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
    /// The mailbox is full of messages that the client has not received; nothing was stored.
    #[error("the mailbox of the connection is full")]
    Full,
    /// The message exceeds the maximum size; nothing was stored.
    #[error("the message is longer than {maximum} bytes")]
    TooLarge {
        /// The maximum size, in bytes.
        maximum: u32,
    },
    /// The session has as many connections as it may have.
    #[error("the session has too many connections")]
    TooManyOfSession,
    /// This node has as many connections as it may have.
    #[error("this node has too many connections")]
    TooManyOnNode,
    /// The description of the connection is invalid.
    #[error(transparent)]
    InvalidHead(#[from] InvalidHead),
    /// The session's error: it was never saved, or it has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The store of the mailboxes failed.
    #[error("the mailboxes failed")]
    Mailbox(#[source] StoreError),
}

impl From<MailboxError> for ConnectionError {
    fn from(error: MailboxError) -> Self {
        match error {
            MailboxError::Missing => Self::Missing,
            MailboxError::Ended => Self::Ended,
            MailboxError::Full => Self::Full,
            MailboxError::TooLarge { maximum } => Self::TooLarge { maximum },
            // The engine draws the names: the store of the mailboxes has another connection under a new one.
            MailboxError::Taken => Self::Mailbox(StoreError::Stale),
            MailboxError::Store(error) => Self::Mailbox(error),
        }
    }
}
