//! A host whose engine is in a Worker.
//!
//! Each pass of a call is one HTTP request. A store operation of the engine is performed here on the scenario's store, with
//! its faults, and the next pass has the reply.

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::{Value, json};
use tessera::store::{StoreOp, StoreService};
use tessera::{Clock as _, Timestamp};
use tessera_contract::form::FieldLimits;
use tessera_contract::store::{Seed, Seen};

use super::json::camel;
use crate::adapter::Configuration;
use crate::adapter::clock::ScenarioClock;
use crate::adapter::outcome::Outcome;
use crate::edge::Worker;
use crate::stores::Scripted;

/// An engine in a Worker, with a policy and keys.
pub(super) struct Host<S> {
    worker: Worker,
    /// The instance, which only this engine uses.
    instance: u64,
    /// The engine's number in the instance.
    engine: Value,
    pub(super) policy: Value,
    /// The handle of a session that was never saved.
    pub(super) draft: Arc<str>,
    store: Scripted<S>,
    clock: ScenarioClock,
}

// Not derived, because the derived implementation would require `S: Clone`.
impl<S> Clone for Host<S> {
    fn clone(&self) -> Self {
        Self {
            worker: self.worker.clone(),
            instance: self.instance,
            engine: self.engine.clone(),
            policy: self.policy.clone(),
            draft: Arc::clone(&self.draft),
            store: self.store.clone(),
            clock: self.clock.clone(),
        }
    }
}

/// The end of a call on a session.
pub(super) struct Ended {
    /// The `result` of the function.
    pub(super) done: Value,
    /// The entries that the call read and wrote.
    pub(super) seen: Seen,
    /// The last time that the engine received.
    pub(super) told_at: Timestamp,
}

/// Converts an error of the engine.
fn error_of(error: &Value) -> Value {
    json!({
        "error": error["kind"],
        "about": error["about"],
        "reason": error["reason"],
        "number": error["number"].as_str().and_then(|digits| digits.parse::<u64>().ok()),
    })
}

/// Converts a `result` to an outcome.
pub(super) fn outcome_of(done: &Value) -> Outcome {
    match done["tag"].as_str() {
        Some("ok") => Ok(done.get("val").cloned().unwrap_or(Value::Null)),
        _ => Err(error_of(&done["val"])),
    }
}

impl<S: StoreService> Host<S> {
    /// Creates an instance over a store. Its engine is not configured yet.
    pub(super) async fn instance(
        worker: &Worker,
        store: Scripted<S>,
        clock: ScenarioClock,
    ) -> Result<Self, String> {
        let promised = serde_json::to_value(store.describe()).map_err(|error| error.to_string())?;
        let made = ask(worker, "POST", "/test/engine", Some(promised)).await?;
        let instance = made["engine"].as_u64().ok_or("the Worker returned no instance")?;
        Ok(Self {
            worker: worker.clone(),
            instance,
            engine: Value::Null,
            policy: Value::Null,
            draft: "".into(),
            store,
            clock,
        })
    }

    /// Configures the engine. If that succeeds, keeps its number, the policy and the handle of a draft.
    pub(super) async fn configure(&mut self, with: Configuration) -> Result<Outcome, String> {
        let preset = with.preset.unwrap_or_else(|| "standard".to_owned());
        let mut policy = self.call("sessions#starting-policy", json!([preset])).await?;
        for (name, value) in with.policy {
            policy[camel(&name)] = value;
        }
        let keys = with.keys.into_iter();
        let keys: Value = keys
            .map(|key| json!({"id": key.id, "secret": key.secret}))
            .collect();
        let done = self.call("sessions#configure", json!([policy, keys])).await?;
        let configured = outcome_of(&done);
        if let Ok(engine) = &configured {
            (self.engine, self.policy) = (engine.clone(), policy);
            let draft = outcome_of(&self.method("draft", vec![]).await?);
            let draft = draft.map_err(|error| error.to_string())?;
            self.draft = draft.as_str().ok_or("a draft has no handle")?.into();
        }
        Ok(configured.map(|_| Value::Null))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The policy's limits for fields.
    pub(super) fn limits(&self) -> FieldLimits {
        let limit = |name: &str| {
            let limit = self.policy[name].as_u64();
            limit
                .and_then(|limit| u32::try_from(limit).ok())
                .unwrap_or_default()
        };
        FieldLimits {
            maximum_name_bytes: limit("maximumNameBytes"),
            maximum_value_bytes: limit("maximumValueBytes"),
            maximum_record_bytes: limit("maximumRecordBytes"),
            maximum_fields: limit("maximumFields"),
        }
    }

    /// Calls a function of the engine.
    pub(super) async fn method(&self, name: &str, arguments: Vec<Value>) -> Result<Value, String> {
        Ok(self.session_call(name, arguments, None, false).await?.done)
    }

    /// Calls a function of the engine on a session with this seed. With `at_once`, only the seed replies to the engine.
    pub(super) async fn session_call(
        &self,
        name: &str,
        arguments: Vec<Value>,
        seed: Option<Seed>,
        at_once: bool,
    ) -> Result<Ended, String> {
        let all: Vec<Value> = [self.engine.clone()].into_iter().chain(arguments).collect();
        self.run(&format!("sessions#{name}"), all.into(), seed, at_once)
            .await
    }

    /// Runs a logical call to its end.
    pub(super) async fn call(&self, name: &str, arguments: Value) -> Result<Value, String> {
        Ok(self.run(name, arguments, None, false).await?.done)
    }

    async fn run(
        &self,
        name: &str,
        arguments: Value,
        seed: Option<Seed>,
        at_once: bool,
    ) -> Result<Ended, String> {
        let now = || self.clock.now().as_millis();
        let begin = json!({"engine": self.instance, "name": name, "arguments": arguments, "now": now()});
        let mut answer = ask(&self.worker, "POST", "/test/call", Some(begin)).await?;
        let (mut seen, mut seed) = (Seen::default(), seed);
        loop {
            let passed = &answer["passed"];
            let at = Timestamp::from_millis(passed["now"].as_u64().unwrap_or_default());
            let Some(asked) = passed.get("asked") else {
                return Ok(Ended {
                    done: passed.get("done").cloned().unwrap_or(Value::Null),
                    seen,
                    told_at: at,
                });
            };
            let op = StoreOp::deserialize(asked).map_err(|error| {
                format!("the engine requested an invalid store operation: {asked}: {error}")
            })?;
            // The seed replies only to the first operation.
            let answers = if at_once { Seed::reply_at_once } else { Seed::reply };
            let known = seed.take().and_then(|seed| answers(&seed, &op, at));
            let reply = match known {
                Some(reply) => reply,
                None if at_once => return Err(format!("{name} must not wait for the store: {asked}")),
                None => self.store.call(self.clock.now(), &op).await,
            };
            seen.learn(&op, &reply);
            let on = json!({"call": answer["call"], "answer": reply, "now": now()});
            answer = ask(&self.worker, "POST", "/test/answer", Some(on)).await?;
        }
    }
}

/// Sends a request from a thread that may block.
async fn ask(
    worker: &Worker,
    method: &'static str,
    path: &'static str,
    body: Option<Value>,
) -> Result<Value, String> {
    let worker = worker.clone();
    let asked = tokio::task::spawn_blocking(move || worker.ask(method, path, body.as_ref())).await;
    asked.map_err(|error| error.to_string())?
}
