//! The calls of a service on connections: messages, lists, ends.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tessera_connections::{Connection, Message, Name, Request, SendKey};
use tessera_contract::Timestamp;

use super::hub::{Hub, HubError};
use super::path::{malformed_path, name};
use crate::api::{Answer, Api, ByService, MessageMembers, answer};
use crate::engine::Engine;
use crate::problem::Problem;

/// The query of a list or of a message to many.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    #[serde(default)]
    prefix: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    cursor: String,
}

/// The query of a subject's connections.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    connection: &'a str,
    session: &'a str,
    subject: Option<&'a str>,
    prefix: &'a str,
    r#type: &'a str,
    created_at: Timestamp,
    ends_at: Timestamp,
    attached: bool,
    ended: Option<&'static str>,
    request: &'a Request,
}

#[derive(Serialize)]
struct Listing<'a> {
    connections: Vec<Listed<'a>>,
    next: Option<String>,
}

fn listed(connection: &Connection) -> Listed<'_> {
    let head = &connection.head;
    Listed {
        connection: connection.name.as_str(),
        session: &head.session,
        subject: head.subject.as_deref(),
        prefix: &head.prefix,
        r#type: &head.kind,
        created_at: head.created_at,
        ends_at: head.ends_at,
        attached: connection.is_attached,
        ended: connection.ended.map(tessera_connections::EndReason::as_str),
        request: &head.request,
    }
}

fn listing(connections: &[Connection], next: Option<String>) -> Answer {
    let connections = connections.iter().map(listed).collect();
    answer(StatusCode::OK, &Listing { connections, next })
}

/// The public id of a session in a path.
fn session(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(text) = path.map_err(|_| malformed_path())?;
    // It has the form of a name.
    if text.parse::<Name>().is_err() {
        let detail = "public_id must be 1 to 64 letters, digits, `-` and `_`";
        return Err(Problem::new(422, "invalid-argument", detail).with("argument", "public_id"));
    }
    Ok(text)
}

fn selection(query: Result<Query<Selection>, QueryRejection>) -> Result<Selection, Problem> {
    let detail = "the query takes `prefix`, `type` and `cursor`";
    let Query(selection) = query.map_err(|_| Problem::new(400, "query-malformed", detail))?;
    Ok(selection)
}

fn page(query: Result<Query<Page>, QueryRejection>) -> Result<Option<String>, Problem> {
    let Query(Page { cursor }) =
        query.map_err(|_| Problem::new(400, "query-malformed", "the query takes `cursor`"))?;
    Ok(cursor)
}

/// The message of a body, and its key.
struct Sending {
    message: Message,
    key: Option<SendKey>,
}

impl Sending {
    /// Checks a body, also for a message that no connection will receive.
    fn of(MessageMembers(body): MessageMembers, maximum_bytes: u32) -> Result<Self, Problem> {
        let mut body = body.only(&["event", "data", "key"])?;
        let event: Option<String> = body.take_as("event", "a string")?;
        let data: String = body.require("data", "a string")?;
        let key: Option<String> = body.take_as("key", "a string")?;
        let unfit = |member: &'static str| {
            move |error: tessera_connections::InvalidMessage| {
                Problem::new(422, "invalid-member", error.to_string()).with("member", member)
            }
        };
        let member = if event.is_some() { "event" } else { "data" };
        let message = Message::new(event.as_deref(), &data).map_err(unfit(member))?;
        let key: Option<SendKey> = key.map(|key| key.parse().map_err(unfit("key"))).transpose()?;
        if message.bytes(key.as_ref()) > maximum_bytes as usize {
            return Err(HubError::TooLarge(maximum_bytes).into());
        }
        Ok(Self { message, key })
    }

    async fn to<E: Engine, H: Hub<E>>(&self, hub: &H, name: &Name) -> Result<String, HubError> {
        let id = hub.send(name, &self.message, self.key.as_ref()).await?;
        Ok(id.to_string())
    }

    /// Sends to each connection, and returns the outcomes.
    async fn to_each<E: Engine, H: Hub<E>>(&self, hub: &H, connections: &[Connection]) -> Vec<Value> {
        let mut outcomes = Vec::with_capacity(connections.len());
        for Connection { name, .. } in connections {
            let sent = self.to::<E, H>(hub, name).await;
            outcomes.push(match sent {
                Ok(id) => json!({"connection": name.as_str(), "id": id}),
                Err(error) => json!({"connection": name.as_str(), "error": error.code()}),
            });
        }
        outcomes
    }
}

fn outcomes(outcomes: Vec<Value>, next: Option<String>) -> Answer {
    answer(StatusCode::ACCEPTED, &json!({"outcomes": outcomes, "next": next}))
}

/// `POST /v1/connections/{connection}/messages`.
pub(super) async fn send<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    path: Result<Path<String>, PathRejection>,
    body: MessageMembers,
) -> Answer {
    let (name, sending) = (name(path)?, Sending::of(body, hub.maximum_message_bytes())?);
    let id = sending.to::<E, H>(&hub, &name).await?;
    answer(StatusCode::ACCEPTED, &json!({ "id": id }))
}

/// `POST /v1/sessions/{public_id}/messages`.
pub(super) async fn send_to_session<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    path: Result<Path<String>, PathRejection>,
    body: MessageMembers,
) -> Answer {
    let session = session(path)?;
    let sending = Sending::of(body, hub.maximum_message_bytes())?;
    let connections = hub.of_session(&session).await?;
    outcomes(sending.to_each::<E, H>(&hub, &connections).await, None)
}

/// `POST /v1/subjects/{subject}/messages`.
pub(super) async fn send_to_subject<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Page>, QueryRejection>,
    body: MessageMembers,
) -> Answer {
    let Path(subject) = path.map_err(|_| malformed_path())?;
    let (cursor, sending) = (page(query)?, Sending::of(body, hub.maximum_message_bytes())?);
    let (connections, next) = hub.of_subject(&subject, cursor.as_deref()).await?;
    outcomes(sending.to_each::<E, H>(&hub, &connections).await, next)
}

/// `POST /v1/messages?prefix=…&type=…`.
pub(super) async fn send_to_all<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    query: Result<Query<Selection>, QueryRejection>,
    body: MessageMembers,
) -> Answer {
    let (selection, sending) = (selection(query)?, Sending::of(body, hub.maximum_message_bytes())?);
    let Selection { prefix, kind, cursor } = &selection;
    let (connections, next) = hub.walk(prefix, kind, cursor).await?;
    outcomes(sending.to_each::<E, H>(&hub, &connections).await, next)
}

/// `GET /v1/connections` without `Accept: text/event-stream`.
pub(super) async fn list<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    query: Result<Query<Selection>, QueryRejection>,
) -> Answer {
    let Selection { prefix, kind, cursor } = selection(query)?;
    let (connections, next) = hub.walk(&prefix, &kind, &cursor).await?;
    listing(&connections, next)
}

/// `GET /v1/sessions/{public_id}/connections`.
pub(super) async fn of_session<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    path: Result<Path<String>, PathRejection>,
) -> Answer {
    let session = session(path)?;
    listing(&hub.of_session(&session).await?, None)
}

/// `GET /v1/subjects/{subject}/connections`.
pub(super) async fn of_subject<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Page>, QueryRejection>,
) -> Answer {
    let Path(subject) = path.map_err(|_| malformed_path())?;
    let cursor = page(query)?;
    let (connections, next) = hub.of_subject(&subject, cursor.as_deref()).await?;
    listing(&connections, next)
}

/// `GET /v1/connections/{connection}`.
pub(super) async fn get<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    path: Result<Path<String>, PathRejection>,
) -> Answer {
    let connection = hub.get(&name(path)?).await?;
    answer(StatusCode::OK, &listed(&connection))
}

/// `DELETE /v1/connections/{connection}`.
pub(super) async fn close<E: Engine, H: Hub<E>>(
    State(_): State<Arc<Api<E>>>,
    _: ByService,
    Extension(hub): Extension<Arc<H>>,
    path: Result<Path<String>, PathRejection>,
) -> Answer {
    hub.close(&name(path)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
