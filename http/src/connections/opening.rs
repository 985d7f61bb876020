//! The opening of a stream, whatever its transport: a new connection for a client, or one that the client continues.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use http::HeaderName;
use http::request::Parts;
use serde::Deserialize;
use tessera_connections::{Cursor, MessageId, Registration};

use super::client_event::{ClientEvent, gap, opened};
use super::hub::{Hub, HubError};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::transport;

/// The header in which `EventSource` sends the id of the last event that it has received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The query of a new stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    #[serde(default)]
    prefix: String,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    /// The cursor of a client that cannot set a header.
    after: Option<String>,
}

/// A client that is attached to this node.
pub(super) struct Opened<C> {
    pub(super) client: C,
    /// The place at which the stream begins.
    pub(super) at: Cursor,
    /// The first events of the stream.
    pub(super) first: Vec<ClientEvent>,
}

/// Reads the text of a cursor. `place` names its place in the request.
pub(super) fn cursor(text: &str, place: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|_| malformed(place))
}

fn malformed(place: &str) -> Problem {
    Problem::new(400, "cursor-malformed", format!("{place} is no id of a stream"))
}

/// Reads the cursor of a client that comes back.
fn cursor_of(parts: &Parts, after: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let place = "`Last-Event-ID` or `after`";
    let text = transport::one(&parts.headers, &LAST_EVENT_ID).map_err(|_| malformed(place))?;
    let text = text.or(after).filter(|text| !text.is_empty());
    text.map(|text| cursor(text, place)).transpose()
}

/// Attaches the client that holds a token. `kind` is the type of a connection whose client names none.
///
/// A client that comes back continues its connection. If that is gone, it gets a new one, whose stream begins with a gap.
///
/// # Errors
/// [`HubError::Ended`] for a client that comes back to a connection that has ended; [`HubError::TooManyOfSession`],
/// [`HubError::TooManyOnNode`]; [`HubError::Other`], also for a malformed query and a token that opens no session.
pub(super) async fn open<E: Engine, H: Hub<E>>(
    engine: &E,
    hub: &H,
    token: &str,
    parts: &Parts,
    kind: &str,
) -> Result<Opened<H::Client>, HubError> {
    let query = Query::<Opening>::try_from_uri(&parts.uri);
    let Query(opening) = query.map_err(|_: QueryRejection| {
        let detail = "the query takes `prefix`, `type` and `after`";
        Problem::new(400, "query-malformed", detail)
    })?;
    let cursor = cursor_of(parts, opening.after.as_deref())?;
    let session = engine.open(token).await.map_err(|error| Problem::of(&error))?;
    if let Some(at) = &cursor {
        match hub.attach(&at.name, at.after, &session).await {
            Ok(client) => {
                return Ok(Opened {
                    client,
                    at: at.clone(),
                    first: vec![opened(at, true)],
                });
            }
            // Also for a connection of another session, so that the answer tells nothing of it.
            Err(HubError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    let registration = Registration {
        prefix: opening.prefix,
        kind: opening.kind.unwrap_or_else(|| kind.to_owned()),
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
    Ok(Opened { client, at, first })
}
