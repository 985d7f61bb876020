//! Steps on one session.

use std::sync::Arc;

use serde_json::{Value, json};
use tessera::{KeepFields, Session, SessionError};

use super::RustAdapter;
use crate::adapter::args::{Args, as_texts};
use crate::adapter::outcome::{self, Outcome};
use crate::adapter::value;

impl RustAdapter {
    pub(super) async fn session_step(&self, step: &str, mut members: Args) -> Result<Outcome, String> {
        let session = self.0.names.session(&mut members)?;
        Ok(match step {
            "save" | "rotate" | "authenticate" | "reissue" => {
                return grant_step(step, &session, members).await;
            }
            "touch" => {
                members.finish()?;
                answer(session.touch().await, Value::from)
            }
            "standing" => {
                members.finish()?;
                answer(session.standing().await, outcome::moment)
            }
            "destroy" => {
                members.finish()?;
                answer(session.destroy().await, |()| Value::Null)
            }
            "drop" => {
                members.finish()?;
                self.0.names.sessions.forget(|other| Arc::ptr_eq(other, &session));
                Ok(Value::Null)
            }
            "fork" => {
                let name = members.text("as")?;
                members.finish()?;
                answer(session.fork(), |fork| {
                    self.0.names.keep(name, Arc::new(fork));
                    Value::Null
                })
            }
            "details" => {
                members.finish()?;
                answer(session.details(), |details| outcome::details(&details))
            }
            "csrf-token" => {
                members.finish()?;
                answer(session.csrf_token(), Value::from)
            }
            "check-csrf-token" => {
                let token = members.text("token")?;
                members.finish()?;
                answer(session.check_csrf_token(&token), |()| Value::Null)
            }
            _ => return field_step(step, &session, members),
        })
    }
}

async fn grant_step(step: &str, session: &Session, mut members: Args) -> Result<Outcome, String> {
    let granted = if step == "authenticate" {
        let (subject, keep) = (members.text("subject")?, keep(&mut members)?);
        members.finish()?;
        match keep {
            None => session.authenticate(&subject).await,
            Some(keep) => session.authenticate_keeping(&subject, &keep).await,
        }
    } else {
        members.finish()?;
        match step {
            "save" => session.save().await,
            "rotate" => session.rotate().await,
            _ => session.reissue().await,
        }
    };
    Ok(answer(granted, |grant| outcome::grant(&grant)))
}

fn keep(members: &mut Args) -> Result<Option<KeepFields>, String> {
    Ok(match members.optional("keep") {
        None => None,
        Some(Value::String(all)) if all == "everything" => Some(KeepFields::Everything),
        Some(Value::String(none)) if none == "nothing" => Some(KeepFields::Nothing),
        Some(names) => Some(KeepFields::Named(as_texts("keep", names)?)),
    })
}

fn answer<T>(answer: Result<T, SessionError>, show: impl FnOnce(T) -> Value) -> Outcome {
    answer.map(show).map_err(|error| outcome::error(&error))
}

/// Converts a read field; an absent one is null.
fn field(read: Result<Option<tessera::Value>, SessionError>) -> Outcome {
    answer(read, |field| {
        field.map_or(Value::Null, |field| value::to_json(&field))
    })
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

fn field_step(step: &str, session: &Session, mut members: Args) -> Result<Outcome, String> {
    let outcome = match step {
        "get" => field(session.get_value(&members.text("name")?)),
        "set" => {
            let (name, new) = (members.text("name")?, value::from_json(&members.value("value")?)?);
            answer(session.set_value(&name, new), |()| Value::Null)
        }
        "update" => {
            let changes = value::changes(&members.optional_object("changes")?)?;
            answer(session.update(changes), |()| Value::Null)
        }
        "remove" => answer(session.remove(&members.text("name")?), Value::from),
        "pop" => pop(session, &members.text("name")?),
        "clear" => answer(session.clear(), |()| Value::Null),
        "is-modified" => answer(session.is_modified(), Value::from),
        "entries" => answer(session.entries(), |entries| value::pairs(&entries)),
        "entries-json" => answer(session.entries_json(), |text| json!(text)),
        _ => return Err(format!("unknown step {step:?}")),
    };
    members.finish()?;
    Ok(outcome)
}
