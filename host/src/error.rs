//! Why a call did not do as asked.

use std::fmt;
use std::time::Duration;

use crate::bindings::wit;
use crate::store::StoreError;
use tessera_contract::form::Unfit;
use tessera_contract::state::StateError;

/// A failure of the WebAssembly runtime: a trap, no memory, or a component that it does not accept.
#[derive(Debug)]
pub struct RuntimeError(wasmtime::Error);

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for RuntimeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<wasmtime::Error> for RuntimeError {
    fn from(error: wasmtime::Error) -> Self {
        Self(error)
    }
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The embedded machine code does not fit this processor, and Cranelift is not built in to compile it anew.
    #[error("the embedded component was compiled for another processor; build with the feature `compile`")]
    Refused(#[source] RuntimeError),
    /// It is no component, or not one that exports the engine and imports only what this host has.
    #[error("this is not a session component of this version")]
    Unfit(#[source] RuntimeError),
    /// wasmtime does not run here.
    #[error("wasmtime cannot be set up")]
    Runtime(#[source] RuntimeError),
}

/// Why a token is refused before any record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// Longer than the policy's `maximum_token_bytes`.
    #[error("it is longer than the policy allows")]
    TooLong,
    /// Not of the form the policy asks for, or its encoding is not canonical.
    #[error("it is malformed")]
    Malformed,
    /// A JWT whose `alg`, `typ` or other header is not the one accepted.
    #[error("its header is not the one accepted")]
    HeaderRefused,
    /// Signed with a key that is not in the ring.
    #[error("it was signed with a key that is not in the ring")]
    UnknownKey,
    /// The mac does not fit: forged, damaged, or made for another issuer or audience.
    #[error("its mac does not fit")]
    WrongMac,
    /// A JWT whose `iss` is another.
    #[error("it has another issuer")]
    WrongIssuer,
    /// A JWT whose `aud` is another.
    #[error("it is for another audience")]
    WrongAudience,
    /// Issued, or valid from, further in the future than the policy's `clock_skew`.
    #[error("it becomes valid in {ahead:?}")]
    NotYetValid {
        /// How far in the future it is by this host's clock. More than the clocks of hosts differ by means that it was made elsewhere.
        ahead: Duration,
    },
}

/// Why a call on a session did not do as asked.
///
/// No variant carries a token, a key, a session id or a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Another call on this session is not finished.
    #[error("another call on this session is not finished")]
    Busy,
    /// The handle's session was destroyed, or was found ended.
    #[error("the session is closed")]
    Closed,
    /// There is no such session: it never was, was logged out or revoked, or has been idle for too long.
    #[error("there is no such session")]
    Missing,
    /// The token or session is past its absolute end, or older than the caller allows.
    #[error("the session or token has expired")]
    Expired,
    /// The token was replaced at a login or change of privilege, or is otherwise out of date.
    #[error("the token was replaced by a later login")]
    Replaced,
    /// The token was replaced by a renewal long ago: somebody may have stolen it.
    #[error("a token was used that had been renewed long before")]
    Reused,
    /// The token is not one of ours, or not for us.
    #[error("the token is refused: {0}")]
    InvalidToken(TokenFault),
    /// The token against cross-site request forgery is not this session's.
    #[error("the CSRF token is refused")]
    InvalidCsrfToken,
    /// A field name, subject or other argument is unfit.
    #[error("{argument} {reason}")]
    InvalidArgument {
        /// Which one.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A field's value is unfit.
    #[error("the value is unfit: {reason}")]
    InvalidValue {
        /// What is wrong with it.
        reason: String,
    },
    /// A limit was passed; nothing was changed.
    #[error("{limit} is at most {maximum}")]
    LimitExceeded {
        /// The limit, by its name in the policy (as in WIT).
        limit: String,
        /// The most that is allowed.
        maximum: u64,
    },
    /// These fields were changed by someone else meanwhile; nothing was written.
    #[error("others have changed the same fields: {}", .0.join(", "))]
    Conflict(Vec<String>),
    /// Others wrote first, eight times in a row; nothing was written.
    #[error("too many others write the same session at once")]
    Contended,
    /// The subject has as many sessions as the policy allows.
    #[error("the subject has as many sessions as allowed")]
    TooManySessions,
    /// A JWT needs a subject: authenticate the session first.
    #[error("a JWT needs a subject: authenticate the session first")]
    SubjectRequired,
    /// The session is a draft that was never saved.
    #[error("the session was never saved")]
    Draft,
    /// A value of another type is stored than was asked for, or a value cannot be stored.
    #[error("the value does not convert")]
    Convert(#[source] tessera_contract::ConvertError),
    /// The store does not offer what the call needs.
    #[error("the store does not offer {what}")]
    Unsupported {
        /// What it does not offer.
        what: String,
    },
    /// The store asks to be left alone for so long; nothing was written.
    #[error("the store asks to be left alone for {0:?}")]
    Throttled(Duration),
    /// The store has no room; nothing was written.
    #[error("the store is full")]
    Full,
    /// The stored record cannot be read.
    #[error("the stored record cannot be read: {reason}")]
    Corrupt {
        /// What is wrong with it.
        reason: String,
    },
    /// A write was asked and how it ended is not known.
    #[error("a write was asked and how it ended is not known")]
    OutcomeUnknown {
        /// What the store said last.
        #[source]
        source: Option<StoreError>,
    },
    /// The store cannot be reached; nothing was written.
    #[error("the store cannot be reached")]
    Unavailable {
        /// What the store said.
        #[source]
        source: Option<StoreError>,
    },
    /// The engine has failed, twice in a row; nothing was written.
    #[error("the engine's instance was lost")]
    InstanceLost {
        /// What happened to it.
        #[source]
        source: Option<RuntimeError>,
    },
    /// Anything else.
    #[error("{reason}")]
    Other {
        /// What happened.
        reason: String,
        /// What the store said last.
        #[source]
        source: Option<StoreError>,
    },
}

impl From<StateError> for SessionError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Busy => Self::Busy,
            StateError::Closed => Self::Closed,
            StateError::Draft => Self::Draft,
            StateError::Unfit(Unfit::Name(reason)) => Self::InvalidArgument {
                argument: "name".into(),
                reason: reason.into(),
            },
            StateError::Unfit(Unfit::Value(reason)) => Self::InvalidValue {
                reason: reason.into(),
            },
            StateError::Unfit(Unfit::Limit(limit, maximum)) => Self::LimitExceeded {
                limit: limit.into(),
                maximum: maximum.into(),
            },
            StateError::Corrupt => Self::Corrupt {
                reason: "a field's value is in no known form".into(),
            },
        }
    }
}

impl SessionError {
    /// Whether the client simply is not logged in: its token or session is no good, and nothing is out of order.
    ///
    /// An outage is never that: [`SessionError::is_outage`].
    pub fn is_not_logged_in(&self) -> bool {
        use SessionError as E;
        matches!(
            self,
            E::Missing | E::Expired | E::Replaced | E::Reused | E::InvalidToken(_) | E::Closed
        )
    }

    /// Whether something failed that may work again later: the store, or the engine.
    pub fn is_outage(&self) -> bool {
        use SessionError as E;
        matches!(
            self,
            E::Unavailable { .. }
                | E::OutcomeUnknown { .. }
                | E::Throttled(_)
                | E::Full
                | E::InstanceLost { .. }
                | E::Contended
                | E::Busy
        )
    }

    pub(crate) fn from_engine(error: wit::Error, store: Option<&StoreError>) -> Self {
        use wit::ErrorKind as Kind;
        let wit::Error {
            kind,
            about,
            reason,
            number,
        } = error;
        let source = store.cloned();
        match kind {
            // The driver takes the first for itself, and the engine never answers the second.
            Kind::Pending | Kind::Busy => Self::Busy,
            Kind::Closed => Self::Closed,
            Kind::Missing => Self::Missing,
            Kind::Expired => Self::Expired,
            Kind::Replaced => Self::Replaced,
            Kind::Reused => Self::Reused,
            Kind::TokenTooLong => Self::InvalidToken(TokenFault::TooLong),
            Kind::TokenMalformed => Self::InvalidToken(TokenFault::Malformed),
            Kind::TokenHeaderRefused => Self::InvalidToken(TokenFault::HeaderRefused),
            Kind::TokenKeyUnknown => Self::InvalidToken(TokenFault::UnknownKey),
            Kind::TokenMacWrong => Self::InvalidToken(TokenFault::WrongMac),
            Kind::TokenIssuerWrong => Self::InvalidToken(TokenFault::WrongIssuer),
            Kind::TokenAudienceWrong => Self::InvalidToken(TokenFault::WrongAudience),
            Kind::TokenNotYetValid => Self::InvalidToken(TokenFault::NotYetValid {
                ahead: Duration::from_millis(number),
            }),
            Kind::InvalidCsrfToken => Self::InvalidCsrfToken,
            Kind::InvalidPolicy | Kind::InvalidKey | Kind::InvalidArgument => Self::InvalidArgument {
                argument: about,
                reason,
            },
            Kind::InvalidValue => Self::InvalidValue { reason },
            Kind::LimitExceeded => Self::LimitExceeded {
                limit: about,
                maximum: number,
            },
            Kind::Conflict => Self::Conflict(about.split('\n').map(str::to_owned).collect()),
            Kind::Contended => Self::Contended,
            Kind::TooManySessions => Self::TooManySessions,
            Kind::SubjectRequired => Self::SubjectRequired,
            Kind::Draft => Self::Draft,
            Kind::Unsupported => Self::Unsupported { what: reason },
            Kind::Throttled => Self::Throttled(Duration::from_millis(number)),
            Kind::Full => Self::Full,
            Kind::Corrupt => Self::Corrupt { reason },
            Kind::OutcomeUnknown => Self::OutcomeUnknown { source },
            Kind::Unavailable => Self::Unavailable { source },
            Kind::Other => Self::Other { reason, source },
        }
    }
}

/// Why sessions cannot be configured as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// The policy makes no sense, or the store cannot honour it.
    #[error("policy: {field} {reason}")]
    InvalidPolicy {
        /// The field, by its name in WIT.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A signing key is unfit, or there is none.
    #[error("keys: {key} {reason}")]
    InvalidKey {
        /// Which one, by its place in the ring.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The component cannot be used.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The component cannot be instantiated.
    #[error("the component cannot be instantiated")]
    Instantiate(#[source] RuntimeError),
    /// The engine failed otherwise.
    #[error("the engine cannot be configured")]
    Engine(#[source] SessionError),
}

impl ConfigurationError {
    pub(crate) fn refused(error: wit::Error) -> Self {
        match error.kind {
            wit::ErrorKind::InvalidPolicy => Self::InvalidPolicy {
                field: error.about,
                reason: error.reason,
            },
            wit::ErrorKind::InvalidKey => Self::InvalidKey {
                key: error.about,
                reason: error.reason,
            },
            _ => Self::Engine(SessionError::from_engine(error, None)),
        }
    }
}
