//! Request bodies: one JSON object, its members taken by name, unknown ones refused by name.
//!
//! By hand rather than derived: serde's own messages quote what they do not expect, and that may be a token.

use std::fmt;

use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::body::unread;
use crate::problem::Problem;

/// A longer request body is refused.
pub const MAXIMUM_BODY_BYTES: usize = 1 << 20;
/// A longer name is not said again: a session id in the wrong place has more.
const MAXIMUM_SAID_BYTES: usize = 16;

/// The members of a JSON object, in their order, none twice, each as it was written.
#[derive(Debug)]
pub struct Members(pub(super) Vec<(String, Box<RawValue>)>);

/// What deserializing answers for a name that stands twice; told apart by its text, for serde has no other way.
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

impl<S: Send + Sync> FromRequest<S> for Members {
    type Rejection = Problem;

    /// A request without a body is one with an empty object.
    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let read = Limited::new(request.into_body(), MAXIMUM_BODY_BYTES).collect();
        let bytes = read.await.map_err(|error| unread(&*error, too_large))?.to_bytes();
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

fn too_large() -> Problem {
    let detail = format!("a body is at most {MAXIMUM_BODY_BYTES} bytes");
    Problem::new(413, "body-too-large", detail).with("maximum", MAXIMUM_BODY_BYTES)
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
