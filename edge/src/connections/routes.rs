//! The routes of connections.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use tessera_http::Problem;
use tessera_http::api::Api;
use tessera_http::connections::socket_router;
use worker::Env;

use super::{ConnectionsError, connections_of};
use crate::config::ConfigError;
use crate::engine::EdgeEngine;

/// The paths of `tessera_http::connections`.
const PATHS: [&str; 7] = [
    "/v1/connections",
    "/v1/connections/{*rest}",
    "/v1/messages",
    "/v1/sessions/{public_id}/connections",
    "/v1/sessions/{public_id}/messages",
    "/v1/subjects/{subject}/connections",
    "/v1/subjects/{subject}/messages",
];

/// Returns the routes; if the Worker has no connections, all are answered with that.
pub(crate) fn routes(env: &Env, api: &Arc<Api<EdgeEngine>>) -> Result<Router, ConfigError> {
    match connections_of(env) {
        Ok(connections) => Ok(socket_router(Arc::clone(api), Arc::new(connections))),
        Err(ConnectionsError::Configuration(error)) => Err(error),
        Err(_) => {
            let routes = PATHS.into_iter();
            Ok(routes.fold(Router::new(), |router, path| router.route(path, any(unsupported))))
        }
    }
}

async fn unsupported() -> Problem {
    let detail =
        "connections need Durable Objects: the binding TESSERA_CONNECTIONS, and a store other than kv";
    Problem::new(501, "unsupported", detail)
}
