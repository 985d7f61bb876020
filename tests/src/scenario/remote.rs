//! Scenarios on an engine in a Worker. Each pass of a call is asked over HTTP; where the engine asks the store, the scenario's
//! own is asked here, faults and all, and the call is made again with the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tessera::store::Store;
use tessera::{Clock as _, SessionError};

use super::outcome::{self, Outcome};
use super::runner::{Runner, ScenarioClock};
use crate::edge::{self, Worker};
use crate::stores::Scripted;

/// An engine in a Worker, with a policy and keys.
pub(super) struct Host<S> {
    worker: Worker,
    /// The instance, which this engine has to itself.
    instance: u64,
    /// What the instance knows the engine by.
    engine: Value,
    pub(super) policy: Value,
    store: Scripted<S>,
    clock: ScenarioClock,
}

/// A session's handle in it.
pub(super) struct Session<S> {
    pub(super) host: Host<S>,
    handle: Value,
}

// Derived, they would ask the store to be `Clone`.
impl<S> Clone for Host<S> {
    fn clone(&self) -> Self {
        Self {
            worker: self.worker.clone(),
            instance: self.instance,
            engine: self.engine.clone(),
            policy: self.policy.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
        }
    }
}

impl<S> Clone for Session<S> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            handle: self.handle.clone(),
        }
    }
}

/// What a scenario in a Worker has beside what every scenario has.
pub(super) struct Remote<S> {
    pub(super) worker: Worker,
    pub(super) hosts: BTreeMap<String, Host<S>>,
    pub(super) sessions: BTreeMap<String, Session<S>>,
    /// Handles on which a call has not ended, each with its instance; and whether it was dropped meanwhile.
    busy: Arc<Mutex<BTreeMap<(u64, String), bool>>>,
}

impl<S> Remote<S> {
    /// Whether a handle can be freed now; one on which a call has not ended is freed when that ends.
    pub(super) fn may_drop(&self, session: &Session<S>) -> bool {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        match busy.get_mut(&session.name()) {
            Some(dropped) => {
                *dropped = true;
                false
            }
            None => true,
        }
    }

    pub(super) fn new(worker: Worker) -> Self {
        Self {
            worker,
            hosts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            busy: Arc::default(),
        }
    }
}

/// The error of the engine, as scenarios have it.
fn error_of(error: &Value) -> Value {
    json!({
        "error": error["kind"],
        "about": error["about"],
        "reason": error["reason"],
        "number": error["number"].as_str().and_then(|digits| digits.parse::<u64>().ok()),
    })
}

/// A `result` as an outcome.
pub(super) fn outcome_of(done: &Value) -> Outcome {
    match done["tag"].as_str() {
        Some("ok") => Ok(done.get("val").cloned().unwrap_or(Value::Null)),
        _ => Err(error_of(&done["val"])),
    }
}

impl<S: Store> Host<S> {
    /// A new instance over a store, and the policy to start from.
    pub(super) async fn instance(
        worker: &Worker,
        store: Scripted<S>,
        clock: ScenarioClock,
    ) -> Result<Self, String> {
        let promised = edge::capabilities(&store.describe());
        let made = ask(worker, "POST", "/test/engine", Some(promised)).await?;
        let instance = made["engine"].as_u64().ok_or("there is no instance")?;
        Ok(Self {
            worker: worker.clone(),
            instance,
            engine: Value::Null,
            policy: Value::Null,
            store,
            clock,
        })
    }

    /// The engine's own configuration: an answer is kept.
    pub(super) async fn configure(&mut self, policy: Value, keys: Value) -> Result<Outcome, String> {
        let done = self
            .call("sessions#[static]engine.configure", json!([policy, keys]))
            .await?;
        let configured = outcome_of(&done);
        if let Ok(engine) = &configured {
            (self.engine, self.policy) = (engine.clone(), policy);
        }
        Ok(configured)
    }

    /// A call of a method of the engine.
    pub(super) async fn method(&self, name: &str, arguments: Vec<Value>) -> Result<Value, String> {
        let all: Vec<Value> = [self.engine.clone()].into_iter().chain(arguments).collect();
        self.call(&format!("sessions#[method]engine.{name}"), all.into())
            .await
    }

    /// A logical call, to its end.
    pub(super) async fn call(&self, name: &str, arguments: Value) -> Result<Value, String> {
        let now = || self.clock.now().as_millis();
        let begin = json!({"engine": self.instance, "name": name, "arguments": arguments, "now": now()});
        let mut answer = ask(&self.worker, "POST", "/test/call", Some(begin)).await?;
        loop {
            let passed = &answer["passed"];
            let Some(asked) = passed.get("asked") else {
                return Ok(passed.get("done").cloned().unwrap_or(Value::Null));
            };
            let told = edge::answer(&self.store, self.clock.now(), asked).await;
            let told = told.ok_or_else(|| format!("the engine asks what no store is asked: {asked}"))?;
            let on = json!({"call": answer["call"], "answer": told, "now": now()});
            answer = ask(&self.worker, "POST", "/test/answer", Some(on)).await?;
        }
    }

    pub(super) fn session(&self, handle: Value) -> Session<S> {
        Session {
            host: self.clone(),
            handle,
        }
    }
}

/// Waits on a thread that may wait.
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

impl<S> Session<S> {
    fn name(&self) -> (u64, String) {
        (self.host.instance, self.handle.to_string())
    }
}

impl<S: Store> Session<S> {
    pub(super) async fn method(&self, name: &str, arguments: Vec<Value>) -> Result<Value, String> {
        let all: Vec<Value> = [self.handle.clone()].into_iter().chain(arguments).collect();
        self.host
            .call(&format!("sessions#[method]session.{name}"), all.into())
            .await
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        (self.host.instance, &self.handle) == (other.host.instance, &other.handle)
    }

    /// Frees the handle in the component.
    pub(super) async fn drop_it(&self) -> Result<(), String> {
        self.host
            .call("sessions#[dtor]session", json!([self.handle]))
            .await
            .map(|_| ())
    }
}

impl<S: Store> Runner<S> {
    /// One call at a time on a handle: this is the driver's own to keep.
    pub(super) async fn on_handle(
        &mut self,
        session: Session<S>,
        name: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, String> {
        let Some(remote) = &self.remote else {
            return Err("this scenario runs in no Worker".to_owned());
        };
        let (busy, handle) = (Arc::clone(&remote.busy), session.name());
        let all = || busy.lock().unwrap_or_else(PoisonError::into_inner);
        if all().contains_key(&handle) {
            let error = json!({"kind": "busy", "about": "", "reason": "", "number": "0"});
            return Ok(json!({"tag": "err", "val": error}));
        }
        all().insert(handle.clone(), false);
        let asked = session.clone();
        let answer = self
            .far_call(async move { asked.method(name, arguments).await })
            .await;
        if all().remove(&handle) == Some(true) {
            session.drop_it().await?;
        }
        answer
    }

    /// As [`Runner::call`] for a call far away, with whose outcome it does nothing.
    pub(super) async fn far_call(
        &mut self,
        call: impl Future<Output = Result<Value, String>>,
    ) -> Result<Value, String> {
        let answered = self
            .call(async move { Ok::<_, SessionError>(call.await) })
            .await?;
        answered.map_err(|error| outcome::error_of(&error.to_string()).to_string())?
    }
}
