//! All sessions of one subject, for a service: listed, for a page such as "your devices", and ended.

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
use crate::engine::Engine;
use crate::problem::Problem;
use tessera_contract::{PageRequest, SessionSummary, Timestamp};

type Shared<E> = State<Arc<Api<E>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The public id of the caller's own session.
    current: Option<String>,
    /// The `next` of the previous page.
    cursor: Option<String>,
}

/// A query with the subject, for subjects that a path cannot hold, such as `.` and `..`, which HTTP clients resolve.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    subject: String,
    current: Option<String>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ended {
    subject: String,
    /// One session; if absent, all are ended.
    public_id: Option<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    public_id: &'a str,
    created_at: Timestamp,
    authenticated_at: Timestamp,
    last_seen_at: Timestamp,
    expires_at: Timestamp,
    ends_at: Timestamp,
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
    answer_page(&api, &subject, &part).await
}

/// `GET /v1/sessions?subject=…`.
pub(super) async fn list_named<E: Engine>(
    State(api): Shared<E>,
    _: ByService,
    named: Result<Query<Named>, QueryRejection>,
) -> Answer {
    let Query(Named {
        subject,
        current,
        cursor,
    }) = named.map_err(|_| {
        let detail = "the query requires `subject`, and takes `current` and `cursor`";
        Problem::new(400, "query-malformed", detail)
    })?;
    answer_page(&api, &subject, &Part { current, cursor }).await
}

async fn answer_page<E: Engine>(api: &Api<E>, subject: &str, part: &Part) -> Answer {
    let page = api
        .engine
        .list(
            subject,
            PageRequest {
                current: part.current.as_deref(),
                cursor: part.cursor.as_deref(),
            },
        )
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
    end_all(&api, &subject).await
}

/// `DELETE /v1/sessions?subject=…`: ends all sessions of the subject, or the one that the query names.
pub(super) async fn revoke_named<E: Engine>(
    State(api): Shared<E>,
    _: ByService,
    named: Result<Query<Ended>, QueryRejection>,
) -> Answer {
    let Query(Ended { subject, public_id }) = named.map_err(|_| {
        let detail = "the query requires `subject`, and takes `public_id`";
        Problem::new(400, "query-malformed", detail)
    })?;
    match public_id {
        Some(public_id) => end_one(&api, &subject, &public_id).await,
        None => end_all(&api, &subject).await,
    }
}

async fn end_all<E: Engine>(api: &Api<E>, subject: &str) -> Answer {
    let ended = api.engine.revoke_all(subject).await;
    answer_one("ended", ended.map_err(|error| Problem::of(&error))?)
}

/// `DELETE /v1/subjects/{subject}/sessions/{public_id}`.
pub(super) async fn revoke<E: Engine>(
    State(api): Shared<E>,
    _: ByService,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Answer {
    let Path((subject, public_id)) = path.map_err(|_| malformed_path())?;
    end_one(&api, &subject, &public_id).await
}

async fn end_one<E: Engine>(api: &Api<E>, subject: &str, public_id: &str) -> Answer {
    let revoked = api.engine.revoke(subject, public_id).await;
    match revoked.map_err(|error| Problem::of(&error))? {
        true => {
            api.note_end(public_id.to_owned());
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        false => Err(Problem::new(
            404,
            "session-not-found",
            "the subject has no such session",
        )),
    }
}

fn listed(session: &SessionSummary) -> Listed<'_> {
    Listed {
        public_id: &session.public_id,
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
