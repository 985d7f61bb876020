//! Request bodies: one JSON object, whose members are taken by name. Unknown members are refused by name.
//!
//! Written by hand instead of derived, because serde's messages quote unexpected input, which may be a token.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Api;
use crate::body::unread;
use crate::engine::{Engine, Limits};
use crate::problem::Problem;

/// Maximum length, in bytes, of a request body on any route. The limit of a route may be lower.
pub const MAXIMUM_BODY_BYTES: usize = 1 << 20;
/// Allowance, in bytes, for content beside fields and tokens: member names, a subject, numbers, white space.
const FRAME_BYTES: usize = 4096;
/// Maximum growth by escapes: JSON may write each byte of a character as three, as `\u00e9` for two bytes.
const ESCAPED: usize = 3;
/// Maximum length, in bytes, of a message to connections. The bounds of the mailboxes may be lower.
#[cfg(feature = "connections")]
const MAXIMUM_MESSAGE_BYTES: usize = 256 * 1024;
/// Maximum length, in bytes, of a name that a message repeats. A session id in the wrong place is longer.
const MAXIMUM_SAID_BYTES: usize = 16;

/// The members of a JSON object in their order, with unique names, each value as its JSON text.
#[derive(Debug)]
pub struct Members(pub(super) Vec<(String, Box<RawValue>)>);

/// The message for a duplicate name. It also identifies this error, because serde offers no other way.
const TWICE: &str = "duplicate name";

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if !names.insert(name.clone()) {
                        return Err(serde::de::Error::custom(TWICE));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The content of a route's body, which determines the maximum length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// No member.
    Nothing,
    /// A token.
    Token,
    /// Fields to set, and names of others.
    Fields,
    /// A message to connections.
    #[cfg(feature = "connections")]
    Message,
}

impl Content {
    /// Maximum length of the body, in bytes: the policy's limits, with each character escaped.
    pub(super) fn maximum_bytes(self, limits: &Limits) -> usize {
        let [token, name, record, fields] = [
            limits.maximum_token_bytes,
            limits.maximum_name_bytes,
            limits.maximum_record_bytes,
            limits.maximum_fields,
        ]
        .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let content = match self {
            Self::Nothing => 0,
            Self::Token => token,
            #[cfg(feature = "connections")]
            Self::Message => MAXIMUM_MESSAGE_BYTES,
            Self::Fields => record.saturating_add(fields.saturating_mul(name)),
        };
        content
            .saturating_mul(ESCAPED)
            .saturating_add(FRAME_BYTES)
            .min(MAXIMUM_BODY_BYTES)
    }
}

/// A body without members.
pub(super) struct NoMembers(pub(super) Members);

/// A body with a token.
pub(super) struct TokenMembers(pub(super) Members);

/// A body with fields.
pub(super) struct FieldMembers(pub(super) Members);

/// A body with a message to connections.
#[cfg(feature = "connections")]
pub(crate) struct MessageMembers(pub(crate) Members);

macro_rules! from_request {
    ($($body:ident: $content:ident),+) => {$(
        impl<E: Engine> FromRequest<Arc<Api<E>>> for $body {
            type Rejection = Problem;

            async fn from_request(request: Request, api: &Arc<Api<E>>) -> Result<Self, Problem> {
                let maximum = Content::$content.maximum_bytes(&api.engine.limits());
                Members::read(request, maximum).await.map(Self)
            }
        }
    )+};
}

from_request!(NoMembers: Nothing, TokenMembers: Token, FieldMembers: Fields);
#[cfg(feature = "connections")]
from_request!(MessageMembers: Message);

impl Members {
    /// Reads a body of at most `maximum` bytes. An absent body is equivalent to an empty object.
    async fn read(request: Request, maximum: usize) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let read = Limited::new(request.into_body(), maximum).collect();
        let bytes = read
            .await
            .map_err(|error| unread(&*error, || too_large(maximum)))?
            .to_bytes();
        if bytes.is_empty() {
            return Ok(Self(Vec::new()));
        }
        if !is_json {
            return Err(Problem::new(
                415,
                "not-json",
                "send the body as `Content-Type: application/json`",
            ));
        }
        Self::parse(&bytes)
    }
}

fn too_large(maximum: usize) -> Problem {
    let detail = format!("the body exceeds this route's limit of {maximum} bytes");
    Problem::new(413, "body-too-large", detail).with("maximum", maximum)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case("application/json")
}

impl Members {
    /// Parses one JSON object.
    ///
    /// # Errors
    /// A problem with the place and kind of the fault, and without any of the input.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what = match error.classify() {
                Category::Syntax => "not JSON",
                Category::Data if error.to_string().starts_with(TWICE) => TWICE,
                Category::Data => "not one JSON object",
                Category::Eof | Category::Io => "JSON that ends early",
            };
            let detail = format!(
                "invalid body at line {}, column {}: {what}",
                error.line(),
                error.column()
            );
            Problem::new(400, "json-malformed", detail)
        })
    }

    /// Removes a member and returns its JSON text.
    pub(crate) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Removes a member and returns it as a `T`; `null` counts as absent. `kind` describes the type in the message.
    pub(crate) fn take_as<T: DeserializeOwned>(
        &mut self,
        name: &str,
        kind: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(raw) = self.take(name) else {
            return Ok(None);
        };
        let value: Option<T> = serde_json::from_str(raw.get()).map_err(|_| {
            Problem::new(422, "invalid-member", format!("`{name}` must be {kind}")).with("member", name)
        })?;
        Ok(value)
    }

    /// Removes a member and returns it as a whole number of milliseconds. `75.0` is a whole number (JSON Schema, section
    /// 6.1.1).
    pub(super) fn take_millis(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        const KIND: &str = "a whole number of milliseconds below 2^48";
        let Some(number) = self.take_as::<serde_json::Number>(name, KIND)? else {
            return Ok(None);
        };
        let float = || {
            number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && (0.0..1e15).contains(float))
        };
        let millis = number.as_u64().or_else(|| float().map(|float| float as u64));
        // The range of the engine's timestamps.
        let millis = millis.filter(|millis| *millis < 1 << 48);
        let unfit =
            || Problem::new(422, "invalid-member", format!("`{name}` must be {KIND}")).with("member", name);
        millis.map(Some).ok_or_else(unfit)
    }

    /// Removes a required member and returns it as a `T`.
    pub(crate) fn require<T: DeserializeOwned>(&mut self, name: &str, kind: &str) -> Result<T, Problem> {
        self.take_as(name, kind)?.ok_or_else(|| {
            Problem::new(422, "member-absent", format!("`{name}` is required: {kind}")).with("member", name)
        })
    }

    /// Refuses members with other names than those in `known`; the message names the first of them.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
            return Ok(self);
        };
        let is_sayable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let known = match known {
            [] => "none".into(),
            known => known
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        if name.len() > MAXIMUM_SAID_BYTES || !name.bytes().all(is_sayable) {
            return Err(Problem::new(
                422,
                "unknown-member",
                format!("unknown member; known members: {known}"),
            ));
        }
        let detail = format!("unknown member `{name}`; known members: {known}");
        Err(Problem::new(422, "unknown-member", detail).with("member", name.as_str()))
    }
}
