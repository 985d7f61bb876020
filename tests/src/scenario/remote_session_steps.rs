//! Steps on one session whose engine is in a Worker.

use serde_json::{Map, Value, json};
use tessera::store::StoreService;
use tessera_contract::state::State;

use super::args::{Args, as_texts};
use super::compare::Match;
use super::outcome::{self, Outcome};
use super::remote_json::{grant, moment};
use super::remote_session::{Session, What};
use super::runner::Runner;
use super::value;

impl<S: StoreService> Runner<S> {
    pub(super) async fn far_session_step(
        &mut self,
        what: &str,
        mut args: Args,
    ) -> Result<(Outcome, Match), String> {
        let session = self.far_session(&mut args)?;
        let mut how = Match::Members;
        let outcome = match what {
            "save" | "rotate" | "authenticate" | "reissue" => {
                self.far_grant(what, session, &mut args).await?
            }
            "touch" => {
                let touched = self.far_write(session, What::Touch, "touch", vec![]).await?;
                touched.map(|written| written["wrote"].clone())
            }
            "standing" => {
                let asked = session.clone();
                let standing = self.far_call(async move { asked.standing().await }).await?;
                standing.map(|until| moment(&until))
            }
            "destroy" => self.far_write(session, What::Destroy, "destroy", vec![]).await?,
            "drop" => {
                if let Some(remote) = &mut self.remote {
                    remote.sessions.retain(|_, other| !other.is(&session));
                }
                Ok(Value::Null)
            }
            "fork" => {
                let name = args.text("as")?;
                session.fork().map(|fork| {
                    self.far_keep(name, fork);
                    Value::Null
                })
            }
            "details" => {
                let reference_as = args.optional_text("public-id-as")?;
                session.details().await?.map(|details| {
                    if let Some(name) = reference_as {
                        self.variables.insert(name, details.public_id.clone());
                    }
                    outcome::details(&details)
                })
            }
            "csrf-token" => {
                let name = args.text_or("as", "csrf")?;
                session.at_once("csrf-token", vec![]).await?.map(|token| {
                    self.variables
                        .insert(name, token.as_str().unwrap_or_default().to_owned());
                    Value::Null
                })
            }
            "check-csrf-token" => {
                let token = args.value("token")?;
                session.at_once("check-csrf-token", vec![token]).await?
            }
            "entries" => {
                how = Match::Exact;
                entries(session.read(State::entries))?
            }
            "is-modified" => session
                .read(State::details)
                .map(|details| details.modified.into()),
            _ => far_field(what, &session, &mut args)?,
        };
        args.finish()?;
        Ok((outcome, how))
    }

    async fn far_grant(
        &mut self,
        what: &str,
        session: Session<S>,
        args: &mut Args,
    ) -> Result<Outcome, String> {
        let token_as = args.optional_text("token-as")?;
        let more = if what == "authenticate" {
            let subject = args.value("subject")?;
            let keep = match args.optional("keep") {
                None => json!({"tag": "nothing"}),
                Some(Value::String(all)) => json!({ "tag": all }),
                Some(names) => json!({"tag": "named", "val": as_texts("keep", names)?}),
            };
            vec![subject, keep]
        } else {
            vec![]
        };
        let (does, name) = match what {
            "save" => (What::Write, "save"),
            "rotate" => (What::Write, "rotate"),
            "reissue" => (What::Reissue, "reissue"),
            _ => (What::Write, "authenticate"),
        };
        let written = self.far_write(session, does, name, more).await?;
        let granted = written.map(|written| written["grant"].clone());
        if let (Some(name), Ok(grant)) = (token_as, &granted) {
            let token = grant
                .get("token")
                .and_then(Value::as_str)
                .ok_or("no token was issued")?;
            self.variables.insert(name, token.to_owned());
        }
        Ok(granted.map(|value| grant(&value)))
    }

    /// Runs a call that needs the store. A session has one such call at a time.
    async fn far_write(
        &mut self,
        session: Session<S>,
        what: What,
        name: &'static str,
        more: Vec<Value>,
    ) -> Result<Outcome, String> {
        let begun = match session.begin(what, more) {
            Ok(Some(begun)) => begun,
            Ok(None) => return Ok(Ok(Value::Null)),
            Err(error) => return Ok(Err(error)),
        };
        let asked = session.clone();
        let ended = self.far_call(async move { asked.ask(name, begun).await }).await?;
        session.end(what, &ended)
    }
}

fn far_field<S: StoreService>(what: &str, session: &Session<S>, args: &mut Args) -> Result<Outcome, String> {
    let limits = session.host.limits();
    let update = |changes: Vec<(String, Option<tessera::Value>)>| {
        let updated = session.change(|state| state.update(changes, &limits));
        updated.map(|()| Value::Null)
    };
    Ok(match what {
        "get" => {
            let name = args.text("name")?;
            field(session.read(|state| state.get(&name)))
        }
        "pop" => {
            let name = args.text("name")?;
            field(session.change(|state| {
                let value = state.get(&name)?;
                state.remove(&name)?;
                Ok(value)
            }))
        }
        "remove" => {
            let name = args.text("name")?;
            session.change(|state| state.remove(&name)).map(Value::from)
        }
        "set" => update(vec![change(&args.text("name")?, &args.value("value")?)?]),
        "update" => {
            let changes = args.optional_object("changes")?;
            let changes: Result<Vec<_>, String> =
                changes.iter().map(|(name, new)| change(name, new)).collect();
            update(changes?)
        }
        "fill" => {
            let (count, name, new) = (args.number("count")?, args.text("name")?, args.value("value")?);
            let named = |place: u64| change(&name.replace('#', &place.to_string()), &new);
            let changes: Result<Vec<_>, String> = (0..count).map(named).collect();
            update(changes?)
        }
        "clear" => session.change(State::clear).map(|()| Value::Null),
        "entries-json" => session.read(State::entries_json).map(Value::from),
        _ => return Err(format!("unknown step {what:?}")),
    })
}

/// Reads a change of a scenario.
fn change(name: &str, new: &Value) -> Result<(String, Option<tessera::Value>), String> {
    let new = if new.is_null() {
        None
    } else {
        Some(value::from_json(new)?)
    };
    Ok((name.to_owned(), new))
}

/// Converts a read field; an absent one is the error `missing`.
fn field(read: Result<Option<tessera::Value>, Value>) -> Outcome {
    match read? {
        Some(field) => Ok(value::to_json(&field)),
        None => Err(outcome::error_of("missing")),
    }
}

/// Converts all fields to the form of scenarios, and checks that they are ordered by name.
fn entries(read: Result<Vec<(String, tessera::Value)>, Value>) -> Result<Outcome, String> {
    let entries = match read {
        Ok(entries) => entries,
        Err(error) => return Ok(Err(error)),
    };
    if !entries.is_sorted_by(|one, two| one.0 < two.0) {
        return Err("the entries are not ordered by name".to_owned());
    }
    let shown = entries
        .iter()
        .map(|(name, field)| (name.clone(), value::to_json(field)));
    Ok(Ok(shown.collect::<Map<_, _>>().into()))
}
