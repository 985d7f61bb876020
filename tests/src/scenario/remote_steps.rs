//! The steps on hosts and sessions whose engine is in a Worker.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tessera::store::StoreService;
use tessera_contract::form;
use tessera_contract::state::State;

use super::args::{Args, as_list, as_texts};
use super::compare::Match;
use super::outcome::{self, Outcome};
use super::remote::{Host, outcome_of};
use super::remote_session::{Session, What};
use super::runner::Runner;
use super::{BEGINNING_MS, policy, value};

type Step = Result<(Outcome, Match), String>;

/// Reads a 64-bit number, which is a text in the Worker's JSON.
fn digits(value: &Value) -> Option<i128> {
    value.as_str().and_then(|digits| digits.parse().ok())
}

fn moment(value: &Value) -> Value {
    let moment = digits(value).map(|at| at - i128::from(BEGINNING_MS));
    moment
        .and_then(|at| i64::try_from(at).ok())
        .map_or(Value::Null, Value::from)
}

fn kebab(camel: &str) -> String {
    let part = |c: char| {
        if c.is_ascii_uppercase() {
            format!("-{}", c.to_ascii_lowercase())
        } else {
            c.into()
        }
    };
    camel.chars().map(part).collect()
}

fn camel(kebab: &str) -> String {
    let mut words = kebab.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}

/// Converts a record to the form of scenarios: members with WIT's names, and times relative to the scenario's start.
fn record(value: &Value) -> Value {
    const MOMENTS: [&str; 6] = [
        "expiresAt",
        "endsAt",
        "createdAt",
        "authenticatedAt",
        "lastSeenAt",
        "issuedAt",
    ];
    let members = value.as_object().into_iter().flatten();
    let member = |(name, value): (&String, &Value)| {
        let shown = if MOMENTS.contains(&name.as_str()) {
            moment(value)
        } else {
            value.clone()
        };
        (kebab(name), shown)
    };
    members.map(member).collect::<Map<_, _>>().into()
}

fn grant(value: &Value) -> Value {
    let mut grant = record(value);
    grant["token"] = value.get("token").is_some_and(Value::is_string).into();
    grant
}

/// Converts an object of fields to the form of scenarios.
fn fields(text: &Value) -> Result<Value, String> {
    let text = text.as_str().ok_or("the fields are missing")?;
    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let shown = fields.into_iter().map(|(name, raw)| {
        let field = form::decode(raw.get()).ok_or("a field is not a value")?;
        Ok((name, value::to_json(&field)))
    });
    Ok(shown.collect::<Result<Map<_, _>, String>>()?.into())
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

impl<S: StoreService> Runner<S> {
    fn far_host(&self, args: &mut Args) -> Result<Host<S>, String> {
        let name = args.text_or("host", "main")?;
        let hosts = self.remote.as_ref().map(|remote| &remote.hosts);
        hosts
            .and_then(|hosts| hosts.get(&name))
            .cloned()
            .ok_or_else(|| format!("unknown host {name:?}"))
    }

    fn far_session(&self, args: &mut Args) -> Result<Session<S>, String> {
        let name = args.text("on")?;
        let sessions = self.remote.as_ref().map(|remote| &remote.sessions);
        let session = sessions.and_then(|sessions| sessions.get(&name)).cloned();
        session.ok_or_else(|| format!("unknown session {name:?}"))
    }

    fn far_keep(&mut self, name: String, session: Session<S>) {
        if let (Some(remote), false) = (&mut self.remote, name.is_empty()) {
            remote.sessions.insert(name, session);
        }
    }

    pub(super) fn far_key_prefix(&self, args: &mut Args) -> Result<String, String> {
        let host = self.far_host(args)?;
        host.policy["keyPrefix"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| "the policy has no prefix".to_owned())
    }

    pub(super) async fn far_host_step(&mut self, what: &str, mut args: Args) -> Step {
        if what == "configure" {
            let name = args.text("as")?;
            return Ok((self.far_configure(&name, args).await?, Match::Members));
        }
        let host = self.far_host(&mut args)?;
        let mut how = Match::Members;
        let outcome = match what {
            "policy" => {
                how = Match::Exact;
                let number = |value: &Value| {
                    digits(value)
                        .and_then(|number| u64::try_from(number).ok())
                        .map(Value::from)
                };
                let mut shown = Map::from_iter(
                    [
                        ("renew-interval-ms", Value::Null),
                        ("sessions-per-subject", Value::Null),
                    ]
                    .map(|(name, value)| (name.to_owned(), value)),
                );
                for (name, value) in host.policy.as_object().into_iter().flatten() {
                    let value = if name.ends_with("Ms") {
                        number(value).unwrap_or_else(|| value.clone())
                    } else {
                        value.clone()
                    };
                    shown.insert(kebab(name), value);
                }
                Ok(shown.into())
            }
            "create" => {
                let name = args.text("as")?;
                self.far_keep(name, Session::draft(host));
                Ok(Value::Null)
            }
            "open" => {
                let (name, token) = (args.text_or("as", "")?, args.text("token")?);
                let asked = host.clone();
                let call = async move { asked.session_call("open", vec![token.into()], None, false).await };
                let ended = self.far_call(call).await?;
                match outcome_of(&ended.done) {
                    Ok(answer) => {
                        self.far_keep(name, Session::opened(host, &answer, &ended)?);
                        Ok(Value::Null)
                    }
                    Err(error) => Err(error),
                }
            }
            "verify" => {
                let (token, age) = (args.text("token")?, args.optional_number("max-age-ms")?);
                let done = host.method("verify", vec![token.into(), age.into()]).await?;
                outcome_of(&done).map(|claims| {
                    let mut shown = record(&claims);
                    let pairs = claims["data"].as_array().into_iter().flatten();
                    let pair =
                        |pair: &Value| (pair[0].as_str().unwrap_or_default().to_owned(), pair[1].clone());
                    shown["data"] = pairs.map(pair).collect::<Map<_, _>>().into();
                    shown
                })
            }
            "list" => {
                how = Match::AnyOrder;
                self.far_list(host, &mut args).await?
            }
            "revoke" => {
                let arguments = vec![args.text("subject")?.into(), args.text("public-id")?.into()];
                let ended = self.far_progress(host, "revoke", arguments, true).await?;
                ended.map(|ended| Value::from(ended > 0))
            }
            "revoke-all" => {
                let arguments = vec![args.text("subject")?.into(), Value::Null];
                self.far_progress(host, "revoke-all", arguments, false)
                    .await?
                    .map(Value::from)
            }
            "revoke-others" => {
                let session = self.far_session(&mut args)?;
                match session.details().await? {
                    Ok(details) if details.subject.is_none() => Err(outcome::error_of("subject-required")),
                    Ok(details) => {
                        let arguments = vec![json!(details.subject), json!(details.public_id)];
                        self.far_progress(host, "revoke-all", arguments, false)
                            .await?
                            .map(Value::from)
                    }
                    Err(error) => Err(error),
                }
            }
            _ => {
                let (key, name) = (args.text("key")?, args.text_or("as", "")?);
                let done = host.method("jwt-key", vec![key.into()]).await?;
                match outcome_of(&done) {
                    Ok(key) => {
                        let key: Vec<u8> = serde_json::from_value(key).map_err(|error| error.to_string())?;
                        self.variables.insert(name, value::base64url(&key));
                        Ok(json!({"bytes": key.len()}))
                    }
                    Err(error) => Err(error),
                }
            }
        };
        args.finish()?;
        Ok((outcome, how))
    }

    async fn far_list(&mut self, host: Host<S>, args: &mut Args) -> Result<Outcome, String> {
        let (subject, current) = (args.text("subject")?, args.optional_text("current")?);
        let mut cursor = args.optional_text("cursor")?;
        let mut items = Vec::new();
        loop {
            let arguments = vec![json!(subject), json!(current), json!(cursor)];
            let asked = host.clone();
            let done = self
                .far_call(async move { asked.method("list-sessions", arguments).await })
                .await?;
            let page = match outcome_of(&done) {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            for item in page["items"].as_array().into_iter().flatten() {
                let mut shown = record(item);
                shown["fields"] = fields(&item["fields"])?;
                items.push(shown);
            }
            cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                return Ok(Ok(items.into()));
            }
        }
    }

    /// Runs a function that ends sessions over all pages, with `first` only until one was ended.
    /// Returns the number of ended sessions.
    async fn far_progress(
        &mut self,
        host: Host<S>,
        name: &'static str,
        arguments: Vec<Value>,
        first: bool,
    ) -> Result<Result<u64, Value>, String> {
        let (mut cursor, mut ended) = (Value::Null, 0);
        loop {
            let all: Vec<Value> = arguments.iter().cloned().chain([cursor]).collect();
            let asked = host.clone();
            let done = self
                .far_call(async move { asked.method(name, all).await })
                .await?;
            let progress = match outcome_of(&done) {
                Ok(progress) => progress,
                Err(error) => return Ok(Err(error)),
            };
            ended += progress["ended"].as_u64().unwrap_or(0);
            cursor = progress.get("next").cloned().unwrap_or(Value::Null);
            if cursor.is_null() || (first && ended > 0) {
                return Ok(Ok(ended));
            }
        }
    }

    /// Creates a host with the scenario's policy and keys and the changes of the step.
    pub(super) async fn far_configure(&mut self, name: &str, mut args: Args) -> Result<Outcome, String> {
        let (mut changes, mut promises) = (self.scenario.policy.clone(), self.scenario.store.clone());
        changes.append(&mut args.optional_object("policy")?);
        promises.append(&mut args.optional_object("store")?);
        let preset = args
            .optional_text("preset")?
            .or_else(|| self.scenario.preset.clone());
        let keys = keys(args.optional("keys").or_else(|| self.scenario.keys.clone()))?;
        args.finish()?;
        let Some(worker) = self.remote.as_ref().map(|remote| remote.worker.clone()) else {
            return Err("the scenario does not run in a Worker".to_owned());
        };
        let store = policy::promise(&self.store, &promises)?;
        let mut host = Host::instance(&worker, store, self.clock.clone()).await?;
        let preset = preset.unwrap_or_else(|| "standard".to_owned());
        let mut policy = host.call("sessions#starting-policy", json!([preset])).await?;
        for (name, value) in changes {
            policy[camel(&name)] = value;
        }
        let configured = host.configure(policy, keys).await?;
        Ok(configured.map(|_| {
            if let Some(remote) = &mut self.remote {
                remote.hosts.insert(name.to_owned(), host);
            }
            Value::Null
        }))
    }

    pub(super) async fn far_session_step(&mut self, what: &str, mut args: Args) -> Step {
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

/// Reads keys as `{"id", "secret"}`, with the secret in base64url. By default there is one key, `2026-01`.
fn keys(keys: Option<Value>) -> Result<Value, String> {
    let Some(keys) = keys else {
        return Ok(json!([{"id": "2026-01", "secret": vec![7; 32]}]));
    };
    let read = |key: &Value| {
        let mut args = Args::new(key)?;
        let (id, secret) = (args.text("id")?, args.text("secret")?);
        args.finish()?;
        Ok(json!({"id": id, "secret": value::from_base64url(&secret)?}))
    };
    let keys: Result<Vec<Value>, String> = as_list("keys", keys)?.iter().map(read).collect();
    Ok(keys?.into())
}
