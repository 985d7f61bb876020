//! Messages, the keys of senders, and the reasons of an end.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::as_text::as_text;
use crate::cursor::MessageId;

/// The maximum length of the name of an event, in bytes.
const MAXIMUM_EVENT_BYTES: usize = 64;
/// The events of every stream, and those that `EventSource` has of its own. No message has one of these names.
const RESERVED: [&str; 5] = ["connection", "end", "error", "gap", "open"];
/// The maximum length of a sender's key, in bytes.
const MAXIMUM_KEY_BYTES: usize = 64;

/// A message to the client of a connection.
///
/// The data is text, because SSE carries nothing else: a message that only one of the transports can carry could not be resumed
/// over another one. Over SSE, a carriage return in the data arrives as a line feed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Message {
    event: Option<Arc<str>>,
    data: Arc<str>,
}

/// The parts of a message, unchecked.
#[derive(Deserialize)]
struct Parts {
    event: Option<String>,
    data: String,
}

impl TryFrom<Parts> for Message {
    type Error = InvalidMessage;

    fn try_from(parts: Parts) -> Result<Self, InvalidMessage> {
        Self::new(parts.event.as_deref(), &parts.data)
    }
}

/// The parts of a message or key are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// The event is not 1 to 64 visible characters of ASCII, or is an event of every stream.
    #[error(
        "the event must be 1 to 64 visible characters of ASCII, and not connection, end, error, gap or open"
    )]
    Event,
    /// The key is not 1 to 64 visible characters of ASCII.
    #[error("the key must be 1 to 64 visible characters of ASCII")]
    Key,
    /// The data contains U+0000, which SSE and databases refuse.
    #[error("the data must not contain U+0000")]
    Data,
}

fn is_visible(text: &str, maximum: usize) -> bool {
    (1..=maximum).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Message {
    /// Creates a message. Without an event, `EventSource` reports it as `message`.
    ///
    /// # Errors
    /// [`InvalidMessage`].
    pub fn new(event: Option<&str>, data: &str) -> Result<Self, InvalidMessage> {
        let is_unfit = |event: &str| !is_visible(event, MAXIMUM_EVENT_BYTES) || RESERVED.contains(&event);
        if event.is_some_and(is_unfit) {
            return Err(InvalidMessage::Event);
        }
        if data.contains('\0') {
            return Err(InvalidMessage::Data);
        }
        Ok(Self {
            event: event.map(Arc::from),
            data: data.into(),
        })
    }

    /// Returns the name of the event.
    pub fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// Returns the data.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Returns the size by which the message counts towards the bounds of a mailbox, together with the sender's key.
    pub fn bytes(&self, key: Option<&SendKey>) -> usize {
        let event = self.event.as_ref().map_or(0, |event| event.len());
        event + self.data.len() + key.map_or(0, |key| key.as_str().len())
    }
}

/// The key of an append, by which a sender's retry is recognised among the last 16 messages of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SendKey(Arc<str>);

impl SendKey {
    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SendKey {
    type Err = InvalidMessage;

    fn from_str(text: &str) -> Result<Self, InvalidMessage> {
        if is_visible(text, MAXIMUM_KEY_BYTES) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidMessage::Key)
        }
    }
}

impl fmt::Display for SendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(SendKey);

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The message's id.
    pub id: MessageId,
    /// The message.
    pub message: Message,
}

/// The reason for which a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// It was closed by a call.
    Closed,
    /// Its session has ended, or a login has replaced the session's token.
    SessionOver,
    /// It has reached the longest life of a connection.
    Expired,
    /// Its mailbox was full, and the rule is [`Overflow::End`](crate::Overflow::End).
    Overflow,
}

impl EndReason {
    /// The name of the reason in events, stores and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::SessionOver => "session-over",
            Self::Expired => "expired",
            Self::Overflow => "overflow",
        }
    }

    /// Reads the name of a reason.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Closed, Self::SessionOver, Self::Expired, Self::Overflow]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keys_and_data_that_a_transport_cannot_carry_are_refused() {
        let longest = "e".repeat(64);
        for event in ["a", "tools/list", &longest] {
            assert_eq!(Message::new(Some(event), "").unwrap().event(), Some(event));
            assert_eq!(event.parse::<SendKey>().unwrap().as_str(), event);
        }
        for event in ["", "a b", "a\nid: 7", "ä", &format!("{longest}e")] {
            assert_eq!(
                Message::new(Some(event), ""),
                Err(InvalidMessage::Event),
                "{event}"
            );
            assert_eq!(event.parse::<SendKey>(), Err(InvalidMessage::Key), "{event}");
        }
        assert_eq!(Message::new(None, "a\0"), Err(InvalidMessage::Data));
        assert_eq!(Message::new(None, "a\r\nä").unwrap().data(), "a\r\nä");
    }

    #[test]
    fn no_message_has_the_name_of_an_event_of_the_stream() {
        for event in RESERVED {
            assert_eq!(Message::new(Some(event), ""), Err(InvalidMessage::Event));
            assert!(Message::new(Some(&format!("{event}s")), "").is_ok());
        }
    }

    #[test]
    fn all_that_is_stored_of_a_message_counts() {
        let message = Message::new(Some("abc"), "ä").unwrap();
        assert_eq!(message.bytes(None), 5);
        assert_eq!(message.bytes(Some(&"1234".parse().unwrap())), 9);
    }

    #[test]
    fn each_reason_is_read_by_its_name() {
        for reason in [
            EndReason::Closed,
            EndReason::SessionOver,
            EndReason::Expired,
            EndReason::Overflow,
        ] {
            assert_eq!(EndReason::from_name(&reason.to_string()), Some(reason));
        }
        assert_eq!(EndReason::from_name("open"), None);
    }
}
