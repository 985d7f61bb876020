//! The names of connections and holders.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::as_text::as_text;

/// The maximum length of a connection's name.
pub const MAXIMUM_NAME_BYTES: usize = 64;

/// The name of a connection: 1 to 64 of the characters `A–Z a–z 0–9 - _`.
///
/// The engine draws it: it is the public id of the connection's record in the registry. It is not a secret.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// The text is not the name of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid name of a connection")]
pub struct InvalidName;

impl Name {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (1..=MAXIMUM_NAME_BYTES).contains(&text.len()) && text.bytes().all(is_of_name);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The holder of a connection: the node that has its socket, and the attachment, which differs for each socket of the node.
///
/// As text `node.attachment`, each of 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The number of the node, drawn when it starts.
    pub node: u64,
    /// The number of the attachment, drawn for each.
    pub attachment: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{:016x}", self.node, self.attachment)
    }
}

impl FromStr for Holder {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (node, attachment) = text.split_once('.').ok_or(InvalidName)?;
        let number = |digits: &str| {
            let fits = digits.len() == 16
                && digits
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let number = u64::from_str_radix(digits, 16).map_err(|_| InvalidName)?;
            if fits { Ok(number) } else { Err(InvalidName) }
        };
        Ok(Self {
            node: number(node)?,
            attachment: number(attachment)?,
        })
    }
}

as_text!(Name, Holder);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_holders_are_bounded_and_have_one_form() {
        let longest = "a".repeat(MAXIMUM_NAME_BYTES);
        for text in ["a", "C3yW7lRQWRB3orhnW1JzVg", "-_09azAZ", &longest] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
        for text in ["", "a.b", "a:b", "ä", "a\n", &format!("{longest}a")] {
            assert_eq!(text.parse::<Name>(), Err(InvalidName), "{text}");
        }
        let holder = Holder {
            node: 7,
            attachment: u64::MAX,
        };
        assert_eq!(holder.to_string(), "0000000000000007.ffffffffffffffff");
        assert_eq!(holder.to_string().parse(), Ok(holder));
        for text in [
            "",
            "7.8",
            "0000000000000007",
            "000000000000000G.ffffffffffffffff",
            "+000000000000007.ffffffffffffffff",
        ] {
            assert_eq!(text.parse::<Holder>(), Err(InvalidName), "{text}");
        }
    }
}
