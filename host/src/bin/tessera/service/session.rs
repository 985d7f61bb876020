//! One session: made by a service, then read, changed, renewed and ended by whoever holds its token.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use tessera::{Grant, Session, Survivors};

use super::Service;
use super::body::Members;
use super::credentials::{ByService, Token, WithService};
use super::fields::{self, Changes};
use super::problem::Problem;
use super::view::answer_session;

type Answer = Result<Response, Problem>;
type Shared = State<Arc<Service>>;

/// `POST /v1/sessions`: makes a session, of a subject where one is named.
pub(super) async fn create(State(service): Shared, _: ByService, body: Members) -> Answer {
    let mut body = body.only(&["subject", "fields"])?;
    let subject: Option<String> = body.take_as("subject", "a text")?;
    let changes = take_fields(&mut body, "fields")?;
    let session = service.sessions.create()?;
    session.update(changes)?;
    let grant = match subject {
        Some(subject) => session.authenticate(&subject).await?,
        None => session.save().await?,
    };
    answer_session(StatusCode::CREATED, &session, grant.token)
}

/// `GET /v1/session`.
pub(super) async fn read(State(service): Shared, token: Token) -> Answer {
    let session = service.sessions.open(&token.0).await?;
    finish(&service, session, None)
}

/// `PATCH /v1/session`: sets and removes fields, all or none.
pub(super) async fn change(State(service): Shared, token: Token, body: Members) -> Answer {
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
    let session = service.sessions.open(&token.0).await?;
    session.update(changes)?;
    let grant = session.save().await?;
    finish(&service, session, Some(grant))
}

/// `POST /v1/session/rotate`: renews the token; the old one works until shortly after the first use of the new.
pub(super) async fn rotate(State(service): Shared, token: Token, body: Members) -> Answer {
    body.only(&[])?;
    let session = service.sessions.open(&token.0).await?;
    let grant = session.rotate().await?;
    finish(&service, session, Some(grant))
}

/// `POST /v1/session/authenticate`: logs a subject in, or confirms who it is. The old token ends at once.
///
/// Only a service may say who somebody is: this needs the service key besides the token.
pub(super) async fn authenticate(
    State(service): Shared,
    _: WithService,
    token: Token,
    body: Members,
) -> Answer {
    let mut body = body.only(&["subject", "keep", "set"])?;
    let subject: String = body.require("subject", "a text")?;
    let survivors = survivors(body.take("keep"))?;
    let changes = take_fields(&mut body, "set")?;
    let session = service.sessions.open(&token.0).await?;
    session.update(changes)?;
    let grant = session.authenticate_keeping(&subject, &survivors).await?;
    finish(&service, session, Some(grant))
}

/// `DELETE /v1/session`: logs out.
pub(super) async fn destroy(State(service): Shared, token: Token) -> Answer {
    let session = service.sessions.open(&token.0).await?;
    session.destroy().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn take_fields(body: &mut Members, name: &str) -> Result<Changes, Problem> {
    let fields: Option<Members> = body.take_as(name, "an object of fields, each named once")?;
    fields.map_or(Ok(Vec::new()), fields::to_set)
}

fn survivors(keep: Option<Box<RawValue>>) -> Result<Survivors, Problem> {
    let Some(keep) = keep else {
        return Ok(Survivors::Nothing);
    };
    match keep.get() {
        r#""nothing""# | "null" => Ok(Survivors::Nothing),
        r#""everything""# => Ok(Survivors::Everything),
        names => serde_json::from_str(names).map(Survivors::Named).map_err(|_| {
            let detail = "`keep` must be \"nothing\", \"everything\" or an array of names";
            Problem::new(422, "invalid-member", detail).with("member", "keep")
        }),
    }
}

/// Answers the session and leaves what is due, and need not be waited for, to a task of its own.
fn finish(service: &Service, session: Session, grant: Option<Grant>) -> Answer {
    let due = session.details()?;
    let mut token = grant.and_then(|grant| grant.token);
    if token.is_none() && due.reissue_due {
        // A JWT past half of its life: asks no store.
        token = session.reissue()?.token;
    }
    let answer = answer_session(StatusCode::OK, &session, token)?;
    if due.touch_due {
        service.touches.start(session);
    }
    Ok(answer)
}
