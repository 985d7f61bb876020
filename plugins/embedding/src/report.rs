//! Errors as languages without Rust's enums take them: a kind by its name in WIT, with what belongs to it.

use std::error::Error;
use std::time::Duration;

use tessera::store::StoreError;
use tessera::{ConfigurationError, SessionError, TokenFault};

/// An error as a value of the other language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name of the kind: that of `error-kind` and `token-fault` in `wit/types.wit`, or `configuration`, `instance-lost`.
    pub kind: &'static str,
    /// The argument, limit, policy field or key that the error is about; the names of fields in conflict, one in each line.
    pub about: String,
    /// The reason, as a verb phrase if it is about something. It has no key, token or value.
    pub reason: String,
    /// A maximum, or milliseconds: of a pause, or until a token becomes valid.
    pub number: u64,
}

impl Report {
    /// A kind without anything else.
    pub fn of(kind: &'static str) -> Self {
        Self {
            kind,
            about: String::new(),
            reason: String::new(),
            number: 0,
        }
    }

    /// A kind with its reason.
    pub fn because(kind: &'static str, about: &str, reason: impl Into<String>) -> Self {
        Self {
            about: about.to_owned(),
            reason: reason.into(),
            ..Self::of(kind)
        }
    }

    fn with(kind: &'static str, number: u64) -> Self {
        Self {
            number,
            ..Self::of(kind)
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn of_token(fault: TokenFault) -> Report {
    match fault {
        TokenFault::TooLong => Report::of("token-too-long"),
        TokenFault::HeaderRefused => Report::of("token-header-refused"),
        TokenFault::UnknownKey => Report::of("token-key-unknown"),
        TokenFault::WrongMac => Report::of("token-mac-wrong"),
        TokenFault::WrongIssuer => Report::of("token-issuer-wrong"),
        TokenFault::WrongAudience => Report::of("token-audience-wrong"),
        TokenFault::NotYetValid { ahead } => Report::with("token-not-yet-valid", millis(ahead)),
        // `Malformed`, and faults of later versions.
        _ => Report::of("token-malformed"),
    }
}

impl From<&SessionError> for Report {
    fn from(error: &SessionError) -> Self {
        use SessionError as E;
        match error {
            E::Busy => Self::of("busy"),
            E::Closed => Self::of("closed"),
            E::Missing => Self::of("missing"),
            E::Expired => Self::of("expired"),
            E::Replaced => Self::of("replaced"),
            E::Reused => Self::of("reused"),
            E::InvalidToken(fault) => of_token(*fault),
            E::InvalidCsrfToken => Self::of("invalid-csrf-token"),
            E::InvalidArgument { argument, reason } => Self::because("invalid-argument", argument, reason),
            E::InvalidValue { reason } => Self::because("invalid-value", "", reason),
            E::LimitExceeded { limit, maximum } => Self {
                about: limit.to_string(),
                ..Self::with("limit-exceeded", *maximum)
            },
            E::Conflict(fields) => Self::because("conflict", &fields.join("\n"), ""),
            E::Contended => Self::of("contended"),
            E::TooManySessions => Self::of("too-many-sessions"),
            E::SubjectRequired => Self::of("subject-required"),
            E::Draft => Self::of("draft"),
            E::Convert(error) => Self::because("invalid-value", "", error.to_string()),
            E::Unsupported { what } => Self::because("unsupported", "", what),
            E::Throttled(pause) => Self::with("throttled", millis(*pause)),
            E::Full => Self::of("full"),
            E::Corrupt { reason } => Self::because("corrupt", "", reason),
            E::OutcomeUnknown { source } => Self::because("outcome-unknown", "", sources(source.as_ref())),
            E::Unavailable { source } => Self::because("unavailable", "", sources(source.as_ref())),
            E::InstanceLost { .. } => Self::of("instance-lost"),
            E::Other { reason, .. } => Self::because("other", "", reason),
            _ => Self::because("other", "", error.to_string()),
        }
    }
}

impl From<&ConfigurationError> for Report {
    fn from(error: &ConfigurationError) -> Self {
        match error {
            ConfigurationError::InvalidPolicy { field, reason } => {
                Self::because("invalid-policy", field, reason)
            }
            ConfigurationError::InvalidKey { key, reason } => Self::because("invalid-key", key, reason),
            ConfigurationError::Engine(error) => Self::from(error),
            other => Self::because("configuration", "", chain(other)),
        }
    }
}

impl From<&StoreError> for Report {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Throttled(pause) => Self::with("throttled", millis(*pause)),
            StoreError::Unsupported => Self::of("unsupported"),
            StoreError::Full => Self::of("full"),
            StoreError::Corrupt => Self::of("corrupt"),
            StoreError::OutcomeUnknown(_) => Self::because("outcome-unknown", "", chain(error)),
            StoreError::Unavailable(_) => Self::because("unavailable", "", chain(error)),
            _ => Self::because("other", "", chain(error)),
        }
    }
}

fn sources<E: Error>(error: Option<&E>) -> String {
    error.map_or_else(String::new, |error| chain(error))
}

/// The text of an error and of its sources. None of them contains a key, a token or a value.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}
