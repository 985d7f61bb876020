//! The error of a call; `error` in `wit/policy.wit`.

use core::fmt;

use tessera_contract::form::Unfit;

use crate::json::decimal;

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum Kind {
    Pending,
    Missing,
    Expired,
    Replaced,
    Reused,
    TokenTooLong,
    TokenMalformed,
    TokenHeaderRefused,
    TokenKeyUnknown,
    TokenMacWrong,
    TokenIssuerWrong,
    TokenAudienceWrong,
    TokenNotYetValid,
    InvalidCsrfToken,
    InvalidPolicy,
    InvalidKey,
    InvalidArgument,
    InvalidValue,
    LimitExceeded,
    Conflict,
    Contended,
    TooManySessions,
    SubjectRequired,
    Draft,
    Unsupported,
    Throttled,
    Full,
    Corrupt,
    OutcomeUnknown,
    Unavailable,
    Other,
}

/// The optional parts of an error.
#[derive(Clone, Default, PartialEq, Eq)]
struct Detail {
    about: String,
    reason: String,
    number: u64,
}

/// An error of one kind. No text in it contains a token, a key, a session id or a value.
///
/// Small, because every call returns a result with it: the parts that most kinds lack are boxed.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    detail: Option<Box<Detail>>,
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self { kind, detail: None }
    }
}

impl From<Unfit> for Error {
    #[cold]
    fn from(unfit: Unfit) -> Self {
        Self::of_field("", unfit)
    }
}

impl Error {
    /// The error of an invalid change of a field. The empty name stands for the changes as a whole.
    #[cold]
    pub fn of_field(name: &str, unfit: Unfit) -> Self {
        match unfit {
            Unfit::Name(reason) => Self::about(Kind::InvalidArgument, "name", reason),
            Unfit::Value(reason) => {
                let about = if name.is_empty() { "changes" } else { name };
                Self::about(Kind::InvalidValue, about, &reason)
            }
            Unfit::Limit(limit, maximum) => Self::limit(limit, maximum),
        }
    }

    fn with(kind: Kind, detail: Detail) -> Self {
        Self {
            kind,
            detail: Some(Box::new(detail)),
        }
    }

    /// An error about a setting, argument, key or field, with a reason.
    #[cold]
    pub fn about(kind: Kind, about: &str, reason: &str) -> Self {
        Self::with(
            kind,
            Detail {
                about: about.to_owned(),
                reason: reason.to_owned(),
                number: 0,
            },
        )
    }

    /// An error with a reason for the operator.
    #[cold]
    pub fn because(kind: Kind, reason: impl Into<String>) -> Self {
        Self::with(
            kind,
            Detail {
                reason: reason.into(),
                ..Detail::default()
            },
        )
    }

    /// The error of an exceeded limit.
    #[cold]
    pub fn limit(limit: &str, maximum: impl Into<u64>) -> Self {
        let detail = Detail {
            about: limit.to_owned(),
            number: maximum.into(),
            ..Detail::default()
        };
        Self::with(Kind::LimitExceeded, detail)
    }

    /// The error of a rate-limited store, with the milliseconds after which to retry.
    #[cold]
    pub fn throttled(pause_ms: u64) -> Self {
        Self::with(
            Kind::Throttled,
            Detail {
                number: pause_ms,
                ..Detail::default()
            },
        )
    }

    /// The error of a token that becomes valid in this many milliseconds.
    #[cold]
    pub fn not_yet_valid(ahead_ms: u64) -> Self {
        Self::with(
            Kind::TokenNotYetValid,
            Detail {
                number: ahead_ms,
                ..Detail::default()
            },
        )
    }

    /// The error of concurrent changes of these fields.
    ///
    /// The names are listed one a line, because a name contains no control characters.
    #[cold]
    pub fn conflict(fields: &[String]) -> Self {
        Self::with(
            Kind::Conflict,
            Detail {
                about: fields.join("\n"),
                ..Detail::default()
            },
        )
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the error is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// Returns the members of `error` in `wit/policy.wit`: kind, about, reason and number. Absent ones are empty or 0.
    pub fn into_parts(self) -> (Kind, String, String, u64) {
        let Detail {
            about,
            reason,
            number,
        } = self.detail.map_or_else(Detail::default, |detail| *detail);
        (self.kind, about, reason, number)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match &self.detail {
            Some(detail) => write!(f, "({}: {}, {})", detail.about, detail.reason, detail.number),
            None => Ok(()),
        }
    }
}

/// Concatenates a text, a number and a text.
pub fn phrase(before: &str, number: u64, after: &str) -> String {
    [before, &decimal(number), after].concat()
}
