//! One session: made by a service, then read, changed, renewed and ended by whoever holds its token.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::credentials::{ByService, Token, WithService};
use super::view::answer_session;
use super::{Api, Members, fields};
use crate::engine::{Engine, EngineSession, Grant, Keep};
use crate::fault::Fault;
use crate::problem::{Problem, chain};
use crate::value::Change;

type Shared<E> = State<Arc<Api<E>>>;

fn failed(error: impl Fault) -> Problem {
    Problem::of(&error)
}

/// `POST /v1/sessions`: makes a session, of a subject where one is named.
pub(super) async fn create<E: Engine>(State(api): Shared<E>, _: ByService, body: Members) -> Answer {
    let mut body = body.only(&["subject", "fields"])?;
    let subject: Option<String> = body.take_as("subject", "a text")?;
    let changes = take_fields(&mut body, "fields")?;
    let session = api.engine.create().map_err(failed)?;
    session.update(changes).map_err(failed)?;
    let grant = match subject {
        Some(subject) => session.authenticate(&subject, &Keep::Nothing).await,
        None => session.save().await,
    };
    let grant = grant.map_err(failed)?;
    answer_session(StatusCode::CREATED, &session, grant.token)
}

/// `GET /v1/session`.
pub(super) async fn read<E: Engine>(State(api): Shared<E>, token: Token) -> Answer {
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    finish(&api, session, None)
}

/// `PATCH /v1/session`: sets and removes fields, all or none.
pub(super) async fn change<E: Engine>(State(api): Shared<E>, token: Token, body: Members) -> Answer {
    let mut body = body.only(&["set", "remove"])?;
    let mut changes = take_fields(&mut body, "set")?;
    let remove: Vec<String> = body.take_as("remove", "an array of texts")?.unwrap_or_default();
    if remove
        .iter()
        .any(|name| changes.iter().any(|(set, _)| set == name))
    {
        return Err(Problem::new(
            422,
            "invalid-member",
            "a field stands in both `set` and `remove`",
        ));
    }
    changes.extend(remove.into_iter().map(|name| (name, None)));
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    session.update(changes).map_err(failed)?;
    let grant = session.save().await.map_err(failed)?;
    finish(&api, session, Some(grant))
}

/// `POST /v1/session/rotate`: renews the token; the old one works until shortly after the first use of the new.
pub(super) async fn rotate<E: Engine>(State(api): Shared<E>, token: Token, body: Members) -> Answer {
    body.only(&[])?;
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    let grant = session.rotate().await.map_err(failed)?;
    finish(&api, session, Some(grant))
}

/// `POST /v1/session/authenticate`: logs a subject in, or confirms who it is. The old token ends at once.
///
/// Only a service may say who somebody is: this needs the service key besides the token.
pub(super) async fn authenticate<E: Engine>(
    State(api): Shared<E>,
    _: WithService,
    token: Token,
    body: Members,
) -> Answer {
    let mut body = body.only(&["subject", "keep", "set"])?;
    let subject: String = body.require("subject", "a text")?;
    let keep = keep(body.take("keep"))?;
    let changes = take_fields(&mut body, "set")?;
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    session.update(changes).map_err(failed)?;
    let grant = session.authenticate(&subject, &keep).await.map_err(failed)?;
    finish(&api, session, Some(grant))
}

/// `DELETE /v1/session`: logs out.
pub(super) async fn destroy<E: Engine>(State(api): Shared<E>, token: Token) -> Answer {
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    session.destroy().await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn take_fields(body: &mut Members, name: &str) -> Result<Vec<Change>, Problem> {
    let fields: Option<Members> = body.take_as(name, "an object of fields, each named once")?;
    fields.map_or(Ok(Vec::new()), fields::to_set)
}

fn keep(named: Option<Box<RawValue>>) -> Result<Keep, Problem> {
    let Some(named) = named else {
        return Ok(Keep::Nothing);
    };
    match named.get() {
        r#""nothing""# | "null" => Ok(Keep::Nothing),
        r#""everything""# => Ok(Keep::Everything),
        names => serde_json::from_str(names).map(Keep::Named).map_err(|_| {
            let detail = "`keep` must be \"nothing\", \"everything\" or an array of names";
            Problem::new(422, "invalid-member", detail).with("member", "keep")
        }),
    }
}

/// Answers the session; what is due, and need not be waited for, is done later.
fn finish<E: Engine>(api: &Api<E>, session: E::Session, grant: Option<Grant>) -> Answer {
    let due = session.details().map_err(failed)?;
    let mut token = grant.and_then(|grant| grant.token);
    if token.is_none() && due.reissue_due {
        // A JWT past half of its life: asks no store.
        token = session.reissue().map_err(failed)?.token;
    }
    let answer = answer_session(StatusCode::OK, &session, token)?;
    if due.touch_due {
        (api.later)(Box::pin(touch(session)));
    }
    Ok(answer)
}

/// If it fails the request was served all the same.
async fn touch(session: impl EngineSession) {
    match session.touch().await {
        Ok(_) => {}
        Err(error) if error.kind().status() >= 500 => tracing::warn!("a touch failed: {}", chain(&error)),
        // Ended meanwhile, as by a logout.
        Err(error) => tracing::debug!("a touch came too late: {}", chain(&error)),
    }
}
