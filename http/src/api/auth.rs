//! `/auth`, for proxies that check whether a request is logged in.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method};

use super::Api;
use crate::engine::Engine;

/// `ANY /auth`, and any path below it, because some proxies append the path of the request.
pub(super) async fn auth<E: Engine>(
    State(api): State<Arc<Api<E>>>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    api.authorizer.answer(&method, &headers).await
}
