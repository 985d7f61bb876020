//! The interface of a mailbox store.

use std::sync::Arc;

use futures_core::Stream;
use serde::{Deserialize, Serialize};
use tessera_contract::Timestamp;
use tessera_contract::store::{MaybeSend, MaybeSync, StoreError};

use crate::bounds::Bounds;
use crate::cursor::MessageId;
use crate::message::{EndReason, Entry, Message, SendKey};
use crate::texts::{Holder, Name};

/// The error of a mailbox. No variant contains a message, a key or a secret.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum MailboxError {
    /// There is no such mailbox: it was never opened, or its time has passed.
    #[error("there is no such connection")]
    Missing,
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
    /// The mailbox is full of messages that its reader has not acknowledged; nothing was stored.
    #[error("the mailbox of the connection is full")]
    Full,
    /// The message exceeds the maximum size; nothing was stored.
    #[error("the message is longer than {maximum} bytes")]
    TooLarge {
        /// The maximum size, in bytes.
        maximum: u32,
    },
    /// Another connection has this name.
    #[error("the name of the connection is taken")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The maximum size of a batch. A batch has at least one message, if there is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The maximum number of messages.
    pub messages: u32,
    /// The maximum size of all messages, in bytes.
    pub bytes: u32,
}

impl Bounds {
    /// Returns the size of a message with its key. Every append checks it first, before it looks at the mailbox.
    ///
    /// # Errors
    /// [`MailboxError::TooLarge`].
    pub fn size(&self, message: &Message, key: Option<&SendKey>) -> Result<usize, MailboxError> {
        let bytes = message.bytes(key);
        if bytes > self.maximum_message_bytes as usize {
            return Err(MailboxError::TooLarge {
                maximum: self.maximum_message_bytes,
            });
        }
        Ok(bytes)
    }
}

impl Limit {
    /// Whether a batch that has `messages` may have a further one with which it is this large.
    pub fn admits(&self, messages: usize, bytes: usize) -> bool {
        messages == 0 || (messages < self.messages as usize && bytes <= self.bytes as usize)
    }
}

impl Default for Limit {
    /// 64 messages, 128 KiB.
    fn default() -> Self {
        Self {
            messages: 64,
            bytes: 128 * 1024,
        }
    }
}

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The place that the entries follow. It is the place of the read, unless there is a gap.
    pub from: MessageId,
    /// Whether messages between the place of the read and `from` may have been lost to the reader.
    pub is_gap: bool,
    /// The messages, in the order in which they were appended.
    pub entries: Vec<Entry>,
    /// Whether the mailbox has no message after these.
    pub is_last: bool,
    /// The holder of the connection.
    pub holder: Option<Holder>,
    /// The reason of the end, if the connection has ended. Nothing follows the messages of a mailbox that has ended.
    pub ended: Option<EndReason>,
}

/// What a client finds that comes back to a connection which has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Messages that it has not received, then the end.
    Rest,
    /// Nothing. Its session lives, so that it opens a new connection.
    Anew,
    /// Nothing, and it does not come back.
    Over,
}

impl Batch {
    /// Decides on the return of a client to a connection that has ended; the batch follows the last message that it has received.
    pub fn on_return(&self) -> Return {
        match (self.ended, self.entries.is_empty()) {
            (Some(EndReason::SessionOver), _) => Return::Over,
            (Some(EndReason::Expired | EndReason::Overflow), true) => Return::Anew,
            (_, true) => Return::Over,
            (_, false) => Return::Rest,
        }
    }
}

/// A notification of a mailbox store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The mailbox may have changed since this node last read it.
    Mailbox(Name),
    /// The record with this key may have changed, or be gone, since this node last [watched](Mailbox::watch_records) it. The
    /// watch has ended.
    Record(Arc<str>),
    /// Notifications may have been lost: every mailbox and every watched record may have changed. The watches on records have
    /// ended.
    Missed,
}

/// A mailbox as found by [`Mailbox::look`] or [`Mailbox::walk`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// The name of the connection.
    pub name: Name,
    /// The connection's [`Head`](crate::Head), as it was stored.
    pub head: Arc<str>,
    /// The holder of the connection.
    pub holder: Option<Holder>,
    /// The reason of the end, if the connection has ended.
    pub ended: Option<EndReason>,
}

/// The mailboxes of a store, as one node reaches them.
///
/// Every implementation must meet these requirements:
///
/// - A mailbox whose `until` is not after `now` is missing to every method.
/// - Each method on one mailbox is atomic. An acknowledged append has its place in the order of the mailbox, and is delivered
///   in this order until it is evicted, or the mailbox's time passes.
/// - [`Log`](crate::Log) defines the result of each method.
/// - After [`read`](Self::read), [`changed`](Self::changed) reports the next change of that mailbox, by any node, or
///   [`Changed::Missed`]. It may report more.
/// - An error never contains a message, a key or a secret.
///
/// A future may be dropped at any time. A write that was sent may then be stored.
pub trait Mailbox: MaybeSend + MaybeSync + 'static {
    /// Creates a mailbox that lives until `until`.
    ///
    /// # Errors
    /// [`MailboxError::Taken`] if a mailbox of this name with another head exists. With the same head, nothing changes.
    fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), MailboxError>> + MaybeSend;

    /// Appends a message and returns its id. A message with the key of one of the last 16 is not appended again; the result is
    /// the id of that one.
    ///
    /// # Errors
    /// [`MailboxError::Missing`], [`MailboxError::Ended`], [`MailboxError::Full`], [`MailboxError::TooLarge`];
    /// [`StoreError::OutcomeUnknown`] if the message may have been stored.
    fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> impl Future<Output = Result<MessageId, MailboxError>> + MaybeSend;

    /// Makes `holder` the holder of the connection, in place of any other, and lets the mailbox live until `until` at least.
    ///
    /// # Errors
    /// [`MailboxError::Missing`], [`MailboxError::Ended`].
    fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), MailboxError>> + MaybeSend;

    /// Removes the holder and lets the mailbox live until `until`, if `holder` is still the holder; returns whether it was.
    ///
    /// # Errors
    /// Those of the store.
    fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> impl Future<Output = Result<bool, MailboxError>> + MaybeSend;

    /// Ends a connection after all messages that were appended before, and lets the mailbox live until `until`.
    /// Returns whether this call ended it; `false`: it has ended before, or is missing.
    ///
    /// # Errors
    /// Those of the store.
    fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> impl Future<Output = Result<bool, MailboxError>> + MaybeSend;

    /// Reads the messages after a place, and watches the mailbox for the next change.
    ///
    /// # Errors
    /// [`MailboxError::Missing`].
    fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> impl Future<Output = Result<Batch, MailboxError>> + MaybeSend;

    /// Notes that the client of this holder has been sent all messages through this one. All but the last `replay` of these are
    /// evicted, and those where their room is needed. Another holder's acknowledgement changes nothing.
    ///
    /// # Errors
    /// [`MailboxError::Missing`].
    fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> impl Future<Output = Result<(), MailboxError>> + MaybeSend;

    /// Lets mailboxes live until `until` at least, and returns the names of those that are missing.
    ///
    /// # Errors
    /// Those of the store.
    fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Name>, MailboxError>> + MaybeSend;

    /// Returns the mailboxes of these names that exist, in any order.
    ///
    /// # Errors
    /// Those of the store.
    fn look(
        &self,
        now: Timestamp,
        names: &[Name],
    ) -> impl Future<Output = Result<Vec<Walked>, MailboxError>> + MaybeSend;

    /// Lists all mailboxes, about `limit` at a time. The empty cursor starts a walk; `None` is the end of it.
    ///
    /// A mailbox that exists throughout a walk is listed at least once. A page may be empty.
    ///
    /// # Errors
    /// [`StoreError::MalformedCursor`].
    fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> impl Future<Output = Result<(Vec<Walked>, Option<String>), MailboxError>> + MaybeSend;

    /// Watches records of sessions, given their keys in the store of the sessions, which has to be the one beside which the
    /// mailboxes are. Returns whether it does; no mailbox store has to. Without a key, it returns whether it watches at all, as far
    /// as it knows.
    ///
    /// After `true`, [`changed`](Self::changed) reports the next write or removal of each record, by any process, as
    /// [`Changed::Record`], or [`Changed::Missed`]. It may report more. A missing record is watched as well. The end of a record
    /// by the mere passing of its time may be reported late or never.
    ///
    /// After `false` or an error, some of these records may be watched.
    ///
    /// # Errors
    /// Those of the store.
    fn watch_records(
        &self,
        keys: &[Arc<str>],
    ) -> impl Future<Output = Result<bool, MailboxError>> + MaybeSend {
        let _ = keys;
        std::future::ready(Ok(false))
    }

    /// Returns the notifications for this node. One stream at a time receives them.
    fn changed(&self) -> impl Stream<Item = Changed> + MaybeSend + use<Self>;
}
