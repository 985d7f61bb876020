//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, map_response};
use axum::routing::{any, delete, get, post};
use http::{HeaderValue, header};

use super::service::Api;
use super::{auth, credentials, openapi, session, subjects, verify};
use crate::engine::Engine;
use crate::problem::Problem;

impl<E: Engine> Api<E> {
    /// All routes, together with the host's own routes in `beside`.
    /// A request without a route is answered with a problem as well, and no response may be cached.
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
                "/subjects/{subject}/sessions/{public_id}",
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
            .fallback(async || Problem::new(404, "not-found", "unknown path"))
            .method_not_allowed_fallback(async || {
                Problem::new(
                    405,
                    "method-not-allowed",
                    "this path does not support this method",
                )
            })
            .layer(map_response(
                async |mut response: http::Response<axum::body::Body>| {
                    // A response is for its client alone, and outdated at once.
                    let no_store = HeaderValue::from_static("no-store");
                    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
                    response
                },
            ))
    }
}
