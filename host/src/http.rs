//! Sessions over HTTP: the types of `tessera-http` for the engine of this crate.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tessera::http::{Session, SessionLayer};
//! use tessera::{SessionError, Sessions, store::MemoryStore};
//!
//! async fn home(session: Session) -> Result<String, SessionError> {
//!     let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
//!     session.set("visits", &visits)?;
//!     Ok(format!("{visits} visits"))
//! }
//!
//! # fn app() -> Result<Router, Box<dyn std::error::Error>> {
//! # let secret = [7; 32];
//! let sessions = Sessions::builder().signing_key("2026-11", secret).build(MemoryStore::new())?;
//! let app = Router::new().route("/", get(home)).layer(SessionLayer::new(sessions));
//! # Ok(app) }
//! ```

use std::time::Duration;

use axum_core::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tessera_http::{
    Change, Claims, Details, Engine, EngineSession, Grant, KeepFields, PageRequest, SessionPage, Timestamp,
    Value,
};

pub use tessera_http::{
    BodyTimeout, CSRF_FIELD, CSRF_HEADER, Cookie, CookieBuilder, CookieError, ENVOY_REMOVE_HEADER,
    EngineError, ErrorKind, ID_HEADER, Lifetime, Limits, OriginError, Preflight, Problem, RETURN_PARAMETER,
    ReturnTo, SUBJECT_HEADER, SameSite, TOKEN_HEADER, TokenState, TokenTransport, chain, own_path,
};

#[cfg(feature = "api")]
pub use tessera_http::api;
#[cfg(feature = "demo")]
pub use tessera_http::demo;

use crate::error::{SessionError, TokenFault};
use crate::sessions::Sessions;

/// The session of a request; see [`tessera_http::Session`].
pub type Session = tessera_http::Session<Sessions>;
/// A session with a subject; see [`tessera_http::LoggedIn`].
pub type LoggedIn = tessera_http::LoggedIn<Sessions>;
/// Provides every request with a session; see [`tessera_http::SessionLayer`].
pub type SessionLayer = tessera_http::SessionLayer<Sessions>;
/// Refuses forged requests; see [`tessera_http::CsrfLayer`].
pub type CsrfLayer = tessera_http::CsrfLayer<Sessions>;
/// Answers the authorisation requests of proxies; see [`tessera_http::Authorizer`].
pub type Authorizer = tessera_http::Authorizer<Sessions>;
/// Why an extractor refused a request; see [`tessera_http::Rejection`].
pub type Rejection = tessera_http::Rejection<SessionError>;

impl EngineError for SessionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy => ErrorKind::Busy,
            Self::Closed => ErrorKind::Closed,
            Self::Missing => ErrorKind::Missing,
            Self::Expired => ErrorKind::Expired,
            Self::Replaced => ErrorKind::Replaced,
            Self::Reused => ErrorKind::Reused,
            Self::InvalidToken(fault) => token_kind(*fault),
            Self::InvalidCsrfToken => ErrorKind::InvalidCsrfToken,
            Self::InvalidArgument { .. } => ErrorKind::InvalidArgument,
            Self::InvalidValue { .. } => ErrorKind::InvalidValue,
            Self::LimitExceeded { .. } => ErrorKind::LimitExceeded,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::Contended => ErrorKind::Contended,
            Self::TooManySessions => ErrorKind::TooManySessions,
            Self::SubjectRequired => ErrorKind::SubjectRequired,
            Self::Draft => ErrorKind::Draft,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Throttled(_) => ErrorKind::Throttled,
            Self::Full => ErrorKind::Full,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::OutcomeUnknown { .. } => ErrorKind::OutcomeUnknown,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::InstanceLost { .. } => ErrorKind::InstanceLost,
            // A handler that reads a field as another type than it wrote has a bug: the client is not at fault.
            Self::Convert(_) | Self::Other { .. } => ErrorKind::Other,
        }
    }

    fn closed() -> Self {
        Self::Closed
    }

    fn members(&self) -> Vec<(&'static str, Json)> {
        match self {
            Self::Conflict(fields) => vec![("fields", fields.clone().into())],
            Self::LimitExceeded { limit, maximum } => {
                vec![("limit", limit.as_str().into()), ("maximum", (*maximum).into())]
            }
            Self::InvalidArgument { argument, .. } => vec![("argument", argument.as_str().into())],
            _ => Vec::new(),
        }
    }

    fn ahead(&self) -> Option<Duration> {
        match self {
            Self::InvalidToken(TokenFault::NotYetValid { ahead }) => Some(*ahead),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled(pause) => Some(*pause),
            _ => None,
        }
    }
}

fn token_kind(fault: TokenFault) -> ErrorKind {
    match fault {
        TokenFault::TooLong => ErrorKind::TokenTooLong,
        TokenFault::Malformed => ErrorKind::TokenMalformed,
        TokenFault::HeaderRefused => ErrorKind::TokenHeaderRefused,
        TokenFault::UnknownKey => ErrorKind::TokenKeyUnknown,
        TokenFault::WrongMac => ErrorKind::TokenMacWrong,
        TokenFault::WrongIssuer => ErrorKind::TokenIssuerWrong,
        TokenFault::WrongAudience => ErrorKind::TokenAudienceWrong,
        TokenFault::NotYetValid { .. } => ErrorKind::TokenNotYetValid,
    }
}

/// Responds with `application/problem+json` (RFC 9457), so that a handler can return `Result<_, SessionError>`.
impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        Problem::of(&self).into_response()
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        Self::of(&error)
    }
}

impl Engine for Sessions {
    type Session = crate::Session;
    type Error = SessionError;

    fn is_same(&self, other: &Self) -> bool {
        self.is_clone_of(other)
    }

    fn now(&self) -> Timestamp {
        self.now()
    }

    fn limits(&self) -> Limits {
        let policy = self.policy();
        Limits {
            maximum_token_bytes: policy.maximum_token_bytes,
            maximum_name_bytes: policy.maximum_name_bytes,
            maximum_record_bytes: policy.maximum_record_bytes,
            maximum_fields: policy.maximum_fields,
        }
    }

    fn create(&self) -> crate::Session {
        self.create()
    }

    async fn open(&self, token: &str) -> Result<crate::Session, SessionError> {
        self.open(token).await
    }

    fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Claims, SessionError> {
        self.verify(token, max_age)
    }

    async fn list(&self, subject: &str, page: PageRequest<'_>) -> Result<SessionPage, SessionError> {
        self.list(subject, page).await
    }

    async fn revoke(&self, subject: &str, public_id: &str) -> Result<bool, SessionError> {
        self.revoke(subject, public_id).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<u64, SessionError> {
        self.revoke_all(subject).await
    }

    async fn revoke_others(&self, session: &crate::Session) -> Result<u64, SessionError> {
        self.revoke_others(session).await
    }
}

impl EngineSession for crate::Session {
    type Error = SessionError;

    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        self.get(name)
    }

    fn get_value(&self, name: &str) -> Result<Option<Value>, SessionError> {
        self.get_value(name)
    }

    fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), SessionError> {
        self.set(name, value)
    }

    fn update(&self, changes: Vec<Change>) -> Result<(), SessionError> {
        self.update(changes)
    }

    fn remove(&self, name: &str) -> Result<bool, SessionError> {
        self.remove(name)
    }

    fn clear(&self) -> Result<(), SessionError> {
        self.clear()
    }

    fn entries_json(&self) -> Result<String, SessionError> {
        self.entries_json()
    }

    fn details(&self) -> Result<Details, SessionError> {
        self.details()
    }

    async fn save(&self) -> Result<Grant, SessionError> {
        self.save().await
    }

    async fn rotate(&self) -> Result<Grant, SessionError> {
        self.rotate().await
    }

    async fn authenticate(&self, subject: &str, keep: &KeepFields) -> Result<Grant, SessionError> {
        self.authenticate_keeping(subject, keep).await
    }

    async fn reissue(&self) -> Result<Grant, SessionError> {
        self.reissue().await
    }

    async fn touch(&self) -> Result<bool, SessionError> {
        self.touch().await
    }

    async fn destroy(&self) -> Result<(), SessionError> {
        self.destroy().await
    }

    fn csrf_token(&self) -> Result<String, SessionError> {
        self.csrf_token()
    }

    fn check_csrf_token(&self, token: &str) -> Result<(), SessionError> {
        self.check_csrf_token(token)
    }
}
