//! The bounds of a mailbox.

use serde::{Deserialize, Serialize};

/// What an append does to a mailbox that is full of messages which its holder has not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The append is refused with [`MailboxError::Full`](crate::MailboxError::Full). The sender decides.
    #[default]
    Refuse,
    /// The oldest messages are dropped, and the reader receives a gap.
    DropOldest,
    /// The connection ends with [`EndReason::Overflow`](crate::EndReason::Overflow), and the append is refused.
    End,
}

impl Overflow {
    /// The name of the rule in scripts, settings and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::DropOldest => "drop-oldest",
            Self::End => "end",
        }
    }
}

/// The bounds of a mailbox, which each append brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bounds {
    /// The maximum number of messages in a mailbox.
    pub maximum_messages: u32,
    /// The maximum size of all messages in a mailbox, in bytes.
    pub maximum_bytes: u32,
    /// The maximum size of a message, in bytes: its event, data and key.
    pub maximum_message_bytes: u32,
    /// The number of acknowledged messages that are kept for a client that reconnects. Fewer are kept where the room is needed
    /// for new messages.
    pub replay_messages: u32,
    /// The rule for a full mailbox.
    pub overflow: Overflow,
}

impl Default for Bounds {
    /// 512 messages or 256 KiB, 64 KiB a message, 128 messages to replay, [`Overflow::Refuse`].
    fn default() -> Self {
        Self {
            maximum_messages: 512,
            maximum_bytes: 256 * 1024,
            maximum_message_bytes: 64 * 1024,
            replay_messages: 128,
            overflow: Overflow::Refuse,
        }
    }
}

/// The bounds contradict each other or exceed the limits of every mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBounds {
    /// More messages than any mailbox may have, or none.
    #[error("maximum-messages must be 1 to 16384")]
    Messages,
    /// Larger than any mailbox may be, or 0.
    #[error("maximum-bytes must be 1 to 16777216")]
    Bytes,
    /// A message of this size would not fit into an empty mailbox.
    #[error("maximum-message-bytes must be 1 to maximum-bytes")]
    MessageBytes,
    /// More messages to replay than a mailbox may have.
    #[error("replay-messages must be at most maximum-messages")]
    Replay,
}

impl Bounds {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`InvalidBounds`].
    pub fn check(&self) -> Result<(), InvalidBounds> {
        if !(1..=16_384).contains(&self.maximum_messages) {
            return Err(InvalidBounds::Messages);
        }
        if !(1..=16 * 1024 * 1024).contains(&self.maximum_bytes) {
            return Err(InvalidBounds::Bytes);
        }
        if !(1..=self.maximum_bytes).contains(&self.maximum_message_bytes) {
            return Err(InvalidBounds::MessageBytes);
        }
        if self.replay_messages > self.maximum_messages {
            return Err(InvalidBounds::Replay);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_no_mailbox_can_keep_are_refused() {
        let bounds = Bounds::default();
        assert_eq!(bounds.check(), Ok(()));
        let set = |change: fn(&mut Bounds)| {
            let mut bounds = bounds;
            change(&mut bounds);
            bounds.check()
        };
        assert_eq!(
            set(|bounds| bounds.maximum_messages = 0),
            Err(InvalidBounds::Messages)
        );
        assert_eq!(
            set(|bounds| bounds.maximum_messages = 16_385),
            Err(InvalidBounds::Messages)
        );
        assert_eq!(set(|bounds| bounds.maximum_messages = 16_384), Ok(()));
        assert_eq!(set(|bounds| bounds.maximum_bytes = 0), Err(InvalidBounds::Bytes));
        assert_eq!(
            set(|bounds| bounds.maximum_bytes = (16 << 20) + 1),
            Err(InvalidBounds::Bytes)
        );
        assert_eq!(set(|bounds| bounds.maximum_bytes = 16 << 20), Ok(()));
        assert_eq!(
            set(|bounds| bounds.maximum_message_bytes = 0),
            Err(InvalidBounds::MessageBytes)
        );
        assert_eq!(
            set(|bounds| bounds.maximum_message_bytes = 256 * 1024 + 1),
            Err(InvalidBounds::MessageBytes)
        );
        assert_eq!(set(|bounds| bounds.maximum_message_bytes = 256 * 1024), Ok(()));
        assert_eq!(
            set(|bounds| bounds.replay_messages = 513),
            Err(InvalidBounds::Replay)
        );
        assert_eq!(set(|bounds| bounds.replay_messages = 512), Ok(()));
    }
}
