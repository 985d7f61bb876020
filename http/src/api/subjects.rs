//! All sessions of one subject, for a service: listed as for a page "your devices", and ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{Answer, answer, answer_one};
use super::credentials::ByService;
use super::{Api, write_field};
use crate::engine::{Device, Engine};
use crate::problem::Problem;

type Shared<E> = State<Arc<Api<E>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The reference of the caller's own session.
    current: Option<String>,
    /// Where the part before ended.
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    reference: &'a str,
    created_at: u64,
    authenticated_at: u64,
    last_seen_at: u64,
    expires_at: u64,
    ends_at: u64,
    current: bool,
    fields: BTreeMap<&'a str, Box<RawValue>>,
}

#[derive(Serialize)]
struct Listing<'a> {
    sessions: Vec<Listed<'a>>,
    next: Option<&'a str>,
}

/// `GET /v1/subjects/{subject}/sessions`.
pub(super) async fn list<E: Engine>(
    State(api): Shared<E>,
    _: ByService,
    subject: Result<Path<String>, PathRejection>,
    part: Result<Query<Part>, QueryRejection>,
) -> Answer {
    let Path(subject) = subject.map_err(|_| malformed_path())?;
    let Query(part) =
        part.map_err(|_| Problem::new(400, "query-malformed", "the query takes `current` and `cursor`"))?;
    let page = api
        .engine
        .list(&subject, part.current.as_deref(), part.cursor.as_deref())
        .await
        .map_err(|error| Problem::of(&error))?;
    let sessions = page.items.iter().map(listed).collect();
    answer(
        StatusCode::OK,
        &Listing {
            sessions,
            next: page.next.as_deref(),
        },
    )
}

/// `DELETE /v1/subjects/{subject}/sessions`.
pub(super) async fn revoke_all<E: Engine>(
    State(api): Shared<E>,
    _: ByService,
    subject: Result<Path<String>, PathRejection>,
) -> Answer {
    let Path(subject) = subject.map_err(|_| malformed_path())?;
    let ended = api.engine.revoke_all(&subject).await;
    answer_one("ended", ended.map_err(|error| Problem::of(&error))?)
}

/// `DELETE /v1/subjects/{subject}/sessions/{reference}`.
pub(super) async fn revoke<E: Engine>(
    State(api): Shared<E>,
    _: ByService,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Answer {
    let Path((subject, reference)) = path.map_err(|_| malformed_path())?;
    let revoked = api.engine.revoke(&subject, &reference).await;
    match revoked.map_err(|error| Problem::of(&error))? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Problem::new(
            404,
            "session-not-found",
            "the subject has no such session",
        )),
    }
}

fn listed(session: &Device) -> Listed<'_> {
    Listed {
        reference: &session.reference,
        created_at: session.created_at,
        authenticated_at: session.authenticated_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        ends_at: session.ends_at,
        current: session.current,
        fields: session
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), write_field(value)))
            .collect(),
    }
}

fn malformed_path() -> Problem {
    Problem::new(400, "path-malformed", "the path is not percent-encoded UTF-8")
}
