//! What a holder of a socket receives, and the descriptions of connections that it registers and lists.

use crate::cursor::MessageId;
use crate::head::{Head, Request};
use crate::message::{EndReason, Entry};
use crate::texts::Name;

/// What a holder of a socket does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Send a message. It counts as received by the socket when the next event is requested.
    Message(Entry),
    /// Report that messages may be missing here, and that others may follow a second time. The client continues after this place
    /// if it reconnects before the next message.
    Gap(MessageId),
    /// Report the end and close the socket.
    End(EndReason),
    /// Close the socket: the client has connected elsewhere.
    TakenOver,
    /// Close the socket: the client reconnects, because this node stops, or the store cannot be reached.
    TryAgain,
}

/// The description of a new connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The part of the application that the connection belongs to; at most 255 bytes. Lists select by it.
    pub prefix: String,
    /// The kind of connection, such as `sse`; at most 255 bytes. Lists select by it.
    pub kind: String,
    /// The parts of the request to keep. Choose them: headers and cookies contain credentials.
    pub request: Request,
}

/// A connection as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The connection's name.
    pub name: Name,
    /// Its description.
    pub head: Head,
    /// Whether its client is connected to a node that lives.
    pub is_attached: bool,
    /// The reason of its end, if it has ended. It is listed for a while.
    pub ended: Option<EndReason>,
}
