//! A session's errors, as `tessera-http` has to know them.

use std::time::Duration;

use serde_json::Value;
use tessera_contract::form::Unfit;
use tessera_contract::state::StateError;
use tessera_http::{ConvertError, Fault, Kind};

use crate::driver::CallError;

/// Why a call on a session did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// The session cannot be read or changed so.
    #[error(transparent)]
    State(#[from] StateError),
    #[error("a JWT needs a subject: authenticate the session first")]
    SubjectRequired,
    /// A value of another type is stored than was asked for, or a value cannot be stored.
    #[error("the value does not convert")]
    Convert(#[source] ConvertError),
}

/// Each kind of the engine's with its name in `wit/policy.wit`.
const KINDS: [Kind; 29] = [
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
            Self::Call(CallError::InstanceLost(_) | CallError::Configure(_)) => Kind::InstanceLost,
            Self::Call(CallError::Unreadable(_) | CallError::NoFields) | Self::Convert(_) => Kind::Other,
            Self::State(StateError::Busy) => Kind::Busy,
            Self::State(StateError::Closed) => Kind::Closed,
            Self::State(StateError::Draft) => Kind::Draft,
            Self::State(StateError::Corrupt) => Kind::Corrupt,
            Self::State(StateError::Unfit(Unfit::Name(_))) => Kind::InvalidArgument,
            Self::State(StateError::Unfit(Unfit::Value(_))) => Kind::InvalidValue,
            Self::State(StateError::Unfit(Unfit::Limit(..))) => Kind::LimitExceeded,
            Self::SubjectRequired => Kind::SubjectRequired,
        }
    }

    fn closed() -> Self {
        Self::State(StateError::Closed)
    }

    fn members(&self) -> Vec<(&'static str, Value)> {
        let error = match self {
            Self::Call(CallError::Engine { error, .. }) => error,
            Self::State(StateError::Unfit(Unfit::Name(_))) => return vec![("argument", "name".into())],
            Self::State(StateError::Unfit(Unfit::Limit(limit, maximum))) => {
                return vec![("limit", (*limit).into()), ("maximum", (*maximum).into())];
            }
            _ => return Vec::new(),
        };
        match kind_of(&error.kind) {
            Kind::Conflict => {
                let fields: Vec<&str> = error.about.split('\n').collect();
                vec![("fields", fields.into())]
            }
            Kind::LimitExceeded => {
                vec![
                    ("limit", error.about.as_str().into()),
                    ("maximum", error.number.into()),
                ]
            }
            Kind::InvalidArgument => vec![("argument", error.about.as_str().into())],
            _ => Vec::new(),
        }
    }

    fn ahead(&self) -> Option<Duration> {
        match self {
            Self::Call(CallError::Engine { error, .. }) if error.kind == "token-not-yet-valid" => {
                Some(Duration::from_millis(error.number))
            }
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(CallError::Engine { error, .. }) if error.kind == "throttled" => {
                Some(Duration::from_millis(error.number))
            }
            _ => None,
        }
    }
}
