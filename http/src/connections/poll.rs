//! Long polls, for clients that can read neither server-sent events nor a WebSocket: a connection is registered, and each poll
//! waits for its next events.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tessera_connections::{Cursor, MessageId, Registration};

use super::client_event::{ClientEvent, Step, step};
use super::hub::{Client as _, Hub};
use super::opening::cursor;
use super::path::name;
use crate::api::{Answer, Api, Token, answer};
use crate::engine::Engine;
use crate::problem::Problem;

/// The longest wait that a client may ask for, and the default, in seconds.
const MAXIMUM_WAIT: u64 = 25;

/// The query of a registration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registering {
    #[serde(default)]
    prefix: String,
    #[serde(rename = "type", default)]
    kind: Option<String>,
}

/// The query of a poll.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Polling {
    after: Option<String>,
    #[serde(default)]
    wait: Option<u64>,
}

#[derive(Serialize)]
struct Polled {
    events: Vec<ClientEvent>,
    /// The cursor of the next poll.
    after: String,
}

/// `POST /v1/connections`: registers a connection, which is without a client until the first poll.
pub(super) async fn register<E: Engine, H: Hub<E>>(
    State(api): State<Arc<Api<E>>>,
    Token(token): Token,
    Extension(hub): Extension<Arc<H>>,
    query: Result<Query<Registering>, QueryRejection>,
) -> Answer {
    let detail = "the query takes `prefix` and `type`";
    let Query(Registering { prefix, kind }) =
        query.map_err(|_| Problem::new(400, "query-malformed", detail))?;
    let session = opened(&api, &token).await?;
    let registration = Registration {
        prefix,
        kind: kind.unwrap_or_else(|| "poll".to_owned()),
        ..Registration::default()
    };
    let name = hub.register(&session, registration).await?;
    let after = MessageId::START;
    let body = json!({"connection": name.as_str(), "after": Cursor { name, after }.to_string()});
    answer(StatusCode::CREATED, &body)
}

/// `GET /v1/connections/{connection}/messages`: waits for the next events of a connection.
pub(super) async fn poll<E: Engine, H: Hub<E>>(
    State(api): State<Arc<Api<E>>>,
    Token(token): Token,
    Extension(hub): Extension<Arc<H>>,
    method: Method,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Polling>, QueryRejection>,
) -> Answer {
    let name = name(path)?;
    let malformed = || {
        let detail = format!("the query takes `after` and `wait`, 0 to {MAXIMUM_WAIT} seconds");
        Problem::new(400, "query-malformed", detail)
    };
    let Query(Polling { after, wait }) = query.map_err(|_| malformed())?;
    let wait = wait.unwrap_or(MAXIMUM_WAIT);
    if wait > MAXIMUM_WAIT {
        return Err(malformed());
    }
    let mut at = match after {
        Some(text) => cursor(&text, "`after`")?,
        None => Cursor {
            name: name.clone(),
            after: MessageId::START,
        },
    };
    if at.name != name {
        let detail = "`after` is a cursor of another connection";
        return Err(Problem::new(400, "cursor-malformed", detail));
    }
    let session = opened(&api, &token).await?;
    let mut events = Vec::new();
    // A response without a body must not displace another client.
    if method != Method::HEAD {
        let wait = Duration::from_secs(wait).min(hub.longest_poll());
        let mut client = hub.attach(&name, at.after, &session).await?;
        for event in client.next_batch(wait).await {
            match step(&mut at, event) {
                Step::Send(event) | Step::End(event, _) => events.push(event),
                // The client polls again.
                Step::TryAgain => {}
            }
        }
    }
    let after = at.to_string();
    answer(StatusCode::OK, &Polled { events, after })
}

async fn opened<E: Engine>(api: &Api<E>, token: &str) -> Result<E::Session, Problem> {
    let opened = api.engine().open(token).await;
    opened.map_err(|error| Problem::of(&error))
}
