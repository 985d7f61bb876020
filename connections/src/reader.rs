//! The delivery of one connection's messages to its socket.

use serde::{Deserialize, Serialize};

use crate::cursor::MessageId;
use crate::event::Event;
use crate::mailbox::Batch;
use crate::message::{EndReason, Entry};
use crate::texts::Holder;

/// The number of delivered messages after which they are acknowledged.
const ACKNOWLEDGED_MESSAGES: u32 = 32;
/// The size of the delivered messages after which they are acknowledged, in bytes.
const ACKNOWLEDGED_BYTES: usize = 32 * 1024;

/// What a holder does with its socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Sends a message.
    Message(Entry),
    /// Reports that messages may be missing here, and that others may follow a second time. The client continues after this
    /// place if it reconnects before the next message.
    Gap(MessageId),
    /// Reports the end, and closes the socket.
    End(EndReason),
    /// Closes the socket: the client has connected elsewhere.
    TakenOver,
    /// Closes the socket, so that the client comes back: the store has lost the attachment.
    TryAgain,
}

impl From<Delivery> for Event {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Message(entry) => Self::Message(entry),
            Delivery::Gap(place) => Self::Gap(place),
            Delivery::End(reason) => Self::End(reason),
            Delivery::TakenOver => Self::TakenOver,
            Delivery::TryAgain => Self::TryAgain,
        }
    }
}

/// The reader of one attachment.
///
/// Its holder reads the messages after [`after`](Self::after). The reader turns each batch into deliveries.
/// The holder reports each message that the socket has accepted, so that messages are acknowledged after that alone.
#[derive(Debug)]
pub struct Reader {
    holder: Holder,
    /// The place of the next read.
    after: MessageId,
    /// The last message that the socket has accepted.
    sent: MessageId,
    /// The last message whose acknowledgement has succeeded.
    acknowledged: Option<MessageId>,
    unacknowledged: u32,
    unacknowledged_bytes: usize,
    is_over: bool,
}

impl Reader {
    /// Creates the reader of an attachment that continues after this place.
    pub fn new(holder: Holder, after: MessageId) -> Self {
        Self {
            holder,
            after,
            sent: after,
            // The acknowledgement of an earlier attachment may be lost.
            acknowledged: (after == MessageId::START).then_some(after),
            unacknowledged: 0,
            unacknowledged_bytes: 0,
            is_over: false,
        }
    }

    /// Returns the attachment.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// Returns the place after which to read.
    pub fn after(&self) -> MessageId {
        self.after
    }

    /// Whether the socket is to be closed: nothing follows.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes the result of a read after [`after`](Self::after).
    pub fn take(&mut self, batch: Batch) -> Vec<Delivery> {
        if self.is_over {
            return Vec::new();
        }
        match batch.ended {
            // The client of a session that has ended receives nothing more.
            Some(EndReason::SessionOver) => {
                self.is_over = true;
                return vec![Delivery::End(EndReason::SessionOver)];
            }
            // A connection that has ended has no other holder to deliver what is left.
            Some(_) => {}
            None if batch.holder != Some(self.holder) => {
                self.is_over = true;
                let closing = match batch.holder {
                    Some(_) => Delivery::TakenOver,
                    None => Delivery::TryAgain,
                };
                return vec![closing];
            }
            None => {}
        }
        let mut deliveries = Vec::with_capacity(batch.entries.len() + 1);
        if batch.is_gap {
            self.after = batch.from;
            self.sent = batch.from;
            self.acknowledged = Some(batch.from);
            deliveries.push(Delivery::Gap(batch.from));
        }
        for entry in batch.entries {
            self.after = entry.id;
            deliveries.push(Delivery::Message(entry));
        }
        if let Some(reason) = batch.ended
            && batch.is_last
        {
            self.is_over = true;
            deliveries.push(Delivery::End(reason));
        }
        deliveries
    }

    /// Notes that the socket has accepted a message.
    pub fn sent(&mut self, entry: &Entry) {
        self.sent = entry.id;
        self.unacknowledged += 1;
        self.unacknowledged_bytes += entry.message.bytes(None);
    }

    /// Returns the message through which to acknowledge now, if that is due; `is_idle`: no message waits for the socket. Report
    /// the success by [`acknowledged`](Self::acknowledged); without it, the same is due again.
    pub fn acknowledgement(&mut self, is_idle: bool) -> Option<MessageId> {
        let is_due = self.unacknowledged >= ACKNOWLEDGED_MESSAGES
            || self.unacknowledged_bytes >= ACKNOWLEDGED_BYTES
            || is_idle && self.is_unacknowledged();
        is_due.then(|| {
            (self.unacknowledged, self.unacknowledged_bytes) = (0, 0);
            self.sent
        })
    }

    /// Notes that the acknowledgement through this message has succeeded.
    pub fn acknowledged(&mut self, through: MessageId) {
        self.acknowledged = Some(through);
    }

    /// Whether the socket has accepted messages whose acknowledgement has not succeeded.
    pub fn is_unacknowledged(&self) -> bool {
        self.acknowledged != Some(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::log::Log;
    use crate::mailbox::Limit;
    use crate::message::Message;

    const OWN: Holder = Holder {
        node: 1,
        attachment: 1,
    };
    const OTHER: Holder = Holder {
        node: 2,
        attachment: 1,
    };

    fn attached() -> (Log, Reader) {
        let mut log = Log::new("{}".into());
        log.attach(OWN).unwrap();
        (log, Reader::new(OWN, MessageId::START))
    }

    fn append(log: &mut Log, data: &str) -> MessageId {
        let message = Message::new(None, data).unwrap();
        log.append(message, None, 7, &Bounds::default()).unwrap()
    }

    fn texts(deliveries: &[Delivery]) -> Vec<String> {
        let text = |delivery: &Delivery| match delivery {
            Delivery::Message(entry) => entry.message.data().to_owned(),
            Delivery::Gap(at) => format!("gap {}", at.number),
            Delivery::End(reason) => reason.to_string(),
            Delivery::TakenOver => "taken over".into(),
            Delivery::TryAgain => "try again".into(),
        };
        deliveries.iter().map(text).collect()
    }

    #[test]
    fn messages_are_delivered_once_and_the_end_after_the_last_of_them() {
        let (mut log, mut reader) = attached();
        for data in ["a", "b", "c"] {
            append(&mut log, data);
        }
        log.end(EndReason::Closed);
        let two = Limit {
            messages: 2,
            bytes: 99,
        };
        let read = |reader: &mut Reader| {
            let batch = log.read(reader.after(), two);
            texts(&reader.take(batch))
        };
        assert_eq!(read(&mut reader), ["a", "b"]);
        assert!(!reader.is_over());
        assert_eq!(read(&mut reader), ["c", "closed"]);
        assert!(reader.is_over());
        assert!(read(&mut reader).is_empty());
    }

    #[test]
    fn a_holder_that_was_taken_over_delivers_nothing_more() {
        let (mut log, mut reader) = attached();
        append(&mut log, "a");
        log.attach(OTHER).unwrap();
        let batch = log.read(reader.after(), Limit::default());
        assert_eq!(texts(&reader.take(batch)), ["taken over"]);
        assert!(reader.is_over());
    }

    #[test]
    fn the_client_of_an_attachment_that_the_store_has_lost_comes_back() {
        let (mut log, mut reader) = attached();
        append(&mut log, "a");
        log.detach(OWN);
        let batch = log.read(reader.after(), Limit::default());
        assert_eq!(texts(&reader.take(batch)), ["try again"]);
        assert!(reader.is_over());
    }

    #[test]
    fn an_acknowledgement_is_due_until_it_succeeds_also_after_the_client_has_come_back() {
        let (mut log, mut reader) = attached();
        let last = append(&mut log, "a");
        assert!(!reader.is_unacknowledged());
        let batch = log.read(reader.after(), Limit::default());
        if let [Delivery::Message(entry)] = &reader.take(batch)[..] {
            reader.sent(entry);
        }
        for _ in 0..2 {
            assert_eq!(reader.acknowledgement(true), Some(last));
        }
        let mut back = Reader::new(OWN, last);
        assert_eq!(back.acknowledgement(true), Some(last));
        back.acknowledged(last);
        assert_eq!(back.acknowledgement(true), None);
        assert!(!back.is_unacknowledged());
    }

    #[test]
    fn what_is_left_of_a_connection_that_was_closed_is_delivered_and_of_a_session_that_is_over_nothing() {
        for (reason, wanted) in [
            (EndReason::Closed, vec!["a", "closed"]),
            (EndReason::Overflow, vec!["a", "overflow"]),
            (EndReason::SessionOver, vec!["session-over"]),
        ] {
            let (mut log, _) = attached();
            append(&mut log, "a");
            log.end(reason);
            let mut reader = Reader::new(OTHER, MessageId::START);
            let batch = log.read(reader.after(), Limit::default());
            assert_eq!(texts(&reader.take(batch)), wanted);
            assert!(reader.is_over());
        }
    }

    #[test]
    fn a_gap_is_reported_once_before_what_follows_it() {
        let (mut log, _) = attached();
        for data in ["a", "b", "c"] {
            append(&mut log, data);
        }
        let lost = MessageId { number: 2, stamp: 99 };
        let mut reader = Reader::new(OWN, lost);
        let batch = log.read(reader.after(), Limit::default());
        assert_eq!(texts(&reader.take(batch)), ["gap 0", "a", "b", "c"]);
        let batch = log.read(reader.after(), Limit::default());
        assert!(reader.take(batch).is_empty());
    }

    #[test]
    fn only_what_the_socket_has_accepted_is_acknowledged_in_portions_or_when_idle() {
        let (mut log, mut reader) = attached();
        for _ in 0..ACKNOWLEDGED_MESSAGES {
            append(&mut log, "x");
        }
        let batch = log.read(
            reader.after(),
            Limit {
                messages: 99,
                bytes: 9999,
            },
        );
        let deliveries = reader.take(batch);
        assert_eq!(reader.acknowledgement(true), None);
        let mut due = Vec::new();
        for delivery in &deliveries {
            if let Delivery::Message(entry) = delivery {
                reader.sent(entry);
            }
            due.extend(reader.acknowledgement(false));
        }
        assert_eq!(due, [MessageId { number: 32, stamp: 7 }]);
        append(&mut log, &"x".repeat(ACKNOWLEDGED_BYTES));
        append(&mut log, "x");
        for _ in 0..2 {
            let batch = log.read(
                reader.after(),
                Limit {
                    messages: 1,
                    bytes: 1,
                },
            );
            if let [Delivery::Message(entry)] = &reader.take(batch)[..] {
                reader.sent(entry);
            }
            due.extend(reader.acknowledgement(false));
        }
        assert_eq!(due.last().map(|id| id.number), Some(33));
        assert_eq!(reader.acknowledgement(false), None);
        let last = reader.acknowledgement(true).unwrap();
        assert_eq!(last.number, 34);
        reader.acknowledged(last);
        assert_eq!(reader.acknowledgement(true), None);
    }
}
