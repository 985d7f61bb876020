//! Why a call did not do as asked; the cases of `policy.error` in `wit/`.

/// Names what is wrong with one setting or argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field or argument, by its WIT name.
    pub field: String,
    /// What is wrong with it. Never holds the value of a secret.
    pub reason: String,
}

impl Fault {
    /// Names a field and what is wrong with it.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Why a token is refused before any record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum TokenFault {
    TooLong,
    Malformed,
    HeaderRefused,
    UnknownKey,
    WrongMac,
    WrongIssuer,
    WrongAudience,
    NotYetValid,
}

/// Why a call did not do as asked. No text in it holds a token, a key, a session id or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum Error {
    Pending,
    Closed,
    Missing,
    Expired,
    Replaced,
    Reused,
    InvalidToken(TokenFault),
    InvalidCsrfToken,
    InvalidPolicy(Fault),
    InvalidKey(Fault),
    InvalidArgument(Fault),
    InvalidValue(Fault),
    LimitExceeded { limit: &'static str, maximum: u64 },
    Conflict(Vec<String>),
    Contended,
    TooManySessions,
    SubjectRequired,
    Draft,
    Unsupported(String),
    Throttled(u64),
    Full,
    Corrupt(String),
    OutcomeUnknown,
    Unavailable(String),
    Other(String),
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Self::InvalidToken(fault)
    }
}
