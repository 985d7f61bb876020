//! The steps on hosts and sessions, where the engine is in a Worker.

use serde_json::{Map, Value, json};
use tessera::store::Store;

use super::args::{Args, as_list, as_texts};
use super::compare::Match;
use super::outcome::{self, Outcome};
use super::remote::{Host, Session, outcome_of};
use super::runner::Runner;
use super::{BEGINNING_MS, policy, value};

type Step = Result<(Outcome, Match), String>;

/// A number of 64 bits is a text there.
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

/// The members of a record by their names in WIT; those of these names are moments, and so counted from the beginning.
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

/// A field's value as scenarios have it.
fn from_wire(field: &Value) -> Result<Value, String> {
    let val = field.get("val").cloned().unwrap_or(Value::Null);
    Ok(match field["tag"].as_str().unwrap_or_default() {
        "null" => json!({"null": true}),
        "bytes" => {
            let bytes: Vec<u8> = serde_json::from_value(val).map_err(|error| error.to_string())?;
            json!({"bytes": value::base64url(&bytes)})
        }
        "float" => {
            let float = val.as_f64().or_else(|| val.as_str()?.parse().ok());
            value::to_json(&tessera::Value::Float(float.ok_or("a float is no number")?))
        }
        kind => json!({ kind: val }),
    })
}

/// A scenario's value as the engine takes it.
fn to_wire(field: &Value) -> Result<Value, String> {
    Ok(match value::from_json(field)? {
        tessera::Value::Null => json!({"tag": "null"}),
        tessera::Value::Boolean(value) => json!({"tag": "boolean", "val": value}),
        tessera::Value::Integer(value) => json!({"tag": "integer", "val": value.to_string()}),
        // What JSON has no words for, JavaScript reads from a text.
        tessera::Value::Float(value) if value.is_infinite() => {
            json!({"tag": "float", "val": if value > 0.0 { "Infinity" } else { "-Infinity" }})
        }
        tessera::Value::Float(value) if value.is_nan() => json!({"tag": "float", "val": "NaN"}),
        tessera::Value::Float(value) => json!({"tag": "float", "val": format!("{value:?}")}),
        tessera::Value::Text(value) => json!({"tag": "text", "val": value}),
        tessera::Value::Bytes(value) => json!({"tag": "bytes", "val": value}),
        tessera::Value::Json(value) => json!({"tag": "json", "val": value}),
    })
}

fn fields(list: &Value) -> Result<Value, String> {
    let list = list.as_array().ok_or("there are no fields")?;
    let one = |field: &Value| {
        Ok((
            field["name"].as_str().unwrap_or_default().to_owned(),
            from_wire(&field["value"])?,
        ))
    };
    Ok(list
        .iter()
        .map(one)
        .collect::<Result<Map<_, _>, String>>()?
        .into())
}

fn change(name: &str, new: &Value) -> Result<Value, String> {
    if new.is_null() {
        return Ok(json!({"name": name}));
    }
    Ok(json!({"name": name, "value": to_wire(new)?}))
}

impl<S: Store> Runner<S> {
    fn far_host(&self, args: &mut Args) -> Result<Host<S>, String> {
        let name = args.text_or("host", "main")?;
        let hosts = self.remote.as_ref().map(|remote| &remote.hosts);
        hosts
            .and_then(|hosts| hosts.get(&name))
            .cloned()
            .ok_or_else(|| format!("there is no host {name:?}"))
    }

    fn far_session(&self, args: &mut Args) -> Result<Session<S>, String> {
        let name = args.text("on")?;
        let sessions = self.remote.as_ref().map(|remote| &remote.sessions);
        let session = sessions.and_then(|sessions| sessions.get(&name)).cloned();
        session.ok_or_else(|| format!("there is no session {name:?}"))
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
                        ("sessions-per-owner", Value::Null),
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
                let handle = host.method("create", vec![]).await?;
                self.far_keep(name, host.session(handle));
                Ok(Value::Null)
            }
            "open" => {
                let (name, token) = (args.text_or("as", "")?, args.text("token")?);
                let asked = host.clone();
                let done = self
                    .far_call(async move { asked.method("open", vec![token.into()]).await })
                    .await?;
                outcome_of(&done).map(|handle| {
                    self.far_keep(name, host.session(handle));
                    Value::Null
                })
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
                let arguments = vec![args.text("subject")?.into(), args.text("reference")?.into()];
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
                let details = session.method("details", vec![]).await?;
                if details["subject"].is_null() {
                    Err(outcome::error_of("subject-required"))
                } else {
                    let arguments = vec![details["subject"].clone(), details["reference"].clone()];
                    self.far_progress(host, "revoke-all", arguments, false)
                        .await?
                        .map(Value::from)
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

    /// Goes over all pages of what ends sessions; `first`: until one was ended.
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

    /// Makes a host: the scenario's policy and keys, changed as the step says.
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
            return Err("this scenario runs in no Worker".to_owned());
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
            "touch" => outcome_of(&self.on_handle(session, "touch", vec![]).await?),
            "destroy" => outcome_of(&self.on_handle(session, "destroy", vec![]).await?),
            "drop" => {
                if self
                    .remote
                    .as_ref()
                    .is_some_and(|remote| remote.may_drop(&session))
                {
                    session.drop_it().await?;
                }
                if let Some(remote) = &mut self.remote {
                    remote.sessions.retain(|_, other| !other.is(&session));
                }
                Ok(Value::Null)
            }
            "fork" => {
                let name = args.text("as")?;
                let done = self.on_handle(session.clone(), "fork", vec![]).await?;
                outcome_of(&done).map(|handle| {
                    self.far_keep(name, session.host.session(handle));
                    Value::Null
                })
            }
            "details" => {
                let reference_as = args.optional_text("reference-as")?;
                let details = self.on_handle(session, "details", vec![]).await?;
                if details["tag"] == "err" {
                    outcome_of(&details)
                } else {
                    if let (Some(name), Some(reference)) = (reference_as, details["reference"].as_str()) {
                        self.variables.insert(name, reference.to_owned());
                    }
                    Ok(record(&details))
                }
            }
            "csrf-token" => {
                let name = args.text_or("as", "csrf")?;
                let done = self.on_handle(session, "csrf-token", vec![]).await?;
                outcome_of(&done).map(|token| {
                    self.variables
                        .insert(name, token.as_str().unwrap_or_default().to_owned());
                    Value::Null
                })
            }
            "check-csrf-token" => {
                let token = args.value("token")?;
                outcome_of(&self.on_handle(session, "check-csrf-token", vec![token]).await?)
            }
            "entries" => {
                how = Match::Exact;
                match outcome_of(&self.on_handle(session, "entries", vec![]).await?) {
                    Ok(entries) => Ok(in_order(&entries).and_then(|()| fields(&entries))?),
                    Err(error) => Err(error),
                }
            }
            "is-modified" => {
                let answer = self.on_handle(session, "is-modified", vec![]).await?;
                if answer.is_boolean() {
                    Ok(answer)
                } else {
                    outcome_of(&answer)
                }
            }
            _ => self.far_field(what, session, &mut args).await?,
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
        let (name, arguments) = match what {
            "save" => ("save", vec![]),
            "rotate" => ("rotate", vec![]),
            "reissue" => ("reissue", vec![]),
            _ => {
                let subject = args.value("subject")?;
                let survivors = match args.optional("survivors") {
                    None => json!({"tag": "nothing"}),
                    Some(Value::String(all)) => json!({ "tag": all }),
                    Some(names) => json!({"tag": "named", "val": as_texts("survivors", names)?}),
                };
                ("authenticate", vec![subject, survivors])
            }
        };
        let done = self.on_handle(session, name, arguments).await?;
        let granted = outcome_of(&done);
        if let (Some(name), Ok(grant)) = (token_as, &granted) {
            let token = grant
                .get("token")
                .and_then(Value::as_str)
                .ok_or("no token was handed out")?;
            self.variables.insert(name, token.to_owned());
        }
        Ok(granted.map(|value| grant(&value)))
    }

    async fn far_field(
        &mut self,
        what: &str,
        session: Session<S>,
        args: &mut Args,
    ) -> Result<Outcome, String> {
        let (name, arguments) = match what {
            "get" => ("get", vec![args.value("name")?]),
            "pop" => ("pop", vec![args.value("name")?]),
            "remove" => ("remove", vec![args.value("name")?]),
            "set" => ("set", vec![args.value("name")?, to_wire(&args.value("value")?)?]),
            "update" => {
                let changes = args.optional_object("changes")?;
                let changes: Result<Vec<_>, String> =
                    changes.iter().map(|(name, new)| change(name, new)).collect();
                ("update", vec![changes?.into()])
            }
            "fill" => {
                let (count, name, new) = (args.number("count")?, args.text("name")?, args.value("value")?);
                let named = |place: u64| change(&name.replace('#', &place.to_string()), &new);
                let changes: Result<Vec<_>, String> = (0..count).map(named).collect();
                ("update", vec![changes?.into()])
            }
            "clear" => ("clear", vec![]),
            "entries-json" => ("entries-json", vec![]),
            _ => return Err(format!("there is no step {what:?}")),
        };
        let outcome = outcome_of(&self.on_handle(session, name, arguments).await?);
        match outcome {
            Ok(field) if matches!(name, "get" | "pop") => Ok(Ok(from_wire(&field)?)),
            outcome => Ok(outcome),
        }
    }
}

fn in_order(entries: &Value) -> Result<(), String> {
    let names: Vec<&str> = entries
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|field| field["name"].as_str())
        .collect();
    if names.is_sorted_by(|one, two| one < two) {
        return Ok(());
    }
    Err("the entries are not ordered by name".to_owned())
}

/// Keys as `{"id", "secret"}`, the secret in base64url; without any, one named `2026-01`.
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
