//! The types of `wit/policy.wit`, in the JSON of `js/call.js`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tessera_contract::state::WRITER_BYTES;
use tessera_contract::{Timestamp, decimal};
use tessera_http::Status;

/// A `result`. `val` is absent if the case has no payload.
#[derive(Deserialize)]
pub(crate) struct Outcome {
    tag: String,
    val: Option<Box<RawValue>>,
}

impl Outcome {
    /// The JSON text of the value, or the error.
    pub(crate) fn read(self) -> Result<Result<Box<RawValue>, Error>, serde_json::Error> {
        let val = self.val.unwrap_or_default();
        match self.tag.as_str() {
            "ok" => Ok(Ok(val)),
            _ => Ok(Err(serde_json::from_str(val.get())?)),
        }
    }
}

/// A time.
#[derive(Deserialize)]
pub(crate) struct Moment(#[serde(with = "decimal")] pub(crate) Timestamp);

/// An error of the engine; `kind` is a case of `error-kind`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Error {
    pub(crate) kind: String,
    pub(crate) about: String,
    pub(crate) reason: String,
    #[serde(with = "decimal")]
    pub(crate) number: u64,
}

/// The result of a write. It contains a token, so it has no `Debug`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Grant {
    pub(crate) token: Option<String>,
    #[serde(with = "decimal")]
    pub(crate) expires_at: Timestamp,
    #[serde(with = "decimal")]
    pub(crate) ends_at: Timestamp,
}

impl From<Grant> for tessera_http::Grant {
    fn from(grant: Grant) -> Self {
        Self {
            token: grant.token,
            expires_at: grant.expires_at,
            ends_at: grant.ends_at,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    pub(crate) public_id: String,
    pub(crate) subject: Option<String>,
    #[serde(with = "decimal")]
    pub(crate) created_at: Timestamp,
    #[serde(default, with = "decimal::option")]
    pub(crate) authenticated_at: Option<Timestamp>,
    #[serde(with = "decimal")]
    pub(crate) expires_at: Timestamp,
    #[serde(with = "decimal")]
    pub(crate) ends_at: Timestamp,
    pub(crate) generation: u32,
    pub(crate) touch_due: bool,
    pub(crate) renew_due: bool,
    pub(crate) reissue_due: bool,
}

impl From<Details> for tessera_http::Details {
    fn from(details: Details) -> Self {
        Self {
            status: Status::Live,
            public_id: details.public_id,
            subject: details.subject,
            created_at: details.created_at,
            authenticated_at: details.authenticated_at,
            expires_at: details.expires_at,
            ends_at: details.ends_at,
            generation: details.generation,
            touch_due: details.touch_due,
            renew_due: details.renew_due,
            reissue_due: details.reissue_due,
            modified: false,
        }
    }
}

/// An open session. Its handle and key are secret, so it has no `Debug`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Opened {
    pub(crate) handle: String,
    pub(crate) key: String,
    #[serde(with = "decimal")]
    pub(crate) version: u64,
    pub(crate) details: Details,
    pub(crate) fields_at: u32,
    #[serde(with = "decimal")]
    pub(crate) holds_until: Timestamp,
}

/// The arguments of a write.
#[derive(Serialize)]
pub(crate) struct Writing {
    pub(crate) handle: String,
    pub(crate) changes: String,
    pub(crate) writer: [u8; WRITER_BYTES],
    pub(crate) attempt: u32,
    pub(crate) base: Option<String>,
}

/// The result of a call that may write.
#[derive(Deserialize)]
pub(crate) struct Written {
    pub(crate) grant: Grant,
    pub(crate) opened: Opened,
    pub(crate) wrote: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub(crate) enum KeepFields {
    Nothing,
    Everything,
    Named(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claims {
    pub(crate) public_id: String,
    pub(crate) generation: u32,
    #[serde(with = "decimal")]
    pub(crate) issued_at: Timestamp,
    #[serde(with = "decimal")]
    pub(crate) expires_at: Timestamp,
    pub(crate) subject: Option<String>,
    pub(crate) data: Vec<(String, String)>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) public_id: String,
    #[serde(with = "decimal")]
    pub(crate) created_at: Timestamp,
    #[serde(with = "decimal")]
    pub(crate) authenticated_at: Timestamp,
    #[serde(with = "decimal")]
    pub(crate) last_seen_at: Timestamp,
    #[serde(with = "decimal")]
    pub(crate) expires_at: Timestamp,
    #[serde(with = "decimal")]
    pub(crate) ends_at: Timestamp,
    pub(crate) current: bool,
    /// One JSON object, in the form of records.
    pub(crate) fields: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Summaries {
    pub(crate) items: Vec<Summary>,
    pub(crate) next: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Progress {
    pub(crate) ended: u32,
    pub(crate) next: Option<String>,
}

/// A key that signs and verifies tokens. Its secret is wiped on drop, and is not part of `Debug`.
#[derive(Clone, Serialize)]
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pub(crate) secret: Vec<u8>,
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Error {
    /// The message for the caller. The Rust host has the same texts.
    pub(crate) fn words(&self) -> String {
        let Self {
            about,
            reason,
            number,
            ..
        } = self;
        match self.kind.as_str() {
            "missing" => "there is no such session".into(),
            "expired" => "the session or token has expired".into(),
            "replaced" => "the token was replaced by a later login".into(),
            "reused" => "a token was reused long after its renewal".into(),
            "token-too-long" => "the token is refused: it is longer than the policy allows".into(),
            "token-malformed" => "the token is refused: it is malformed".into(),
            "token-header-refused" => "the token is refused: its header is not accepted".into(),
            "token-key-unknown" => {
                "the token is refused: it was signed with a key that is not in the ring".into()
            }
            "token-mac-wrong" => "the token is refused: its signature does not match".into(),
            "token-issuer-wrong" => "the token is refused: it has another issuer".into(),
            "token-audience-wrong" => "the token is refused: it is for another audience".into(),
            "token-not-yet-valid" => "the token is refused: it is not valid yet".into(),
            "invalid-csrf-token" => "the CSRF token is refused".into(),
            "invalid-policy" | "invalid-key" | "invalid-argument" => format!("{about} {reason}"),
            "invalid-value" => format!("invalid value: {reason}"),
            "limit-exceeded" => format!("{about} is at most {}", number),
            "conflict" => format!(
                "others have changed the same fields: {}",
                about.replace('\n', ", ")
            ),
            "contended" => "too many concurrent writes to the same session".into(),
            "too-many-sessions" => "the subject has as many sessions as allowed".into(),
            "subject-required" => "a JWT needs a subject: authenticate the session first".into(),
            "draft" => "the session was never saved".into(),
            "closed" => "the session is closed".into(),
            "unsupported" => format!("the store does not support {reason}"),
            "throttled" => format!("rate limited; retry after {} ms", number),
            "full" => "the store is full".into(),
            "corrupt" => format!("the stored record cannot be read: {reason}"),
            "outcome-unknown" => "a write was sent and its outcome is unknown".into(),
            "unavailable" => "the store cannot be reached".into(),
            _ => reason.clone(),
        }
    }
}
