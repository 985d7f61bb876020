//! One session: created by a service; read, changed, renewed and ended by the holder of its token.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::credentials::{ByService, IsService, Signed, Token, WithService};
use super::members::{FieldMembers, NoMembers};
use super::view::answer_session;
use super::{Api, Members, fields};
use crate::engine::{Engine, EngineSession, Limits};
use crate::error::{EngineError, ErrorKind};
use crate::problem::{Problem, chain};
use tessera_contract::{Change, Grant, KeepFields};

type Shared<E> = State<Arc<Api<E>>>;

fn failed(error: impl EngineError) -> Problem {
    Problem::of(&error)
}

/// `POST /v1/sessions`: creates a session, and logs a subject in if one is given.
pub(super) async fn create<E: Engine>(
    State(api): Shared<E>,
    _: ByService,
    FieldMembers(body): FieldMembers,
) -> Answer {
    let mut body = body.only(&["subject", "fields"])?;
    let subject: Option<String> = body.take_as("subject", "a string")?;
    let changes = take_fields(&mut body, "fields", &api.engine.limits())?;
    let session = api.engine.create();
    session.update(changes).map_err(failed)?;
    let grant = match subject {
        Some(subject) => session.authenticate(&subject, &KeepFields::Nothing).await,
        None => session.save().await,
    };
    let grant = grant.map_err(failed)?;
    answer_session(StatusCode::CREATED, &session, grant.token)
}

/// `GET /v1/session`.
pub(super) async fn read<E: Engine>(State(api): Shared<E>, token: Token) -> Answer {
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    finish(&api, session, None).await
}

/// `PATCH /v1/session`: sets and removes fields, all or none.
pub(super) async fn change<E: Engine>(
    State(api): Shared<E>,
    IsService(is_service): IsService,
    Signed(token): Signed,
    FieldMembers(body): FieldMembers,
) -> Answer {
    let mut body = body.only(&["set", "remove"])?;
    let limits = api.engine.limits();
    let mut changes = take_fields(&mut body, "set", &limits)?;
    let remove: Vec<String> = body.take_as("remove", "an array of strings")?.unwrap_or_default();
    check_names(remove.iter().map(String::as_str), &limits)?;
    let set: HashSet<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
    if remove.iter().any(|name| set.contains(name.as_str())) {
        return Err(Problem::new(
            422,
            "invalid-member",
            "a field is named in both `set` and `remove`",
        ));
    }
    changes.extend(remove.into_iter().map(|name| (name, None)));
    let protected = changes.iter().find(|(name, _)| api.protected.contains(name));
    if let Some((name, _)) = protected.filter(|_| !is_service) {
        let detail = "this field is protected: send the service key as `X-Tessera-Service-Key`";
        return Err(Problem::new(403, "field-protected", detail).with("field", name.as_str()));
    }
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    session.update(changes).map_err(failed)?;
    let grant = session.save().await.map_err(failed)?;
    finish(&api, session, Some(grant)).await
}

/// `POST /v1/session/rotate`: renews the token. The old one works until shortly after the first use of the new one.
pub(super) async fn rotate<E: Engine>(
    State(api): Shared<E>,
    Signed(token): Signed,
    NoMembers(body): NoMembers,
) -> Answer {
    body.only(&[])?;
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    let grant = session.rotate().await.map_err(failed)?;
    finish(&api, session, Some(grant)).await
}

/// `POST /v1/session/authenticate`: logs a subject in, or confirms its identity. The old token ends at once.
///
/// Requires the service key besides the token, because only a service may assert an identity.
pub(super) async fn authenticate<E: Engine>(
    State(api): Shared<E>,
    _: WithService,
    Signed(token): Signed,
    FieldMembers(body): FieldMembers,
) -> Answer {
    let mut body = body.only(&["subject", "keep", "set"])?;
    let subject: String = body.require("subject", "a string")?;
    let limits = api.engine.limits();
    let keep = keep(body.take("keep"), &limits)?;
    let changes = take_fields(&mut body, "set", &limits)?;
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    session.update(changes).map_err(failed)?;
    let before = session.details().map_err(failed)?.public_id;
    let grant = session.authenticate(&subject, &keep).await.map_err(failed)?;
    api.note_end(before);
    finish(&api, session, Some(grant)).await
}

/// `DELETE /v1/session`: logs out.
pub(super) async fn destroy<E: Engine>(State(api): Shared<E>, token: Token) -> Answer {
    let session = api.engine.open(&token.0).await.map_err(failed)?;
    let public_id = session.details().map_err(failed)?.public_id;
    session.destroy().await.map_err(failed)?;
    api.note_end(public_id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn take_fields(body: &mut Members, name: &str, limits: &Limits) -> Result<Vec<Change>, Problem> {
    let Some(fields) = body.take_as::<Members>(name, "an object of fields, each named once")? else {
        return Ok(Vec::new());
    };
    check_names(fields.0.iter().map(|(name, _)| name.as_str()), limits)?;
    fields::to_set(fields)
}

/// Refuses more fields or longer names than the policy allows, before they cause work. The message is the engine's.
fn check_names<'a>(names: impl ExactSizeIterator<Item = &'a str>, limits: &Limits) -> Result<(), Problem> {
    let fits = |amount: usize, limit: u32| u32::try_from(amount).is_ok_and(|amount| amount <= limit);
    let exceeded = |name: &'static str, maximum: u32| {
        let detail = format!("{name} is at most {maximum}");
        let kind = ErrorKind::LimitExceeded;
        Err(Problem::new(kind.status(), kind.code(), detail)
            .with("limit", name)
            .with("maximum", maximum))
    };
    if !fits(names.len(), limits.maximum_fields) {
        return exceeded("maximum-fields", limits.maximum_fields);
    }
    for name in names {
        if !fits(name.len(), limits.maximum_name_bytes) {
            return exceeded("maximum-name-bytes", limits.maximum_name_bytes);
        }
    }
    Ok(())
}

fn keep(named: Option<Box<RawValue>>, limits: &Limits) -> Result<KeepFields, Problem> {
    let Some(named) = named else {
        return Ok(KeepFields::Nothing);
    };
    match named.get() {
        r#""nothing""# | "null" => Ok(KeepFields::Nothing),
        r#""everything""# => Ok(KeepFields::Everything),
        names => {
            let names: Vec<String> = serde_json::from_str(names).map_err(|_| {
                let detail = "`keep` must be \"nothing\", \"everything\" or an array of names";
                Problem::new(422, "invalid-member", detail).with("member", "keep")
            })?;
            check_names(names.iter().map(String::as_str), limits)?;
            Ok(KeepFields::Named(names))
        }
    }
}

/// Answers with the session. Upkeep that the client need not wait for is done afterwards.
async fn finish<E: Engine>(api: &Api<E>, session: E::Session, grant: Option<Grant>) -> Answer {
    let due = session.details().map_err(failed)?;
    let mut token = grant.and_then(|grant| grant.token);
    if token.is_none() && due.reissue_due {
        // A JWT past half of its lifetime: the client can still use it until it expires.
        match session.reissue().await {
            Ok(grant) => token = grant.token,
            Err(error) if error.kind().is_not_logged_in() => return Err(failed(error)),
            Err(error) => tracing::warn!("a token was not reissued: {}", chain(&error)),
        }
    }
    let answer = answer_session(StatusCode::OK, &session, token)?;
    if due.touch_due {
        (api.spawn)(Box::pin(touch(session)));
    }
    Ok(answer)
}

/// Touches the session. The request was served even if this fails.
async fn touch(session: impl EngineSession) {
    match session.touch().await {
        Ok(_) => {}
        Err(error) if error.kind().status() >= 500 => tracing::warn!("a touch failed: {}", chain(&error)),
        // The session ended in the meantime, for example by a logout.
        Err(error) => tracing::debug!("a touch came too late: {}", chain(&error)),
    }
}
