//! Request bodies: one JSON object, its members taken by name, unknown ones refused by name.
//!
//! By hand rather than derived: serde's own messages quote what they do not expect, and that may be a token.

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

/// A longer request body is refused on every route; [`Content`] has the limit of each.
pub const MAXIMUM_BODY_BYTES: usize = 1 << 20;
/// The most that a body holds beside fields and tokens: names of members, a subject, numbers, white space.
const FRAME_BYTES: usize = 4096;
/// JSON may write each byte of a character as three: `\u00e9` stands for two.
const ESCAPED: usize = 3;
/// A longer name is not said again: a session id in the wrong place has more.
const MAXIMUM_SAID_BYTES: usize = 16;

/// The members of a JSON object, in their order, none twice, each as it was written.
#[derive(Debug)]
pub struct Members(pub(super) Vec<(String, Box<RawValue>)>);

/// The message for a name that stands twice. The text distinguishes it, because serde has no other way.
const TWICE: &str = "a name stands twice";

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

/// What a route's body holds: that says how long it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// No member.
    Nothing,
    /// A token.
    Token,
    /// Fields to set, and names of others.
    Fields,
}

impl Content {
    /// The longest body, in bytes: what the policy allows, each character escaped.
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
            Self::Fields => record.saturating_add(fields.saturating_mul(name)),
        };
        content
            .saturating_mul(ESCAPED)
            .saturating_add(FRAME_BYTES)
            .min(MAXIMUM_BODY_BYTES)
    }
}

/// A body that holds no member.
pub(super) struct NoMembers(pub(super) Members);

/// A body that holds a token.
pub(super) struct TokenMembers(pub(super) Members);

/// A body that holds fields.
pub(super) struct FieldMembers(pub(super) Members);

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

impl Members {
    /// Reads a body of at most so many bytes. A request without a body is one with an empty object.
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
    let detail = format!("a body is at most {maximum} bytes here");
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
    /// Reads one JSON object.
    ///
    /// # Errors
    /// A problem with the place and kind of what is wrong, and none of what was sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what = match error.classify() {
                Category::Syntax => "not JSON",
                Category::Data if error.to_string().starts_with(TWICE) => TWICE,
                Category::Data => "not one JSON object",
                Category::Eof | Category::Io => "JSON that ends early",
            };
            let detail = format!(
                "the body is refused at line {}, column {}: {what}",
                error.line(),
                error.column()
            );
            Problem::new(400, "json-malformed", detail)
        })
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes a member of a given type out; `null` is as good as none.
    pub(super) fn take_as<T: DeserializeOwned>(
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

    /// Takes a whole number of milliseconds out. `75.0` is one (JSON Schema, section 6.1.1).
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
        // As far as the engine's moments go.
        let millis = millis.filter(|millis| *millis < 1 << 48);
        let unfit =
            || Problem::new(422, "invalid-member", format!("`{name}` must be {KIND}")).with("member", name);
        millis.map(Some).ok_or_else(unfit)
    }

    /// Takes a member out that has to be there.
    pub(super) fn require<T: DeserializeOwned>(&mut self, name: &str, kind: &str) -> Result<T, Problem> {
        self.take_as(name, kind)?.ok_or_else(|| {
            Problem::new(422, "member-absent", format!("`{name}` is needed: {kind}")).with("member", name)
        })
    }

    /// Refuses members of other names than these, by name.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
            return Ok(self);
        };
        let is_sayable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let known = match known {
            [] => "none is".into(),
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
                format!("a member is not known here; known: {known}"),
            ));
        }
        let detail = format!("the member `{name}` is not known here; known: {known}");
        Err(Problem::new(422, "unknown-member", detail).with("member", name.as_str()))
    }
}
