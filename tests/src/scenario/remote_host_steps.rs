//! Steps on a host whose engine is in a Worker.

use serde_json::{Map, Value, json};
use tessera::store::StoreService;

use super::args::{Args, as_list};
use super::compare::Match;
use super::outcome::Outcome;
use super::remote_host::{Host, outcome_of};
use super::remote_json::{camel, digits, kebab, record};
use super::remote_session::Session;
use super::runner::Runner;
use super::{policy, value};

impl<S: StoreService> Runner<S> {
    pub(super) async fn far_host_step(
        &mut self,
        what: &str,
        mut args: Args,
    ) -> Result<(Outcome, Match), String> {
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
            "revoke" | "revoke-all" | "revoke-others" => self.far_revoke(what, host, &mut args).await?,
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
