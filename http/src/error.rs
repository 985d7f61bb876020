//! Error kinds, with names that are the same in every host and protocol.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;

/// The cases of `error-kind` in `wit/policy.wit`, as reported to HTTP clients, and `TokenAmbiguous`: several cookies of one
/// name, of which not exactly one opens a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum ErrorKind {
    Busy,
    Closed,
    Conflict,
    Contended,
    Corrupt,
    Draft,
    Expired,
    Full,
    InstanceLost,
    InvalidArgument,
    InvalidCsrfToken,
    InvalidValue,
    LimitExceeded,
    Missing,
    Other,
    OutcomeUnknown,
    Replaced,
    Reused,
    SubjectRequired,
    Throttled,
    TokenAmbiguous,
    TokenAudienceWrong,
    TokenHeaderRefused,
    TokenIssuerWrong,
    TokenKeyUnknown,
    TokenMacWrong,
    TokenMalformed,
    TokenNotYetValid,
    TokenTooLong,
    TooManySessions,
    Unavailable,
    Unsupported,
}

impl ErrorKind {
    /// The stable name, as in WIT.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status of a response with this error.
    pub fn status(self) -> u16 {
        self.row().0
    }

    fn row(self) -> (u16, &'static str) {
        match self {
            Self::Closed => (401, "closed"),
            Self::Expired => (401, "expired"),
            Self::Missing => (401, "missing"),
            Self::Replaced => (401, "replaced"),
            Self::Reused => (401, "reused"),
            Self::TokenAmbiguous => (401, "token-ambiguous"),
            Self::TokenAudienceWrong => (401, "token-audience-wrong"),
            Self::TokenHeaderRefused => (401, "token-header-refused"),
            Self::TokenIssuerWrong => (401, "token-issuer-wrong"),
            Self::TokenKeyUnknown => (401, "token-key-unknown"),
            Self::TokenMacWrong => (401, "token-mac-wrong"),
            Self::TokenMalformed => (401, "token-malformed"),
            Self::TokenNotYetValid => (401, "token-not-yet-valid"),
            Self::TokenTooLong => (401, "token-too-long"),
            Self::InvalidCsrfToken => (403, "invalid-csrf-token"),
            Self::Conflict => (409, "conflict"),
            Self::Contended => (409, "contended"),
            Self::Draft => (409, "draft"),
            Self::TooManySessions => (409, "too-many-sessions"),
            Self::LimitExceeded => (413, "limit-exceeded"),
            Self::InvalidArgument => (422, "invalid-argument"),
            Self::InvalidValue => (422, "invalid-value"),
            Self::SubjectRequired => (422, "subject-required"),
            Self::Corrupt => (500, "corrupt"),
            Self::Other => (500, "other"),
            Self::Unsupported => (501, "unsupported"),
            Self::Busy => (503, "busy"),
            Self::Full => (503, "full"),
            Self::InstanceLost => (503, "instance-lost"),
            Self::OutcomeUnknown => (503, "outcome-unknown"),
            Self::Throttled => (503, "throttled"),
            Self::Unavailable => (503, "unavailable"),
        }
    }

    /// Whether the client is just not logged in: the token or its session is invalid, and the service works as intended.
    pub fn is_not_logged_in(self) -> bool {
        self.status() == 401
    }
}

/// An engine's error, as far as HTTP needs it.
pub trait EngineError: Error + Send + Sync + Sized + 'static {
    /// The kind of the error.
    fn kind(&self) -> ErrorKind;

    /// The error for a call on a session whose response has left.
    fn closed() -> Self;

    /// Further members of the problem document. None of them may contain a token, a key, a session id or a field value.
    fn members(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// The time until the token becomes valid, if it was refused because it is not valid yet.
    fn ahead(&self) -> Option<Duration> {
        None
    }

    /// The time to wait before a retry, if the store has stated one.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}
