//! Steps on one session.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tessera::store::StoreService;
use tessera::{Grant, KeepFields, Session, SessionError};

use super::args::{Args, as_texts};
use super::compare::Match;
use super::outcome::{self, Outcome};
use super::runner::Runner;
use super::value;

impl<S: StoreService> Runner<S> {
    pub(super) async fn session_step(
        &mut self,
        what: &str,
        mut args: Args,
    ) -> Result<(Outcome, Match), String> {
        let session = self.session(&mut args)?;
        let outcome = match what {
            "save" | "rotate" | "authenticate" | "reissue" => {
                return self.grant_step(what, &session, args).await;
            }
            "touch" => {
                args.finish()?;
                self.call(async move { session.touch().await })
                    .await?
                    .map(Value::from)
            }
            "standing" => {
                args.finish()?;
                let standing = self.call(async move { session.standing().await }).await?;
                standing.map(outcome::moment_json)
            }
            "destroy" => {
                args.finish()?;
                self.call(async move { session.destroy().await })
                    .await?
                    .map(|()| Value::Null)
            }
            "drop" => {
                args.finish()?;
                self.sessions.retain(|_, other| !Arc::ptr_eq(other, &session));
                Ok(Value::Null)
            }
            "fork" => {
                let name = args.text("as")?;
                args.finish()?;
                session
                    .fork()
                    .map_err(|error| outcome::error(&error))
                    .map(|fork| {
                        self.sessions.insert(name, Arc::new(fork));
                        Value::Null
                    })
            }
            "details" => {
                let reference_as = args.optional_text("public-id-as")?;
                args.finish()?;
                session
                    .details()
                    .map_err(|error| outcome::error(&error))
                    .map(|details| {
                        if let Some(name) = reference_as {
                            self.variables.insert(name, details.public_id.clone());
                        }
                        outcome::details(&details)
                    })
            }
            "csrf-token" => {
                let name = args.text_or("as", "csrf")?;
                args.finish()?;
                session
                    .csrf_token()
                    .map_err(|error| outcome::error(&error))
                    .map(|token| {
                        self.variables.insert(name, token);
                        Value::Null
                    })
            }
            "check-csrf-token" => {
                let token = args.text("token")?;
                args.finish()?;
                answer(session.check_csrf_token(&token), |()| Value::Null)
            }
            _ => return field_step(what, &session, args),
        };
        Ok((outcome, Match::Members))
    }

    async fn grant_step(
        &mut self,
        what: &str,
        session: &Arc<Session>,
        mut args: Args,
    ) -> Result<(Outcome, Match), String> {
        let session = Arc::clone(session);
        let token_as = args.optional_text("token-as")?;
        let granted: Result<Grant, Value> = if what == "authenticate" {
            let (subject, keep) = (args.text("subject")?, keep(&mut args)?);
            args.finish()?;
            self.call(async move {
                match keep {
                    None => session.authenticate(&subject).await,
                    Some(keep) => session.authenticate_keeping(&subject, &keep).await,
                }
            })
            .await?
        } else {
            args.finish()?;
            match what {
                "save" => self.call(async move { session.save().await }).await?,
                "rotate" => self.call(async move { session.rotate().await }).await?,
                _ => self.call(async move { session.reissue().await }).await?,
            }
        };
        if let (Some(name), Ok(grant)) = (token_as, &granted) {
            let token = grant.token.clone().ok_or("no token was issued")?;
            self.variables.insert(name, token);
        }
        Ok((granted.map(|grant| outcome::grant(&grant)), Match::Members))
    }
}

fn keep(args: &mut Args) -> Result<Option<KeepFields>, String> {
    Ok(match args.optional("keep") {
        None => None,
        Some(Value::String(all)) if all == "everything" => Some(KeepFields::Everything),
        Some(Value::String(none)) if none == "nothing" => Some(KeepFields::Nothing),
        Some(names) => Some(KeepFields::Named(as_texts("keep", names)?)),
    })
}

fn answer<T>(answer: Result<T, SessionError>, show: impl FnOnce(T) -> Value) -> Outcome {
    answer.map(show).map_err(|error| outcome::error(&error))
}

/// Converts a read field; an absent one is the error `missing`.
fn field(answer: Result<Option<tessera::Value>, SessionError>) -> Outcome {
    match answer {
        Ok(Some(field)) => Ok(value::to_json(&field)),
        Ok(None) => Err(outcome::error_of("missing")),
        Err(error) => Err(outcome::error(&error)),
    }
}

/// Reads the field with its type before `pop` removes it, because the host's own `pop` returns a Rust type.
fn pop(session: &Session, name: &str) -> Outcome {
    let read = session.get_value(name);
    let popped = session.pop::<serde::de::IgnoredAny>(name);
    match (&read, popped) {
        (_, Err(error)) => Err(outcome::error(&error)),
        (Ok(Some(_)), Ok(None)) | (Ok(None), Ok(Some(_))) => Err(outcome::error_of("host")),
        _ => field(read),
    }
}

fn field_step(what: &str, session: &Session, mut args: Args) -> Result<(Outcome, Match), String> {
    let mut how = Match::Members;
    let outcome = match what {
        "get" => field(session.get_value(&args.text("name")?)),
        "set" => {
            let (name, new) = (args.text("name")?, value::from_json(&args.value("value")?)?);
            answer(session.set_value(&name, new), |()| Value::Null)
        }
        "update" => {
            let changes = changes(&args.optional_object("changes")?)?;
            answer(session.update(changes), |()| Value::Null)
        }
        "fill" => {
            let (count, name) = (args.number("count")?, args.text("name")?);
            let new = value::from_json(&args.value("value")?)?;
            let named = |place: u64| (name.replace('#', &place.to_string()), Some(new.clone()));
            answer(session.update((0..count).map(named)), |()| Value::Null)
        }
        "remove" => answer(session.remove(&args.text("name")?), Value::from),
        "pop" => pop(session, &args.text("name")?),
        "clear" => answer(session.clear(), |()| Value::Null),
        "is-modified" => answer(session.is_modified(), Value::from),
        "entries" => {
            how = Match::Exact;
            let entries = session.entries();
            if entries
                .as_ref()
                .is_ok_and(|entries| !entries.is_sorted_by(|one, two| one.0 < two.0))
            {
                return Err("the entries are not ordered by name".to_owned());
            }
            answer(entries, |entries| {
                entries
                    .iter()
                    .map(|(name, field)| (name.clone(), value::to_json(field)))
                    .collect::<Map<_, _>>()
                    .into()
            })
        }
        "entries-json" => answer(session.entries_json(), |text| json!(text)),
        _ => return Err(format!("unknown step {what:?}")),
    };
    args.finish()?;
    Ok((outcome, how))
}

fn changes(changes: &Map<String, Value>) -> Result<Vec<(String, Option<tessera::Value>)>, String> {
    let read = |(name, new): (&String, &Value)| {
        let new = if new.is_null() {
            None
        } else {
            Some(value::from_json(new)?)
        };
        Ok((name.clone(), new))
    };
    changes.iter().map(read).collect()
}
