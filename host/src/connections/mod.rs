//! Connections of sessions: open SSE, WebSocket or HTTP streams that any node can send to, and that end with their session.
//!
//! [`Connections`] is one *node*: a process that holds sockets. All nodes over one store and one mailbox store form one service:
//! each of them registers connections, sends to any, and attaches a client that comes back.
//!
//! ```
//! use tessera::connections::{Connections, Event, MemoryMailbox, Message, Registration};
//! use tessera::{Sessions, store::MemoryStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = [7; 32];
//! let sessions = Sessions::builder().signing_key("2026-11", secret).build(MemoryStore::new())?;
//! let connections = Connections::builder(&sessions).build(MemoryMailbox::new())?;
//!
//! let session = sessions.create();
//! session.authenticate("alice").await?;
//! let mut client = connections.open(&session, Registration::default()).await?;
//!
//! connections.send(client.name(), &Message::new(Some("greeting"), "hello")?, None).await?;
//! match client.next().await {
//!     Some(Event::Message(entry)) => assert_eq!(entry.message.data(), "hello"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(()) }
//! ```

mod attached;
mod attachment;
mod beat;
mod builder;
mod calls;
mod error;
#[cfg(feature = "api")]
mod hub;
mod judging;
mod node;
mod presence;
mod records;
mod registry;
mod settings;
mod watch;

pub use attachment::Attachment;
pub use builder::ConnectionsBuilder;
pub use calls::Connections;
pub use error::ConnectionError;
pub use tessera_connections::{
    Admission, Batch, Bounds, Changed, Connection, Cursor, Delivery, EndReason, Entry, Event, Head, Holder,
    InvalidBounds, InvalidCursor, InvalidHead, InvalidMessage, InvalidName, KEYED_MESSAGES, Limit, Log,
    MAXIMUM_HEAD_BYTES, MAXIMUM_NAME_BYTES, Mailbox, MailboxError, Message, MessageId, Name, Overflow,
    Reader, Registration, Request, SendKey, State, Walked,
};
#[cfg(feature = "api")]
pub use tessera_http::connections::router;
pub use tessera_stores::MemoryMailbox;
