//! Tessera's sessions over HTTP: token transports, the session cookie, a tower layer, extractors for axum, and a layer
//! against cross-site request forgery.
//!
//! The crate is generic over a small trait, [`Engine`], and needs neither wasmtime nor, but for the feature `websocket`, an
//! async runtime.
//! For Rust services, `tessera` with the feature `http` implements the trait and provides the concrete types:
//!
//! ```ignore
//! let app = Router::new().route("/", get(home)).layer(SessionLayer::new(sessions));
//! async fn home(session: Session) -> Result<String, SessionError> {
//!     Ok(format!("{:?}", session.get::<String>("role")?))
//! }
//! ```

#[cfg(feature = "api")]
pub mod api;
mod auth;
mod body;
mod candidates;
#[cfg(feature = "connections")]
pub mod connections;
mod cookie;
mod csrf;
#[cfg(feature = "demo")]
pub mod demo;
mod engine;
mod error;
mod extract;
mod form;
mod layer;
mod lazy;
mod login;
mod nest;
mod origin;
mod problem;
mod session;
mod transport;

pub use auth::{Authorizer, ENVOY_REMOVE_HEADER, ID_HEADER, MAXIMUM_VALUE_BYTES, Preflight, SUBJECT_HEADER};
pub use body::BodyTimeout;
pub use cookie::{Cookie, CookieBuilder, CookieError, Lifetime, MAXIMUM_COOKIE_BYTES, SameSite};
pub use csrf::{CSRF_FIELD, CSRF_HEADER, CsrfLayer, CsrfService, DEFAULT_FORM_BYTES};
pub use engine::{Engine, EngineSession, Limits};
pub use error::{EngineError, ErrorKind};
pub use extract::{LoggedIn, Rejection};
pub use layer::{SessionLayer, SessionService};
pub use login::{RETURN_PARAMETER, ReturnTo, own_path};
pub use origin::OriginError;
pub use problem::{Problem, chain};
pub use session::{Session, TokenState};
pub use tessera_contract::{
    Change, Claims, ConvertError, Details, Grant, KeepFields, PageRequest, SessionPage, SessionSummary,
    Status, Timestamp, Value,
};
pub use transport::{TOKEN_HEADER, TokenTransport};
