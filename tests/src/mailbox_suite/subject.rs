//! New mailboxes for one property.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tessera::Timestamp;
use tessera::connections::{Bounds, Mailbox, MailboxError, Message, MessageId, Name};

/// Two nodes over new mailboxes.
pub(crate) struct Subject<M> {
    pub(crate) one: M,
    pub(crate) two: M,
    start: Timestamp,
    names: AtomicU32,
}

impl<M: Mailbox> Subject<M> {
    pub(super) fn new((one, two): (M, M)) -> Self {
        Self {
            one,
            two,
            start: Timestamp::now(),
            names: AtomicU32::new(0),
        }
    }

    /// The moment this many milliseconds after the start.
    pub(crate) fn at(&self, millis: u64) -> Timestamp {
        self.start.saturating_add(Duration::from_millis(millis))
    }

    /// A name that no other mailbox has.
    pub(crate) fn name(&self) -> Name {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!("box-{number}_Az").parse().expect("a name")
    }

    /// A new mailbox that lives for a minute.
    pub(crate) async fn opened(&self) -> Name {
        let name = self.name();
        let opened = self.one.open(self.at(0), &name, "{}", self.at(60_000)).await;
        opened.expect("a new mailbox");
        name
    }

    /// Appends a message of this text at the start.
    pub(crate) async fn append(&self, name: &Name, data: &str) -> Result<MessageId, MailboxError> {
        let message = text(data);
        self.one
            .append(self.at(0), name, &message, None, &Bounds::default())
            .await
    }
}

/// A message without an event.
pub(crate) fn text(data: &str) -> Message {
    Message::new(None, data).expect("a message")
}
