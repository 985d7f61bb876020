//! One mailbox as data: the reference of all implementations.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::bounds::Bounds;
use crate::cursor::MessageId;
use crate::mailbox::{Batch, Limit, MailboxError};
use crate::message::{EndReason, Entry, Message, SendKey};
use crate::state::{Admission, State};
use crate::texts::Holder;

#[derive(Clone, Debug)]
struct Stored {
    stamp: u32,
    key: Option<SendKey>,
    message: Message,
}

impl Stored {
    fn bytes(&self) -> usize {
        self.message.bytes(self.key.as_ref())
    }
}

/// The mailbox of one connection.
///
/// **Invariant:** `entries` are the messages `first..next` of the state.
#[derive(Clone, Debug)]
pub struct Log {
    head: Arc<str>,
    state: State,
    entries: VecDeque<Stored>,
}

impl Log {
    /// Creates an empty mailbox.
    pub fn new(head: Arc<str>) -> Self {
        Self {
            head,
            state: State::default(),
            entries: VecDeque::new(),
        }
    }

    /// Returns the connection's head.
    pub fn head(&self) -> &Arc<str> {
        &self.head
    }

    /// Returns the holder of the connection.
    pub fn holder(&self) -> Option<Holder> {
        self.state.holder
    }

    /// Returns the reason of the end, if the connection has ended.
    pub fn ended(&self) -> Option<EndReason> {
        self.state.ended
    }

    /// The index of the message with this number.
    fn at(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.state.first)?).ok()
    }

    fn evict(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.state.evicted(oldest.stamp, oldest.bytes());
        }
    }

    fn find(&self, key: &SendKey) -> Option<MessageId> {
        let mut keyed = (self.state.keyed_from()..self.state.next).rev();
        keyed.find_map(|number| {
            let stored = self.entries.get(self.at(number)?)?;
            let stamp = stored.stamp;
            (stored.key.as_ref() == Some(key)).then_some(MessageId { number, stamp })
        })
    }

    /// Appends a message under these random bits. See [`Mailbox::append`](crate::Mailbox::append).
    ///
    /// # Errors
    /// [`MailboxError::Ended`], [`MailboxError::Full`], [`MailboxError::TooLarge`].
    pub fn append(
        &mut self,
        message: Message,
        key: Option<SendKey>,
        stamp: u32,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        let bytes = bounds.size(&message, key.as_ref())?;
        if let Some(known) = key.as_ref().and_then(|key| self.find(key)) {
            return Ok(known);
        }
        self.state.check_open()?;
        let stored = Stored { stamp, key, message };
        loop {
            match self.state.admit(bytes, bounds)? {
                Admission::Evict => self.evict(),
                Admission::Store(number) => {
                    self.state.stored(bytes);
                    self.entries.push_back(stored);
                    return Ok(MessageId { number, stamp });
                }
            }
        }
    }

    /// Makes `holder` the holder of the connection.
    ///
    /// # Errors
    /// [`MailboxError::Ended`].
    pub fn attach(&mut self, holder: Holder) -> Result<(), MailboxError> {
        self.state.attach(holder)
    }

    /// Removes the holder, if it is this one; returns whether it was.
    pub fn detach(&mut self, holder: Holder) -> bool {
        self.state.detach(holder)
    }

    /// Ends the connection; returns whether this call did.
    pub fn end(&mut self, reason: EndReason) -> bool {
        self.state.end(reason)
    }

    /// The number of the first message after a place, and whether the place belongs to this history.
    fn place(&self, after: MessageId) -> (u64, bool) {
        let stored = self.at(after.number).and_then(|at| self.entries.get(at));
        self.state.place(after, stored.map(|stored| stored.stamp))
    }

    /// Returns the messages after a place. See [`Batch`].
    ///
    /// If the place does not belong to this history, the batch is a gap and begins with the oldest message.
    pub fn read(&self, after: MessageId, limit: Limit) -> Batch {
        let (from, is_known) = self.place(after);
        let mut entries = Vec::new();
        let mut bytes = 0;
        let skipped = self.at(from).unwrap_or_default();
        for (number, stored) in (from..).zip(self.entries.iter().skip(skipped)) {
            bytes += stored.bytes();
            if !limit.admits(entries.len(), bytes) {
                break;
            }
            entries.push(Entry {
                id: MessageId {
                    number,
                    stamp: stored.stamp,
                },
                message: stored.message.clone(),
            });
        }
        Batch {
            from: if is_known { after } else { self.state.beginning() },
            is_gap: !is_known,
            is_last: from + entries.len() as u64 == self.state.next,
            entries,
            holder: self.state.holder,
            ended: self.state.ended,
        }
    }

    /// Notes that the client of this holder has been sent all messages through this one, and evicts all but the last `replay` of
    /// these.
    ///
    /// Another holder, or a message of a lost history, acknowledges nothing.
    pub fn acknowledge(&mut self, holder: Holder, through: MessageId, replay: u32) {
        if self.state.holder == Some(holder) && self.place(through).1 {
            for _ in 0..self.state.acknowledge(through.number, replay) {
                self.evict();
            }
        }
    }
}

#[cfg(test)]
mod tests;
