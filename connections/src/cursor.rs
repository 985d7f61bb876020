//! The ids of messages, and the cursors of readers.

use std::fmt;
use std::str::FromStr;

use crate::as_text::as_text;
use crate::texts::{InvalidName, Name};

/// The id of a message: its number in the mailbox, and 32 random bits that were drawn for it.
///
/// Numbers begin with 1 and have no holes. A failover of the store may lose messages and give their numbers again.
/// The stamp tells the two apart, so a cursor into a lost history is recognised. As text: `number.stamp`, `17.00c0ffee`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The position in the mailbox, from 1 on.
    pub number: u64,
    /// The random bits.
    pub stamp: u32,
}

impl MessageId {
    /// The place before the first message of every mailbox.
    pub const START: Self = Self { number: 0, stamp: 0 };
    /// Greater numbers are refused, because scripts of Redis compute with doubles.
    pub const MAXIMUM_NUMBER: u64 = (1 << 53) - 1;
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08x}", self.number, self.stamp)
    }
}

/// The text is not a cursor or message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid message id")]
pub struct InvalidCursor;

impl FromStr for MessageId {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (number, stamp) = text.split_once('.').ok_or(InvalidCursor)?;
        let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit());
        let is_canonical = is_decimal && (number == "0" || !number.starts_with('0'));
        let is_hex = stamp.len() == 8
            && stamp
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_canonical || !is_hex {
            return Err(InvalidCursor);
        }
        let number = number.parse().map_err(|_| InvalidCursor)?;
        let stamp = u32::from_str_radix(stamp, 16).map_err(|_| InvalidCursor)?;
        if number > Self::MAXIMUM_NUMBER {
            return Err(InvalidCursor);
        }
        Ok(Self { number, stamp })
    }
}

/// The place at which a client continues: a connection, and the last message that the client received.
///
/// As text `name:number.stamp`: the `id` of an event of SSE, which `EventSource` sends as `Last-Event-ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The name of the connection.
    pub name: Name,
    /// The last message that was received, or [`MessageId::START`].
    pub after: MessageId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.after)
    }
}

as_text!(MessageId, Cursor);

impl From<InvalidName> for InvalidCursor {
    fn from(_: InvalidName) -> Self {
        Self
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (name, after) = text.split_once(':').ok_or(InvalidCursor)?;
        Ok(Self {
            name: name.parse()?,
            after: after.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_cursors_are_read_as_they_are_written_and_in_no_other_form() {
        for text in ["0.00000000", "1.00c0ffee", "9007199254740991.ffffffff"] {
            assert_eq!(text.parse::<MessageId>().unwrap().to_string(), text);
        }
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".00c0ffee",
            "01.00c0ffee",
            "+1.00c0ffee",
            "1.00C0FFEE",
            "1.c0ffee",
            "1.00c0ffee0",
            "1.+0c0ffee",
            "9007199254740992.00000000",
            "18446744073709551616.00000000",
            "1.00c0ffee ",
        ] {
            assert_eq!(text.parse::<MessageId>(), Err(InvalidCursor), "{text}");
        }
        let text = "C3yW7lRQWRB3orhnW1JzVg:17.00c0ffee";
        assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        for text in [
            "17.00c0ffee",
            ":17.00c0ffee",
            "a b:17.00c0ffee",
            "a:17",
            "a:1.00c0ffee:2.00c0ffee",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
