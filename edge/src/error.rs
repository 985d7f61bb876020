//! Errors of sessions, and their classification for `tessera-http`.

use std::time::Duration;

use serde_json::Value;
use tessera_contract::form::Unfit;
use tessera_contract::state::StateError;
use tessera_http::{ConvertError, EngineError, ErrorKind};

use crate::driver::{CallError, wit};
use crate::store::StoreError;

/// An error of a call on a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// The session's state does not allow the call, or a change is invalid.
    #[error(transparent)]
    State(#[from] StateError),
    #[error("a JWT needs a subject: authenticate the session first")]
    SubjectRequired,
    /// The stored value has a different type than requested, or a value cannot be stored.
    #[error("the value does not convert")]
    Convert(#[source] ConvertError),
}

impl EdgeError {
    /// The error of a call on connections whose objects have failed or refuse the call: the engine's for the same failure.
    pub(crate) fn of_connections(store: StoreError) -> Self {
        let (kind, about, reason) = match &store {
            StoreError::Throttled(_) => ("throttled", "", ""),
            StoreError::Full => ("full", "", ""),
            StoreError::Unsupported => ("unsupported", "connections", ""),
            StoreError::MalformedCursor => ("invalid-argument", "cursor", "was not returned by this service"),
            StoreError::Corrupt => ("corrupt", "", "the mailbox of a connection cannot be read"),
            StoreError::OutcomeUnknown(_) => ("outcome-unknown", "", ""),
            StoreError::Unavailable(_) => ("unavailable", "", ""),
            _ => ("other", "", "the mailboxes failed"),
        };
        let number = match &store {
            StoreError::Throttled(pause) => tessera_contract::millis(*pause),
            _ => 0,
        };
        let error = wit::Error {
            kind: kind.into(),
            about: about.into(),
            reason: reason.into(),
            number,
        };
        let store = Some(store);
        Self::Call(CallError::Engine { error, store })
    }

    /// The engine's error for a session that has ended.
    pub(crate) fn missing() -> Self {
        let error = wit::Error {
            kind: "missing".into(),
            about: String::new(),
            reason: String::new(),
            number: 0,
        };
        Self::Call(CallError::Engine { error, store: None })
    }
}

/// The kinds whose `code` is their name in `wit/policy.wit`.
const KINDS: [ErrorKind; 29] = [
    ErrorKind::Closed,
    ErrorKind::Conflict,
    ErrorKind::Contended,
    ErrorKind::Corrupt,
    ErrorKind::Draft,
    ErrorKind::Expired,
    ErrorKind::Full,
    ErrorKind::InvalidArgument,
    ErrorKind::InvalidCsrfToken,
    ErrorKind::InvalidValue,
    ErrorKind::LimitExceeded,
    ErrorKind::Missing,
    ErrorKind::Other,
    ErrorKind::OutcomeUnknown,
    ErrorKind::Replaced,
    ErrorKind::Reused,
    ErrorKind::SubjectRequired,
    ErrorKind::Throttled,
    ErrorKind::TokenAudienceWrong,
    ErrorKind::TokenHeaderRefused,
    ErrorKind::TokenIssuerWrong,
    ErrorKind::TokenKeyUnknown,
    ErrorKind::TokenMacWrong,
    ErrorKind::TokenMalformed,
    ErrorKind::TokenNotYetValid,
    ErrorKind::TokenTooLong,
    ErrorKind::TooManySessions,
    ErrorKind::Unavailable,
    ErrorKind::Unsupported,
];

fn kind_of(name: &str) -> ErrorKind {
    match name {
        "invalid-policy" | "invalid-key" => ErrorKind::InvalidArgument,
        "pending" | "busy" => ErrorKind::Busy,
        _ => KINDS
            .into_iter()
            .find(|kind| kind.code() == name)
            .unwrap_or(ErrorKind::Other),
    }
}

impl EngineError for EdgeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Call(CallError::Engine { error, .. }) => kind_of(&error.kind),
            Self::Call(CallError::OutcomeUnknown) => ErrorKind::OutcomeUnknown,
            Self::Call(CallError::CannotWait) => ErrorKind::Unavailable,
            Self::Call(CallError::InstanceLost(_) | CallError::Configure(_)) => ErrorKind::InstanceLost,
            Self::Call(CallError::Unreadable(_) | CallError::NoFields) | Self::Convert(_) => ErrorKind::Other,
            Self::State(StateError::Busy) => ErrorKind::Busy,
            Self::State(StateError::Closed) => ErrorKind::Closed,
            Self::State(StateError::Draft) => ErrorKind::Draft,
            Self::State(StateError::Corrupt) => ErrorKind::Corrupt,
            Self::State(StateError::Unfit(Unfit::Name(_))) => ErrorKind::InvalidArgument,
            Self::State(StateError::Unfit(Unfit::Value(_))) => ErrorKind::InvalidValue,
            Self::State(StateError::Unfit(Unfit::Limit(..))) => ErrorKind::LimitExceeded,
            Self::SubjectRequired => ErrorKind::SubjectRequired,
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
            ErrorKind::Conflict => {
                let fields: Vec<&str> = error.about.split('\n').collect();
                vec![("fields", fields.into())]
            }
            ErrorKind::LimitExceeded => {
                vec![
                    ("limit", error.about.as_str().into()),
                    ("maximum", error.number.into()),
                ]
            }
            ErrorKind::InvalidArgument => vec![("argument", error.about.as_str().into())],
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
