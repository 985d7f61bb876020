//! `GET /v1/connections` with `Accept: text/event-stream`: a client opens a stream, or continues one.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode, header};
use serde::Deserialize;
use tessera_connections::{Cursor, MessageId, Name, Registration};

use super::body::EventStream;
use super::client_event::{ClientEvent, gap, opened};
use super::hub::{Client, Hub, HubError};
use super::sse;
use crate::api::{Answer, Api, token_of_stream};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::transport;

/// The header in which `EventSource` sends the id of the last event that it has received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The least pause before a client reconnects, and the width in which clients are spread, in milliseconds.
const RETRY: [u32; 2] = [1000, 2000];

/// The query of a new stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    #[serde(default)]
    prefix: String,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    /// The cursor of a client that cannot set a header.
    after: Option<String>,
}

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

/// Reads the cursor of a client that comes back.
fn cursor(parts: &Parts, after: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let malformed = || {
        let detail = "`Last-Event-ID` or `after` is no id of a stream";
        Problem::new(400, "cursor-malformed", detail)
    };
    let text = transport::one(&parts.headers, &LAST_EVENT_ID).map_err(|_| malformed())?;
    let text = text.or(after).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| malformed())).transpose()
}

/// Opens a stream of events for the holder of a token of the service's transports.
pub(super) async fn stream<E: Engine, H: Hub<E>>(
    State(api): State<Arc<Api<E>>>,
    Extension(hub): Extension<Arc<H>>,
    mut parts: Parts,
) -> Answer {
    let token = token_of_stream(&mut parts, &api).await?;
    open_stream(api.engine(), &*hub, &token, &parts).await
}

/// Opens a stream of events for the holder of a token.
///
/// A client that comes back continues its connection. If that is gone, it gets a new one, whose stream begins with a gap.
/// 204 after the end of the connection, at which `EventSource` stops.
pub(crate) async fn open_stream<E: Engine, H: Hub<E>>(
    engine: &E,
    hub: &H,
    token: &str,
    parts: &Parts,
) -> Answer {
    // A response without a body would leave an attached client that nobody reads.
    if parts.method == Method::HEAD {
        return Ok(events(Body::empty()));
    }
    let opening = Query::<Opening>::try_from_uri(&parts.uri);
    let Query(Opening { prefix, kind, after }) = opening.map_err(|_: QueryRejection| {
        Problem::new(
            400,
            "query-malformed",
            "the query takes `prefix`, `type` and `after`",
        )
    })?;
    let cursor = cursor(parts, after.as_deref())?;
    let session = engine.open(token).await.map_err(|error| Problem::of(&error))?;
    if let Some(at) = &cursor {
        match hub.attach(&at.name, at.after, &session).await {
            Ok(client) => return Ok(stream_of(client, at.clone(), &[opened(at, true)])),
            // Also for a connection of another session, so that the answer tells nothing of it.
            Err(HubError::Missing) => {}
            Err(HubError::Ended) => return Ok(StatusCode::NO_CONTENT.into_response()),
            Err(error) => return Err(error.into()),
        }
    }
    let registration = Registration {
        prefix,
        kind: kind.unwrap_or_else(|| "sse".to_owned()),
        ..Registration::default()
    };
    let (name, client) = hub.open(&session, registration).await?;
    let at = Cursor {
        name,
        after: MessageId::START,
    };
    let mut first = vec![opened(&at, false)];
    if cursor.is_some() {
        first.push(gap(&at));
    }
    Ok(stream_of(client, at, &first))
}

/// The stream of an attached client, with its first events.
fn stream_of<C: Client>(client: C, at: Cursor, first: &[ClientEvent]) -> Response {
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
