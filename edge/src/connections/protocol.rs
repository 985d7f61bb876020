//! The messages to the Durable Object of a connection.

use serde::{Deserialize, Serialize};
use tessera_connections::{
    Batch, Bounds, Delivery, EndReason, Holder, Limit, Login, MailboxError, Message, MessageId, Name,
    SendKey, Walked,
};
use tessera_contract::Timestamp;

/// A question. Those with `now` are the methods of [`Mailbox`](tessera_connections::Mailbox).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Open {
        now: Timestamp,
        name: Name,
        head: String,
        until: Timestamp,
    },
    Append {
        now: Timestamp,
        message: Message,
        key: Option<SendKey>,
        stamp: u32,
        bounds: Bounds,
    },
    Attach {
        now: Timestamp,
        holder: Holder,
        until: Timestamp,
    },
    Detach {
        now: Timestamp,
        holder: Holder,
        until: Timestamp,
    },
    End {
        now: Timestamp,
        reason: EndReason,
        until: Timestamp,
    },
    Read {
        now: Timestamp,
        after: MessageId,
        limit: Limit,
    },
    Acknowledge {
        now: Timestamp,
        holder: Holder,
        through: MessageId,
        replay: u32,
    },
    Keep {
        now: Timestamp,
        until: Timestamp,
    },
    Look {
        now: Timestamp,
    },
    /// From now on, the connection ends with the session of this handle, whose record has this key.
    Bind {
        handle: String,
        key: String,
    },
    /// Attaches a client of this login after a message. Any other client is taken over.
    Join {
        login: Login,
        holder: Holder,
        after: MessageId,
    },
    /// Waits for the events after a message, for a client that has joined.
    Poll {
        holder: Holder,
        after: MessageId,
        wait_ms: u64,
    },
}

/// A mailbox, and whether its client is there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) walked: Walked,
    pub(crate) is_attached: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Appended(MessageId),
    /// Whether the change applied.
    Applied(bool),
    Batch(Batch),
    Found(Option<Found>),
    Deliveries(Vec<Delivery>),
    Refused(MailboxError),
}

/// A socket to be accepted, in the query of its handshake.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) holder: Holder,
    pub(crate) after: MessageId,
    /// The first frames.
    pub(crate) first: Vec<String>,
}
