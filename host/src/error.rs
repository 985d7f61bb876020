//! The errors of this crate.

use std::fmt;
use std::time::Duration;

use crate::bindings::wit;
use crate::store::StoreError;
use tessera_contract::form::Unfit;
use tessera_contract::state::StateError;

/// A failure of the WebAssembly runtime: a trap, lack of memory, or a component that it refuses.
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
    /// The embedded machine code cannot be loaded: the system forbids executable memory, or the processor lacks instructions
    /// that the code needs. In the second case the feature `compile`, which builds Cranelift in, recompiles it.
    #[error(
        "the embedded machine code cannot be loaded: the system forbids executable memory, \
         or the code is for another processor and the feature `compile` is not enabled"
    )]
    Refused(#[source] RuntimeError),
    /// The bytes are not a component, or their exports and imports are not those of `wit/`.
    #[error("this is not a session component of this version")]
    Unfit(#[source] RuntimeError),
    /// wasmtime cannot run on this machine.
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
    /// Not in the format of the policy, or its encoding is not canonical.
    #[error("it is malformed")]
    Malformed,
    /// A JWT with another `alg`, `typ` or other header parameter than the engine accepts.
    #[error("its header is not accepted")]
    HeaderRefused,
    /// Signed with a key that is not in the ring.
    #[error("it was signed with a key that is not in the ring")]
    UnknownKey,
    /// The MAC does not match: the token is forged, damaged, or for another issuer or audience.
    #[error("its signature does not match")]
    WrongMac,
    /// A JWT with another `iss`.
    #[error("it has another issuer")]
    WrongIssuer,
    /// A JWT with another `aud`.
    #[error("it is for another audience")]
    WrongAudience,
    /// Issued, or valid from, further in the future than the policy's `clock_skew`.
    #[error("it becomes valid in {ahead:?}")]
    NotYetValid {
        /// How far in the future the token becomes valid, by this host's clock.
        /// More than the hosts' clocks differ by means that another host with a wrong clock, or another system, issued it.
        ahead: Duration,
    },
}

/// Why a call on a session failed.
///
/// No variant contains a token, a key, a session id or a field's value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Another call on this session is in progress.
    #[error("another call on this session is not finished")]
    Busy,
    /// The session was destroyed, or an earlier call found it ended.
    #[error("the session is closed")]
    Closed,
    /// There is no such session: it never existed, was logged out or revoked, or its idle timeout has passed.
    #[error("there is no such session")]
    Missing,
    /// The session or token is past its absolute expiry, or the token is older than the caller allows.
    #[error("the session or token has expired")]
    Expired,
    /// The token was replaced by a login or a step-up, or is otherwise out of date.
    #[error("the token was replaced by a later login")]
    Replaced,
    /// The token was renewed, and its grace period has passed: it may be stolen.
    #[error("a token was reused long after its renewal")]
    Reused,
    /// The token is not a valid token of this issuer and audience.
    #[error("the token is refused: {0}")]
    InvalidToken(TokenFault),
    /// The CSRF token does not belong to this session.
    #[error("the CSRF token is refused")]
    InvalidCsrfToken,
    /// A field name, subject or other argument is invalid.
    #[error("{argument} {reason}")]
    InvalidArgument {
        /// The name of the argument.
        argument: String,
        /// Why it is invalid, as a verb phrase: `must be …`.
        reason: String,
    },
    /// A field's value is invalid.
    #[error("invalid value: {reason}")]
    InvalidValue {
        /// Why it is invalid.
        reason: String,
    },
    /// A limit was exceeded; nothing was changed.
    #[error("{limit} is at most {maximum}")]
    LimitExceeded {
        /// The limit, by the name of its policy field in WIT, such as `maximum-fields`.
        limit: String,
        /// The maximum that the policy allows.
        maximum: u64,
    },
    /// Concurrent writers changed these fields; nothing was written. Only with [`FieldRule::Conflict`](crate::FieldRule).
    #[error("others have changed the same fields: {}", .0.join(", "))]
    Conflict(Vec<String>),
    /// Concurrent writers won in every attempt (at most eight), or the queue of writers was full or took over two seconds;
    /// nothing was written.
    #[error("too many concurrent writes to the same session")]
    Contended,
    /// The subject has as many sessions as the policy allows, and the policy refuses another.
    #[error("the subject has as many sessions as allowed")]
    TooManySessions,
    /// A JWT needs a subject: authenticate the session first.
    #[error("a JWT needs a subject: authenticate the session first")]
    SubjectRequired,
    /// The session is a draft that was never saved.
    #[error("the session was never saved")]
    Draft,
    /// The stored value does not convert to the requested type, or a value cannot be serialised.
    #[error("the value does not convert")]
    Convert(#[source] tessera_contract::ConvertError),
    /// The store does not support an operation that the call needs.
    #[error("the store does not support {what}")]
    Unsupported {
        /// The missing operation or guarantee.
        what: String,
    },
    /// The store limits the rate of calls, and may be called again after this time; nothing was written.
    #[error("rate limited; retry after {0:?}")]
    Throttled(Duration),
    /// The store has no free space; nothing was written.
    #[error("the store is full")]
    Full,
    /// The stored record cannot be read.
    #[error("the stored record cannot be read: {reason}")]
    Corrupt {
        /// The defect of the record.
        reason: String,
    },
    /// The outcome of a write is unknown: it may or may not be stored.
    #[error("a write was sent and its outcome is unknown")]
    OutcomeUnknown {
        /// The last error of the store.
        #[source]
        source: Option<StoreError>,
    },
    /// The store cannot be reached; nothing was written.
    #[error("the store cannot be reached")]
    Unavailable {
        /// The error of the store.
        #[source]
        source: Option<StoreError>,
    },
    /// The engine's instance was lost, also on a second try if it trapped; nothing was written.
    #[error("the engine's instance was lost")]
    InstanceLost {
        /// The failure of the runtime.
        #[source]
        source: Option<RuntimeError>,
    },
    /// Any other failure.
    #[error("{reason}")]
    Other {
        /// A description of the failure.
        reason: String,
        /// The last error of the store.
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
                reason: "a field's value has an unknown form".into(),
            },
        }
    }
}

impl SessionError {
    /// Whether the client is not logged in: its token is invalid, or its session has ended.
    ///
    /// Never true for an outage; see [`SessionError::is_outage`].
    pub fn is_not_logged_in(&self) -> bool {
        use SessionError as E;
        matches!(
            self,
            E::Missing | E::Expired | E::Replaced | E::Reused | E::InvalidToken(_) | E::Closed
        )
    }

    /// Whether the failure is temporary, of the store or the engine: a later retry may succeed.
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
            // The driver handles `Pending` itself, and the engine never returns `Busy`.
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

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// The policy is invalid, or the store cannot honour it.
    #[error("policy: {field} {reason}")]
    InvalidPolicy {
        /// The field, by its name in WIT.
        field: String,
        /// Why it is invalid.
        reason: String,
    },
    /// A signing key is invalid, or there is none.
    #[error("keys: {key} {reason}")]
    InvalidKey {
        /// The key, by its position in the ring.
        key: String,
        /// Why it is invalid.
        reason: String,
    },
    /// The component cannot be used.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The component cannot be instantiated.
    #[error("the component cannot be instantiated")]
    Instantiate(#[source] RuntimeError),
    /// The engine failed with another error.
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
