//! `GET /v1/connections` with `Accept: text/event-stream`: a client opens a stream of server-sent events, or continues one.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode, header};
use tessera_connections::Name;

use super::body::EventStream;
use super::hub::{Hub, HubError, StreamClient};
use super::opening::{Opened, open};
use super::sse;
use crate::api::{Answer, Api, token_of_stream};
use crate::engine::Engine;

/// The least pause before a client reconnects, and the width in which clients are spread, in milliseconds.
const RETRY: [u32; 2] = [1000, 2000];

/// Whether the client accepts a stream of events.
pub(super) fn is_stream(parts: &Parts) -> bool {
    let accepts = parts.headers.get_all(header::ACCEPT).iter();
    accepts
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"))
}

/// The pause before this client reconnects: by its name, so that the clients of a node do not all reconnect at once.
fn retry(name: &Name) -> u32 {
    let spread = name.as_str().bytes().fold(0_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    RETRY[0] + spread % RETRY[1]
}

/// Opens a stream of events for the holder of a token of the service's transports.
pub(super) async fn stream<E: Engine, H: Hub<E, Client: StreamClient>>(
    State(api): State<Arc<Api<E>>>,
    Extension(hub): Extension<Arc<H>>,
    mut parts: Parts,
) -> Answer {
    let token = token_of_stream(&mut parts, &api).await?;
    open_stream(api.engine(), &*hub, &token, &parts).await
}

/// Opens a stream of events for the holder of a token.
///
/// 204 after the end of the connection, at which `EventSource` stops.
pub(crate) async fn open_stream<E: Engine, H: Hub<E, Client: StreamClient>>(
    engine: &E,
    hub: &H,
    token: &str,
    parts: &Parts,
) -> Answer {
    // A response without a body would leave an attached client that nobody reads.
    if parts.method == Method::HEAD {
        return Ok(events(Body::empty()));
    }
    match open(engine, hub, token, parts, "sse").await {
        Ok(opened) => Ok(stream_of(opened)),
        Err(HubError::Ended) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => Err(error.into()),
    }
}

fn stream_of<C: StreamClient>(opened: Opened<C>) -> Response {
    let Opened { client, at, first } = opened;
    let mut text = sse::retry(retry(&at.name));
    first.iter().for_each(|event| text.push_str(&sse::write(event)));
    events(Body::new(EventStream::new(client, at, text)))
}

fn events(stream: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Without it, proxies such as nginx buffer the response.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, stream).into_response()
}
