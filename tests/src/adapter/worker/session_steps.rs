//! Steps on one session whose engine is in a Worker.

use serde_json::{Value, json};
use tessera::store::StoreService;
use tessera_contract::state::State;

use super::WorkerAdapter;
use super::json::{moment, record};
use super::session::{Session, What};
use crate::adapter::args::{Args, as_texts};
use crate::adapter::outcome::{self, Outcome};
use crate::adapter::value;

impl<S: StoreService> WorkerAdapter<S> {
    pub(super) async fn session_step(&self, step: &str, members: &mut Args) -> Result<Outcome, String> {
        let session = self.0.names.session(members)?;
        Ok(match step {
            "save" | "rotate" | "authenticate" | "reissue" => grant(step, &session, members).await?,
            "touch" => {
                let touched = write(&session, What::Touch, "touch", vec![]).await?;
                touched.map(|written| written["wrote"].clone())
            }
            "standing" => session.standing().await?.map(|until| moment(&until)),
            "destroy" => write(&session, What::Destroy, "destroy", vec![])
                .await?
                .map(|_| Value::Null),
            "drop" => {
                self.0.names.sessions.forget(|other| other.is(&session));
                Ok(Value::Null)
            }
            "fork" => {
                let name = members.text("as")?;
                session.fork().map(|fork| {
                    self.0.names.keep(name, fork);
                    Value::Null
                })
            }
            "details" => session.details().await?.map(|details| outcome::details(&details)),
            "csrf-token" => session.at_once("csrf-token", vec![]).await?,
            "check-csrf-token" => {
                let token = members.value("token")?;
                session.at_once("check-csrf-token", vec![token]).await?
            }
            "entries" => session.read(State::entries).map(|entries| value::pairs(&entries)),
            "is-modified" => session
                .read(State::details)
                .map(|details| details.modified.into()),
            _ => field_step(step, &session, members)?,
        })
    }
}

async fn grant<S: StoreService>(
    step: &str,
    session: &Session<S>,
    members: &mut Args,
) -> Result<Outcome, String> {
    let more = if step == "authenticate" {
        let subject = members.value("subject")?;
        let keep = match members.optional("keep") {
            None => json!({"tag": "nothing"}),
            Some(Value::String(all)) => json!({ "tag": all }),
            Some(names) => json!({"tag": "named", "val": as_texts("keep", names)?}),
        };
        vec![subject, keep]
    } else {
        vec![]
    };
    let what = match step {
        "reissue" => What::Reissue,
        _ => What::Write,
    };
    let written = write(session, what, step, more).await?;
    Ok(written.map(|written| record(&written["grant"])))
}

/// Runs a call that needs the store. A session has one such call at a time.
async fn write<S: StoreService>(
    session: &Session<S>,
    what: What,
    name: &str,
    more: Vec<Value>,
) -> Result<Outcome, String> {
    let begun = match session.begin(what, more) {
        Ok(Some(begun)) => begun,
        Ok(None) => return Ok(Ok(Value::Null)),
        Err(error) => return Ok(Err(error)),
    };
    let ended = session.ask(name, begun).await?;
    session.end(what, &ended)
}

fn field_step<S: StoreService>(
    step: &str,
    session: &Session<S>,
    members: &mut Args,
) -> Result<Outcome, String> {
    let limits = session.host.limits();
    let update = |changes: Vec<(String, Option<tessera::Value>)>| {
        let updated = session.change(|state| state.update(changes, &limits));
        updated.map(|()| Value::Null)
    };
    Ok(match step {
        "get" => {
            let name = members.text("name")?;
            field(session.read(|state| state.get(&name)))
        }
        "pop" => {
            let name = members.text("name")?;
            field(session.change(|state| {
                let value = state.get(&name)?;
                state.remove(&name)?;
                Ok(value)
            }))
        }
        "remove" => {
            let name = members.text("name")?;
            session.change(|state| state.remove(&name)).map(Value::from)
        }
        "set" => {
            let (name, new) = (members.text("name")?, value::from_json(&members.value("value")?)?);
            update(vec![(name, Some(new))])
        }
        "update" => update(value::changes(&members.optional_object("changes")?)?),
        "clear" => session.change(State::clear).map(|()| Value::Null),
        "entries-json" => session.read(State::entries_json).map(Value::from),
        _ => return Err(format!("unknown step {step:?}")),
    })
}

/// Converts a read field; an absent one is null.
fn field(read: Result<Option<tessera::Value>, Value>) -> Outcome {
    read.map(|field| field.map_or(Value::Null, |field| value::to_json(&field)))
}
