//! The routes of connections.

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler as _;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};

use super::client::{is_stream, stream};
use super::hub::{Hub, StreamClient};
use super::sockets::{Sockets, list_or_socket};
use super::{poll, service};
use crate::api::{Answer, Api, refuse_second_cookie_header};
use crate::engine::Engine;

/// The routes of connections, beside those of [`Api::router`](crate::api::Api::router). This crate serves the streams.
pub fn router<E: Engine, H: Hub<E, Client: StreamClient>>(api: Arc<Api<E>>, hub: Arc<H>) -> Router {
    with(get(list_or_stream::<E, H>), api, hub)
}

/// The same for a host that serves the WebSockets itself. There are no server-sent events.
pub fn socket_router<E: Engine, H: Sockets<E>>(api: Arc<Api<E>>, hub: Arc<H>) -> Router {
    with(get(list_or_socket::<E, H>), api, hub)
}

fn with<E: Engine, H: Hub<E>>(
    connections: MethodRouter<Arc<Api<E>>>,
    api: Arc<Api<E>>,
    hub: Arc<H>,
) -> Router {
    Router::new()
        .route("/v1/connections", connections.post(poll::register::<E, H>))
        .route(
            "/v1/connections/{connection}",
            get(service::get::<E, H>).delete(service::close::<E, H>),
        )
        .route(
            "/v1/connections/{connection}/messages",
            get(poll::poll::<E, H>).post(service::send::<E, H>),
        )
        .route(
            "/v1/sessions/{public_id}/connections",
            get(service::of_session::<E, H>),
        )
        .route(
            "/v1/sessions/{public_id}/messages",
            post(service::send_to_session::<E, H>),
        )
        .route(
            "/v1/subjects/{subject}/connections",
            get(service::of_subject::<E, H>),
        )
        .route(
            "/v1/subjects/{subject}/messages",
            post(service::send_to_subject::<E, H>),
        )
        .route("/v1/messages", post(service::send_to_all::<E, H>))
        .route_layer(from_fn(refuse_second_cookie_header))
        .layer(Extension(hub))
        .with_state(api)
}

/// `GET /v1/connections`: a stream for a client that accepts one, or shakes hands for a WebSocket; otherwise a list for a service.
async fn list_or_stream<E: Engine, H: Hub<E, Client: StreamClient>>(
    axum::extract::State(api): axum::extract::State<Arc<Api<E>>>,
    Extension(hub): Extension<Arc<H>>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    #[cfg(feature = "websocket")]
    if super::handshake::is_handshake(&parts) {
        return super::websocket::websocket(&api, &hub, parts).await;
    }
    if is_stream(&parts) {
        return stream(axum::extract::State(api), Extension(hub), parts).await;
    }
    let request = Request::from_parts(parts, body);
    Ok(service::list::<E, H>.call(request, api).await)
}
