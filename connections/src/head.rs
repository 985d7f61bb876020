//! The description of a connection.

use serde::{Deserialize, Serialize};
use tessera_contract::{Details, Timestamp};

/// The maximum size of a head as JSON, in bytes.
pub const MAXIMUM_HEAD_BYTES: usize = 16 * 1024;
/// The maximum length of a prefix and of a type, in bytes.
const MAXIMUM_TEXT_BYTES: usize = 255;

/// The description of a connection, which is stored with its mailbox and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The public id of the session that the connection belongs to.
    pub session: String,
    /// The subject of that session when the connection was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The part of the application that the connection belongs to, such as `/mcp/weather`; lists select by it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The kind of connection, such as `sse` or a name of the application's own; lists select by it.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// When the connection was registered.
    #[serde(with = "tessera_contract::decimal")]
    pub created_at: Timestamp,
    /// When the session was last authenticated before that: a later login ends the connection.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "tessera_contract::decimal::option"
    )]
    pub authenticated_at: Option<Timestamp>,
    /// The latest end: that of the session or 24 hours after the registration.
    #[serde(with = "tessera_contract::decimal")]
    pub ends_at: Timestamp,
    /// The parts of the request that the registration named.
    #[serde(default)]
    pub request: Request,
}

/// The parts of a request that are kept, each as a list of names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The parameters of the query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// The cookies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<(String, String)>,
}

/// The description is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHead {
    /// The prefix or the type is longer than 255 bytes or contains control characters.
    #[error("the {0} must be at most 255 bytes without control characters")]
    Text(&'static str),
    /// The whole is longer than 16 KiB.
    #[error("the description of the connection must be at most 16384 bytes")]
    TooLarge,
    /// A stored description cannot be read.
    #[error("the stored description of the connection cannot be read")]
    Corrupt,
}

/// A login of a session. Another login in the same session, by the same or another subject, is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The session's public id.
    pub session: String,
    /// The subject, if the session has logged in.
    pub subject: Option<String>,
    /// When the subject last authenticated.
    pub authenticated_at: Option<Timestamp>,
}

impl Login {
    /// The last login of a session with these details.
    #[must_use]
    pub fn of(session: &Details) -> Self {
        Self {
            session: session.public_id.clone(),
            subject: session.subject.clone(),
            authenticated_at: session.authenticated_at,
        }
    }
}

impl Head {
    /// Writes the description as JSON.
    ///
    /// # Errors
    /// [`InvalidHead::Text`], [`InvalidHead::TooLarge`].
    pub fn write(&self) -> Result<String, InvalidHead> {
        for (name, text) in [("prefix", &self.prefix), ("type", &self.kind)] {
            if text.len() > MAXIMUM_TEXT_BYTES || text.chars().any(char::is_control) {
                return Err(InvalidHead::Text(name));
            }
        }
        // Every field has a representation in JSON.
        let text = serde_json::to_string(self).map_err(|_| InvalidHead::Corrupt)?;
        if text.len() > MAXIMUM_HEAD_BYTES {
            return Err(InvalidHead::TooLarge);
        }
        Ok(text)
    }

    /// Whether the connection belongs to this login: the same session, without a login since the registration.
    #[must_use]
    pub fn is_of(&self, login: &Login) -> bool {
        self.session == login.session
            && self.subject == login.subject
            && self.authenticated_at == login.authenticated_at
    }

    /// Reads a stored description.
    ///
    /// # Errors
    /// [`InvalidHead::Corrupt`].
    pub fn read(text: &str) -> Result<Self, InvalidHead> {
        serde_json::from_str(text).map_err(|_| InvalidHead::Corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            session: "C3yW7lRQWRB3orhnW1JzVg".into(),
            subject: Some("alice".into()),
            prefix: "/mcp/weather".into(),
            kind: "sse".into(),
            created_at: Timestamp::from_millis(7),
            authenticated_at: Some(Timestamp::from_millis(6)),
            ends_at: Timestamp::from_millis(9),
            request: Request {
                headers: vec![("user-agent".into(), "curl".into())],
                ..Request::default()
            },
        }
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = head();
        assert_eq!(Head::read(&head.write().unwrap()), Ok(head));
        for text in [
            "",
            "{}",
            "[]",
            r#"{"session":"a","createdAt":"1","endsAt":"1","new":1}"#,
        ] {
            assert_eq!(Head::read(text), Err(InvalidHead::Corrupt), "{text}");
        }
    }

    #[test]
    fn a_head_that_is_too_large_is_refused() {
        let with = |change: &dyn Fn(&mut Head)| {
            let mut head = head();
            change(&mut head);
            head.write().map(|text| text.len())
        };
        assert!(with(&|head| head.prefix = "p".repeat(255)).is_ok());
        assert_eq!(
            with(&|head| head.prefix = "p".repeat(256)),
            Err(InvalidHead::Text("prefix"))
        );
        assert_eq!(
            with(&|head| head.kind = "a\nb".into()),
            Err(InvalidHead::Text("type"))
        );
        let sized = |bytes: usize| with(&|head| head.request.query = vec![("q".into(), "x".repeat(bytes))]);
        let rest = sized(0).unwrap();
        assert_eq!(sized(MAXIMUM_HEAD_BYTES - rest), Ok(MAXIMUM_HEAD_BYTES));
        assert_eq!(sized(MAXIMUM_HEAD_BYTES - rest + 1), Err(InvalidHead::TooLarge));
    }
}
