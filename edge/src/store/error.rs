//! Why a store did not do as asked.

use serde::{Deserialize, Serialize};

use crate::number::U64;

/// The cases of `error` in `wit/store.wit`, as they cross into the engine. None carries a key, a value or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(into = "Wire", from = "Wire")]
pub(crate) enum StoreError {
    #[error("no such entry")]
    Missing,
    #[error("the entry does not meet the condition of the write")]
    Stale,
    #[error("the key, owner or value is longer than the store takes")]
    TooLarge,
    /// For so many milliseconds.
    #[error("the store asks to be left alone for {} ms", .0.0)]
    Throttled(U64),
    #[error("the cursor is none that the store answered")]
    MalformedCursor,
    #[error("the stored entry cannot be read")]
    Corrupt,
    #[error("a write was sent and its answer lost")]
    OutcomeUnknown,
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    #[error("the store failed: {0}")]
    Other(String),
}

impl StoreError {
    /// Whether it says that something failed, and not how things are.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Self::Missing | Self::Stale)
    }
}

/// An error as it crosses: the case, and what it holds.
#[derive(Serialize, Deserialize)]
struct Wire {
    tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    val: Option<String>,
}

impl From<StoreError> for Wire {
    fn from(error: StoreError) -> Self {
        let (tag, val) = match error {
            StoreError::Missing => ("missing", None),
            StoreError::Stale => ("stale", None),
            StoreError::TooLarge => ("too-large", None),
            StoreError::Throttled(pause) => ("throttled", Some(pause.0.to_string())),
            StoreError::MalformedCursor => ("malformed-cursor", None),
            StoreError::Corrupt => ("corrupt", None),
            StoreError::OutcomeUnknown => ("outcome-unknown", None),
            StoreError::Unavailable(what) => ("unavailable", Some(what)),
            StoreError::Other(what) => ("other", Some(what)),
        };
        Self {
            tag: tag.to_owned(),
            val,
        }
    }
}

impl From<Wire> for StoreError {
    fn from(Wire { tag, val }: Wire) -> Self {
        let val = val.unwrap_or_default();
        match tag.as_str() {
            "missing" => Self::Missing,
            "stale" => Self::Stale,
            "too-large" => Self::TooLarge,
            "throttled" => Self::Throttled(U64(val.parse().unwrap_or(0))),
            "malformed-cursor" => Self::MalformedCursor,
            "corrupt" => Self::Corrupt,
            "outcome-unknown" => Self::OutcomeUnknown,
            "unavailable" => Self::Unavailable(val),
            _ => Self::Other(val),
        }
    }
}
