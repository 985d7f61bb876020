//! The JSON API under `/v1`, the answers to proxies at `/auth`, and their description at `/openapi.json`.
//!
//! Thin over the engine, and without a word of connections, runtimes or files: a Worker serves the same.

mod answer;
mod auth;
mod credentials;
mod fields;
mod members;
mod openapi;
mod service_key;
mod session;
mod subjects;
mod told;
mod transports;
mod verify;
mod view;

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, map_response};
use axum::routing::{any, delete, get, post};
use http::{HeaderName, HeaderValue, header};

use crate::auth::{Authorizer, Preflight};
use crate::carrier::Carrier;
use crate::engine::Engine;
use crate::problem::Problem;

pub use fields::{InvalidField, read_field, write_field};
pub use members::{MAXIMUM_BODY_BYTES, Members};
pub use service_key::{MINIMUM_SERVICE_KEY_BYTES, ServiceKey, WeakServiceKey};
pub use told::{check_field, check_headers, parse_header};
pub use transports::{check_transports, parse_transport};

/// Work that need not be waited for.
pub type Later = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The service over an engine. [`Api::router`] serves it.
pub struct Api<E> {
    engine: E,
    key: ServiceKey,
    /// Where a session's token may stand, in this order.
    carriers: Vec<Carrier>,
    authorizer: Authorizer<E>,
    /// Fields that only the service key writes.
    protected: HashSet<String>,
    later: Box<dyn Fn(Later) + Send + Sync>,
}

impl<E> fmt::Debug for Api<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl<E: Engine> Api<E> {
    /// Over an engine. `told`: the fields that proxies are told at `/auth`, each with its header. `later` is handed what a
    /// request has left to do once it is answered: it is to be run to its end, and not waited for.
    ///
    /// A token is taken from `Authorization: Bearer`, or else from the cookies `__Host-tessera` and `tessera`: the first
    /// cannot be planted by a sibling domain (RFC 6265bis, section 4.1.3.2). No cookie is set under `/v1`.
    pub fn new(
        engine: E,
        key: ServiceKey,
        told: Vec<(String, HeaderName)>,
        later: impl Fn(Later) + Send + Sync + 'static,
    ) -> Self {
        let carriers = transports::standard();
        let protected = told.iter().map(|(field, _)| field.clone()).collect();
        Self {
            authorizer: Authorizer::new(engine.clone(), carriers.clone(), told),
            protected,
            engine,
            key,
            carriers,
            later: Box::new(later),
        }
    }

    /// Lets only the service key write these fields, as it does those that proxies are told: a client who holds a token
    /// changes all others with `PATCH /v1/session`.
    #[must_use]
    pub fn protect(mut self, fields: impl IntoIterator<Item = String>) -> Self {
        self.protected.extend(fields);
        self
    }

    /// Takes a token from the first of these that brings one of ours; none at all is as if it had not been called.
    /// [`check_transports`] says whether they are fit.
    #[must_use]
    pub fn transports(mut self, transports: Vec<Carrier>) -> Self {
        if !transports.is_empty() {
            self.authorizer = self.authorizer.carriers(transports.clone());
            self.carriers = transports;
        }
        self
    }

    /// The same for `/auth` alone.
    #[must_use]
    pub fn auth_transports(mut self, transports: Vec<Carrier>) -> Self {
        if !transports.is_empty() {
            self.authorizer = self.authorizer.carriers(transports);
        }
        self
    }

    /// What `/auth` answers to `OPTIONS`.
    #[must_use]
    pub fn auth_options(mut self, options: Preflight) -> Self {
        self.authorizer = self.authorizer.options(options);
        self
    }

    /// The names of the cookies in which a token is taken, some twice.
    pub fn cookies(&self) -> impl Iterator<Item = &str> {
        let all = self.carriers.iter().chain(self.authorizer.all_carriers());
        all.filter_map(|carrier| match carrier {
            Carrier::Cookie(cookie) => Some(cookie.name()),
            Carrier::Bearer | Carrier::Header(_) => None,
        })
    }

    /// Every route, and those of the host's own beside them. What is at no route is answered by a problem as well, and nothing
    /// that is answered may be kept.
    pub fn router(self: Arc<Self>, beside: Router) -> Router {
        let v1 = Router::new()
            .route(
                "/sessions",
                post(session::create::<E>)
                    .get(subjects::list_named::<E>)
                    .delete(subjects::revoke_named::<E>),
            )
            .route(
                "/session",
                get(session::read::<E>)
                    .patch(session::change::<E>)
                    .delete(session::destroy::<E>),
            )
            .route("/session/rotate", post(session::rotate::<E>))
            .route("/session/authenticate", post(session::authenticate::<E>))
            .route(
                "/subjects/{subject}/sessions",
                get(subjects::list::<E>).delete(subjects::revoke_all::<E>),
            )
            .route(
                "/subjects/{subject}/sessions/{reference}",
                delete(subjects::revoke::<E>),
            )
            .route("/verify", post(verify::verify::<E>));
        Router::new()
            .nest("/v1", v1)
            .route("/auth", any(auth::auth::<E>))
            .route("/auth/", any(auth::auth::<E>))
            .route("/auth/{*path}", any(auth::auth::<E>))
            .route_layer(from_fn(credentials::refuse_second_cookie_header))
            .route("/openapi.json", get(openapi::document))
            .with_state(self)
            .merge(beside)
            .fallback(async || Problem::new(404, "not-found", "there is nothing at this path"))
            .method_not_allowed_fallback(async || {
                Problem::new(405, "method-not-allowed", "this path does not take this method")
            })
            .layer(map_response(
                async |mut response: http::Response<axum::body::Body>| {
                    // What is answered is for the caller alone, and old at once.
                    let no_store = HeaderValue::from_static("no-store");
                    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
                    response
                },
            ))
    }
}
