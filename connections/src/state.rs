//! The state of a mailbox apart from its messages, and the decisions that depend on it alone.
//!
//! [`Log`](crate::Log) and the stores that keep a mailbox in rows share it.

use crate::bounds::{Bounds, Overflow};
use crate::cursor::MessageId;
use crate::mailbox::MailboxError;
use crate::message::EndReason;
use crate::texts::Holder;

/// The number of messages among which a sender's key is searched.
pub const KEYED_MESSAGES: u64 = 16;

/// The state of a mailbox apart from its messages.
///
/// **Invariants.** The messages have the numbers `first..next`. `bytes` is their size. `before` is the stamp of the message with
/// the number `first - 1`, or 0 where no message was evicted. Nothing is appended after the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The number of the oldest message.
    pub first: u64,
    /// The stamp of the message before the oldest one.
    pub before: u32,
    /// The number of the next message.
    pub next: u64,
    /// The size of all messages, in bytes.
    pub bytes: u64,
    /// The client has been sent all messages up to this number.
    pub acknowledged: u64,
    /// The holder of the connection.
    pub holder: Option<Holder>,
    /// The reason of the end, if the connection has ended.
    pub ended: Option<EndReason>,
}

/// The next step of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The message is stored under this number.
    Store(u64),
    /// The oldest message is evicted ([`State::evicted`]), and the decision repeated.
    Evict,
}

impl Default for State {
    fn default() -> Self {
        Self {
            first: 1,
            before: 0,
            next: 1,
            bytes: 0,
            acknowledged: 0,
            holder: None,
            ended: None,
        }
    }
}

impl State {
    /// Checks that the connection has not ended. Call it after the sender's key was searched, so that a retry of a message that was
    /// stored before the end has its id.
    ///
    /// # Errors
    /// [`MailboxError::Ended`].
    pub fn check_open(&self) -> Result<(), MailboxError> {
        match self.ended {
            Some(_) => Err(MailboxError::Ended),
            None => Ok(()),
        }
    }

    /// Returns the number of the oldest message among which a sender's key is searched.
    pub fn keyed_from(&self) -> u64 {
        self.next.saturating_sub(KEYED_MESSAGES).max(self.first)
    }

    /// Decides the next step of an append of a message of this size, which [`Bounds::size`] has checked. Messages that were
    /// acknowledged make room for it.
    ///
    /// # Errors
    /// [`MailboxError::Full`];
    /// [`MailboxError::Ended`] with `ended` set, if the rule of a full mailbox is [`Overflow::End`].
    pub fn admit(&mut self, bytes: usize, bounds: &Bounds) -> Result<Admission, MailboxError> {
        let is_full = self.next - self.first >= u64::from(bounds.maximum_messages)
            || self.bytes + bytes as u64 > u64::from(bounds.maximum_bytes);
        if !is_full {
            return match self.next {
                number if number <= MessageId::MAXIMUM_NUMBER => Ok(Admission::Store(number)),
                _ => Err(MailboxError::Full),
            };
        }
        match bounds.overflow {
            _ if self.first <= self.acknowledged => Ok(Admission::Evict),
            // A smaller bound than before may ask for more than there is.
            _ if self.first == self.next => Err(MailboxError::Full),
            Overflow::Refuse => Err(MailboxError::Full),
            Overflow::DropOldest => Ok(Admission::Evict),
            Overflow::End => {
                self.ended = Some(EndReason::Overflow);
                Err(MailboxError::Ended)
            }
        }
    }

    /// Notes that a message of this size was stored.
    pub fn stored(&mut self, bytes: usize) {
        self.next += 1;
        self.bytes += bytes as u64;
    }

    /// Notes that the oldest message, with this stamp and size, was evicted.
    pub fn evicted(&mut self, stamp: u32, bytes: usize) {
        self.first += 1;
        self.before = stamp;
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    /// Makes `holder` the holder of the connection.
    ///
    /// # Errors
    /// [`MailboxError::Ended`].
    pub fn attach(&mut self, holder: Holder) -> Result<(), MailboxError> {
        self.check_open()?;
        self.holder = Some(holder);
        Ok(())
    }

    /// Removes the holder, if it is this one; returns whether it was.
    pub fn detach(&mut self, holder: Holder) -> bool {
        let is_holder = self.holder == Some(holder);
        if is_holder {
            self.holder = None;
        }
        is_holder
    }

    /// Ends the connection; returns whether this call did.
    pub fn end(&mut self, reason: EndReason) -> bool {
        let ends = self.ended.is_none();
        self.ended.get_or_insert(reason);
        ends
    }

    /// Returns the number of the first message after a place, and whether the place belongs to this history.
    ///
    /// `stamp` is the stamp of the message with the place's number, if the mailbox has one.
    pub fn place(&self, after: MessageId, stamp: Option<u32>) -> (u64, bool) {
        let known = if after.number + 1 == self.first {
            Some(self.before)
        } else {
            stamp
        };
        match known {
            Some(known) if known == after.stamp => (after.number + 1, true),
            _ => (self.first, false),
        }
    }

    /// The place before the oldest message.
    pub fn beginning(&self) -> MessageId {
        MessageId {
            number: self.first - 1,
            stamp: self.before,
        }
    }

    /// Notes that the client has been sent all messages through this number, and returns the number of messages to evict.
    pub fn acknowledge(&mut self, through: u64, replay: u32) -> u64 {
        if through <= self.acknowledged {
            return 0;
        }
        self.acknowledged = through;
        (through + 1)
            .saturating_sub(self.first)
            .saturating_sub(u64::from(replay))
    }
}
