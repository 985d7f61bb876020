//! Steps on an engine in a Worker.

use serde_json::{Map, Value};
use tessera::store::StoreService;

use super::WorkerAdapter;
use super::host::{Host, outcome_of};
use super::json::{digits, kebab, record};
use super::session::Session;
use crate::adapter::args::Args;
use crate::adapter::outcome::Outcome;
use crate::adapter::value;

impl<S: StoreService> WorkerAdapter<S> {
    pub(super) async fn host_step(
        &self,
        host: Host<S>,
        step: &str,
        members: &mut Args,
    ) -> Result<Outcome, String> {
        Ok(match step {
            "policy" => Ok(policy(&host.policy)),
            "create" => {
                self.0.names.keep(members.text("as")?, Session::draft(host));
                Ok(Value::Null)
            }
            "open" => {
                let (name, token) = (members.text_or("as", "")?, members.text("token")?);
                let ended = host.session_call("open", vec![token.into()], None, false).await?;
                match outcome_of(&ended.done) {
                    Ok(answer) => {
                        self.0.names.keep(name, Session::opened(host, &answer, &ended)?);
                        Ok(Value::Null)
                    }
                    Err(error) => Err(error),
                }
            }
            "verify" => {
                let (token, age) = (members.text("token")?, members.optional_number("max-age-ms")?);
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
            _ => {
                let key = members.text("key")?;
                let done = host.method("jwt-key", vec![key.into()]).await?;
                match outcome_of(&done) {
                    Ok(key) => {
                        let key: Vec<u8> = serde_json::from_value(key).map_err(|error| error.to_string())?;
                        Ok(value::base64url(&key).into())
                    }
                    Err(error) => Err(error),
                }
            }
        })
    }
}

/// Shows a policy with WIT's names.
fn policy(policy: &Value) -> Value {
    let number = |value: &Value| {
        digits(value)
            .and_then(|number| u64::try_from(number).ok())
            .map(Value::from)
    };
    let absent = ["renew-interval-ms", "sessions-per-subject"];
    let mut shown = Map::from_iter(absent.map(|name| (name.to_owned(), Value::Null)));
    for (name, value) in policy.as_object().into_iter().flatten() {
        let value = if name.ends_with("Ms") {
            number(value).unwrap_or_else(|| value.clone())
        } else {
            value.clone()
        };
        shown.insert(kebab(name), value);
    }
    shown.into()
}
