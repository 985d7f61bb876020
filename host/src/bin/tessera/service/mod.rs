//! The JSON API under `/v1`: thin over the library, and without a word of connections, flags or files.

mod auth;
mod body;
mod credentials;
mod fields;
mod health;
mod problem;
mod session;
mod subjects;
mod touches;
mod verify;
mod view;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::Response;
use axum::routing::{any, delete, get, post};
use tessera::Sessions;
use tessera::http::Authorizer;
use tessera::store::AnyStore;

use crate::secrets::ServiceKey;
pub(crate) use auth::parse_header;
use problem::Problem;
use touches::Touches;

/// A request's body.
const MAXIMUM_BODY_BYTES: usize = 1 << 20;

/// What the handlers share.
pub(crate) struct Service {
    sessions: Sessions,
    store: AnyStore,
    key: ServiceKey,
    authorizer: Authorizer,
    touches: Touches,
}

impl Service {
    /// `told`: the fields that proxies are told, each with its header.
    pub(crate) fn new(
        sessions: Sessions,
        store: AnyStore,
        key: ServiceKey,
        told: Vec<(String, HeaderName)>,
    ) -> Self {
        Self {
            authorizer: auth::authorizer(sessions.clone(), told),
            sessions,
            store,
            key,
            touches: Touches::default(),
        }
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// Waits for the touches that run after their responses.
    pub(crate) async fn finish_touches(&self) {
        self.touches.finish().await;
    }
}

/// Every route of the service, and those of the demonstration, if there are any.
pub(crate) fn router(service: &Arc<Service>, demo: Router) -> Router {
    let api = Router::new()
        .route("/sessions", post(session::create))
        .route(
            "/session",
            get(session::read).patch(session::change).delete(session::destroy),
        )
        .route("/session/rotate", post(session::rotate))
        .route("/session/authenticate", post(session::authenticate))
        .route(
            "/subjects/{subject}/sessions",
            get(subjects::list).delete(subjects::revoke_all),
        )
        .route(
            "/subjects/{subject}/sessions/{reference}",
            delete(subjects::revoke),
        )
        .route("/verify", post(verify::verify));
    Router::new()
        .nest("/v1", api)
        .route("/auth", any(auth::auth))
        .route("/auth/", any(auth::auth))
        .route("/auth/{*path}", any(auth::auth))
        .route("/healthz", get(health::health))
        .merge(demo.with_state(()))
        .fallback(async || Problem::new(404, "not-found", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(405, "method-not-allowed", "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(MAXIMUM_BODY_BYTES))
        .layer(map_response(forbid_storing))
        .layer(from_fn(log))
        .with_state(Arc::clone(service))
}

/// What is answered is for the caller alone, and old at once.
async fn forbid_storing(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One line a request. Only the route's pattern: a path or a query may hold what no log should.
async fn log(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let response = next.run(request).await;
    let path = path.as_ref().map_or("unknown path", MatchedPath::as_str);
    tracing::debug!(%method, path, status = response.status().as_u16(), time = ?started.elapsed(), "request");
    response
}
