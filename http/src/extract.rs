//! Extractors for handlers, and the responses to requests that lack the required session.

use std::fmt;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use crate::engine::Engine;
use crate::nest::Mount;
use crate::problem::Problem;
use crate::session::{Session, TokenState};

/// The reason why a handler did not receive its session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection<F: std::error::Error + 'static> {
    /// The request did not pass a [`SessionLayer`](crate::SessionLayer) with this engine type.
    #[error("no session layer: add `.layer(SessionLayer::new(sessions))` around this handler")]
    LayerMissing,
    /// Nobody is logged in.
    #[error("nobody is logged in")]
    NotLoggedIn {
        /// The state of the token that the request carried.
        token_state: TokenState,
        /// The login address, if the layer has a login path and a browser would show the response as a page.
        login: Option<HeaderValue>,
    },
    /// The session cannot be opened now: the store is unavailable, or the host has no capacity left.
    #[error("the session cannot be opened")]
    Engine(#[source] F),
}

impl<F: crate::EngineError> IntoResponse for Rejection<F> {
    fn into_response(self) -> Response {
        match self {
            Self::LayerMissing => {
                tracing::error!("{self}");
                Problem::new(500, "other", "the service failed; see its log").into_response()
            }
            Self::NotLoggedIn {
                login: Some(login), ..
            } => {
                let no_store = HeaderValue::from_static("no-store");
                (
                    StatusCode::SEE_OTHER,
                    [(header::LOCATION, login), (header::CACHE_CONTROL, no_store)],
                )
                    .into_response()
            }
            Self::NotLoggedIn { token_state, .. } => Problem::not_logged_in(token_state).into_response(),
            Self::Engine(error) => Problem::of(&error).into_response(),
        }
    }
}

fn mount<E: Engine>(parts: &Parts) -> Result<&Mount<E>, Rejection<E::Error>> {
    parts.extensions.get().ok_or(Rejection::LayerMissing)
}

async fn open<E: Engine>(parts: &Parts) -> Result<Session<E>, Rejection<E::Error>> {
    let open = mount::<E>(parts)?.slot.open(&parts.headers).await;
    Ok(Session::new(open.map_err(Rejection::Engine)?))
}

impl<S: Sync, E: Engine> FromRequestParts<S> for Session<E> {
    type Rejection = Rejection<E::Error>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        open(parts).await
    }
}

/// `None` if there is no live session.
impl<S: Sync, E: Engine> OptionalFromRequestParts<S> for Session<E> {
    type Rejection = Rejection<E::Error>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        let session = open::<E>(parts).await?;
        Ok((session.token_state() == TokenState::Live).then_some(session))
    }
}

/// A session with a subject.
///
/// A client that is not logged in receives 401. A browser that would show the response as a page is redirected to the
/// layer's login path, if there is one.
pub struct LoggedIn<E: Engine> {
    /// The session.
    pub session: Session<E>,
    /// The subject that is logged in.
    pub subject: String,
}

impl<E: Engine> fmt::Debug for LoggedIn<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl<S: Sync, E: Engine> FromRequestParts<S> for LoggedIn<E> {
    type Rejection = Rejection<E::Error>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let session = open::<E>(parts).await?;
        match session.subject().map_err(Rejection::Engine)? {
            Some(subject) => Ok(Self { session, subject }),
            None => {
                let (token_state, login) = (session.token_state(), mount::<E>(parts)?.login(parts));
                Err(Rejection::NotLoggedIn { token_state, login })
            }
        }
    }
}
