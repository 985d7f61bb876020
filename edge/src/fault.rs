//! A session's errors, as `tessera-http` has to know them.

use std::time::Duration;

use serde_json::Value;
use tessera_http::{ConvertError, Fault, Kind};

use crate::driver::CallError;

/// Why a call on a session did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// Another call on this session is not finished.
    #[error("another call on this session is not finished")]
    Busy,
    #[error("the session is closed")]
    Closed,
    #[error("the session was never saved")]
    Draft,
    #[error("a JWT needs a subject: authenticate the session first")]
    SubjectRequired,
    /// A value of another type is stored than was asked for, or a value cannot be stored.
    #[error("the value does not convert")]
    Convert(#[source] ConvertError),
    #[error("the session's fields cannot be read or written as JSON")]
    Json(#[source] serde_json::Error),
    /// What the engine wrote is no field.
    #[error("a field cannot be read")]
    Field(#[from] tessera_http::api::InvalidField),
}

/// Each kind of the engine's with its name in `wit/policy.wit`.
const KINDS: [Kind; 30] = [
    Kind::Closed,
    Kind::Conflict,
    Kind::Contended,
    Kind::Corrupt,
    Kind::Draft,
    Kind::Expired,
    Kind::Full,
    Kind::InvalidArgument,
    Kind::InvalidCsrfToken,
    Kind::InvalidValue,
    Kind::LimitExceeded,
    Kind::Missing,
    Kind::Other,
    Kind::OutcomeUnknown,
    Kind::Overloaded,
    Kind::Replaced,
    Kind::Reused,
    Kind::SubjectRequired,
    Kind::Throttled,
    Kind::TokenAudienceWrong,
    Kind::TokenHeaderRefused,
    Kind::TokenIssuerWrong,
    Kind::TokenKeyUnknown,
    Kind::TokenMacWrong,
    Kind::TokenMalformed,
    Kind::TokenNotYetValid,
    Kind::TokenTooLong,
    Kind::TooManySessions,
    Kind::Unavailable,
    Kind::Unsupported,
];

fn kind_of(name: &str) -> Kind {
    match name {
        "invalid-policy" | "invalid-key" => Kind::InvalidArgument,
        "pending" | "busy" => Kind::Busy,
        _ => KINDS
            .into_iter()
            .find(|kind| kind.code() == name)
            .unwrap_or(Kind::Other),
    }
}

impl Fault for EdgeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Call(CallError::Engine { error, .. }) => kind_of(&error.kind),
            Self::Call(CallError::OutcomeUnknown) => Kind::OutcomeUnknown,
            Self::Call(CallError::CannotWait) => Kind::Unavailable,
            // A trap is our failure, not an outage: 500.
            Self::Call(CallError::Trapped(_) | CallError::Configure(_) | CallError::Unreadable(_)) => {
                Kind::Other
            }
            Self::Busy => Kind::Busy,
            Self::Closed => Kind::Closed,
            Self::Draft => Kind::Draft,
            Self::SubjectRequired => Kind::SubjectRequired,
            Self::Convert(_) | Self::Json(_) | Self::Field(_) => Kind::Other,
        }
    }

    fn closed() -> Self {
        Self::Closed
    }

    fn members(&self) -> Vec<(&'static str, Value)> {
        let Self::Call(CallError::Engine { error, .. }) = self else {
            return Vec::new();
        };
        match kind_of(&error.kind) {
            Kind::Conflict => {
                let fields: Vec<&str> = error.about.split('\n').collect();
                vec![("fields", fields.into())]
            }
            Kind::LimitExceeded => {
                vec![
                    ("limit", error.about.as_str().into()),
                    ("maximum", error.number.0.into()),
                ]
            }
            Kind::InvalidArgument => vec![("argument", error.about.as_str().into())],
            _ => Vec::new(),
        }
    }

    fn ahead(&self) -> Option<Duration> {
        match self {
            Self::Call(CallError::Engine { error, .. }) if error.kind == "token-not-yet-valid" => {
                Some(Duration::from_millis(error.number.0))
            }
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(CallError::Engine { error, .. }) if error.kind == "throttled" => {
                Some(Duration::from_millis(error.number.0))
            }
            _ => None,
        }
    }
}
