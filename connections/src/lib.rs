//! Open connections (SSE, WebSocket, streamable HTTP): their mailboxes, and the readers that deliver from them.
//!
//! Each connection has one *mailbox*: a bounded log of messages that any node may append to.
//! The node that has the socket of the connection is its *holder*. A [`Reader`] delivers the messages to the socket.
//! A client that reconnects, at any node, continues after its [`Cursor`]; a hole in what it receives is always reported.
//!
//! The crate decides, and does no I/O. [`Log`] is the reference of all [`Mailbox`]es, and the mailbox in memory is made of it.

mod as_text;
mod bounds;
mod cursor;
mod event;
mod head;
mod left_behind;
mod log;
mod mailbox;
mod message;
mod reader;
mod state;
mod texts;

pub use bounds::{Bounds, InvalidBounds, Overflow};
pub use cursor::{Cursor, InvalidCursor, MessageId};
pub use event::{Connection, Event, Registration};
pub use head::{Head, InvalidHead, Login, MAXIMUM_HEAD_BYTES, Request};
pub use left_behind::{Registered, gone, left_behind};
pub use log::Log;
pub use mailbox::{Batch, Changed, Limit, Mailbox, MailboxError, Return, Walked};
pub use message::{EndReason, Entry, InvalidMessage, Message, SendKey};
pub use reader::{Delivery, Reader};
pub use state::{Admission, KEYED_MESSAGES, State};
pub use texts::{Holder, InvalidName, MAXIMUM_NAME_BYTES, Name};
