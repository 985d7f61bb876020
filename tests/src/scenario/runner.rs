//! Runs a scenario step by step.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value};
use tessera::store::StoreService;
use tessera::{Clock as _, Component};
use tokio::sync::mpsc;

use super::compare::{Match, difference};
use super::shown::shown;
use super::{BEGINNING_MS, Scenario, promises, text};
use crate::adapter::args::{Args, as_list, as_text, as_texts};
use crate::adapter::clock::ScenarioClock;
use crate::adapter::process::{Process, ProcessAdapter};
use crate::adapter::rust::{Pace, RustAdapter};
use crate::adapter::worker::WorkerAdapter;
use crate::adapter::{Adapter, Configuration, Key, Manner, Outcome};
use crate::edge::Worker;
use crate::stores::{Fault, Paused, Script, Scripted};

/// The state that the steps of one scenario share.
pub(super) struct Runner<S, A> {
    adapter: A,
    scenario: Scenario,
    pub(super) store: Scripted<S>,
    pub(super) clock: ScenarioClock,
    pub(super) variables: BTreeMap<String, String>,
    paused: mpsc::UnboundedReceiver<Paused>,
}

type Steps<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

/// Runs a scenario over an empty store. Needs a tokio runtime.
///
/// # Errors
/// If a step does not have its expected result. The message names the file, the scenario and the step.
pub async fn run<S: StoreService>(scenario: &Scenario, store: S, pace: Pace) -> Result<(), String> {
    let component = Component::embedded().map_err(|error| error.to_string())?;
    run_on(&component, scenario, store, pace).await
}

/// Runs a scenario on a component other than the embedded one.
///
/// # Errors
/// The errors of [`run`].
pub async fn run_on<S: StoreService>(
    component: &Component,
    scenario: &Scenario,
    store: S,
    pace: Pace,
) -> Result<(), String> {
    let clock = ScenarioClock::new(BEGINNING_MS);
    let adapter = RustAdapter::new(component.clone(), clock.clone(), pace);
    run_with(scenario, store, clock, adapter).await
}

/// Runs a scenario on the engine in a Worker, where no reply of the store is ready at once.
///
/// # Errors
/// The errors of [`run`].
pub async fn run_in_worker<S: StoreService>(
    scenario: &Scenario,
    store: S,
    worker: &Worker,
) -> Result<(), String> {
    let clock = ScenarioClock::new(BEGINNING_MS);
    let adapter = WorkerAdapter::new(worker.clone(), clock.clone());
    run_with(scenario, store, clock, adapter).await
}

/// Runs a scenario on an adapter in a process of its own, which runs one scenario at a time.
///
/// # Errors
/// The errors of [`run`].
pub async fn run_in_process<S: StoreService>(
    scenario: &Scenario,
    store: S,
    process: &Arc<Process>,
    manner: Manner,
) -> Result<(), String> {
    let clock = ScenarioClock::new(BEGINNING_MS);
    let now = clock.clone();
    let adapter = ProcessAdapter::begin(process, Arc::new(move || now.now()), manner).await;
    let named = |error: String| format!("{}: {:?}: {error}", scenario.file, scenario.name);
    run_with(scenario, store, clock, adapter.map_err(named)?).await?;
    process.check().map_err(named)
}

async fn run_with<S: StoreService, A: Adapter<S>>(
    scenario: &Scenario,
    store: S,
    clock: ScenarioClock,
    adapter: A,
) -> Result<(), String> {
    let (store, paused) = Scripted::new(store);
    let mut runner = Runner {
        adapter,
        scenario: scenario.clone(),
        store,
        clock,
        variables: BTreeMap::new(),
        paused,
    };
    let ran = async {
        runner.begin().await?;
        runner.steps(&scenario.steps).await?;
        // Those of calls are in the scripts of their steps.
        let idle = runner.store.swap(Script::default()).questions;
        if idle.is_empty() {
            Ok(())
        } else {
            Err(format!("store operations after the end of their call: {idle:?}"))
        }
    };
    ran.await
        .map_err(|error: String| format!("{}: {:?}: {}", scenario.file, scenario.name, brief(&error)))
}

/// Shortens a message that contains a text of kilobytes.
fn brief(message: &str) -> String {
    const MOST: usize = 1000;
    if message.chars().count() <= MOST {
        return message.to_owned();
    }
    let start: String = message.chars().take(MOST).collect();
    format!("{start} …")
}

impl<S: StoreService, A: Adapter<S>> Runner<S, A> {
    async fn begin(&mut self) -> Result<(), String> {
        let none = Args::new(&Value::Object(Default::default()))?;
        match self.configure("main", none).await? {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the configuration of the host main is refused: {error}")),
        }
    }

    // Boxed, because a step may contain steps.
    fn steps<'a>(&'a mut self, steps: &'a [Value]) -> Steps<'a> {
        Box::pin(async move {
            for (index, step) in steps.iter().enumerate() {
                self.step(step).await.map_err(|error| {
                    let title = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
                    format!("step {} ({} {}): {error}", index + 1, title("do"), title("on"))
                })?;
            }
            Ok(())
        })
    }

    async fn step(&mut self, step: &Value) -> Result<(), String> {
        let mut args = Args::new(&text::substitute(step, &self.variables)?)?;
        let what = args.text("do")?;
        if what == "repeat" {
            let (times, steps) = (args.number("times")?, args.value("steps")?);
            args.finish()?;
            for place in 0..times {
                let steps = as_list("steps", text::number(&steps, place))?;
                self.steps(&steps)
                    .await
                    .map_err(|error| format!("time {place}: {error}"))?;
            }
            return Ok(());
        }
        args.optional("note");
        let expected = args.optional("expect");
        let questions = args
            .optional("questions")
            .map(|list| as_texts("questions", list))
            .transpose()?;
        let before = self.store.swap(script(&mut args)?);
        let outcome = self.perform(&what, args).await;
        let script = self.store.swap(before);
        let (outcome, how) = outcome?;
        check(expected.as_ref(), &outcome, how)?;
        if let Some(left_over) = script.left_over() {
            return Err(left_over);
        }
        match questions {
            Some(expected) if expected != script.questions => Err(format!(
                "expected the questions {expected:?}, got {:?}",
                script.questions
            )),
            _ => Ok(()),
        }
    }

    async fn perform(&mut self, what: &str, mut args: Args) -> Result<(Outcome, Match), String> {
        match what {
            "configure" => {
                let name = args.text("as")?;
                Ok((self.configure(&name, args).await?, Match::Members))
            }
            "advance" | "set-clock" | "tamper" | "forge" | "compare" | "measure" | "read-record"
            | "put-record" | "delete-record" => self.token_step(what, args).await,
            _ => {
                let how = match what {
                    "policy" | "entries" => Match::Exact,
                    "list" => Match::AnyOrder,
                    _ => Match::Members,
                };
                Ok((self.engine_step(what, args).await?, how))
            }
        }
    }

    /// Takes a step on the engine, and keeps the variables of its result.
    async fn engine_step(&mut self, what: &str, mut args: Args) -> Result<Outcome, String> {
        let variable = match what {
            "save" | "rotate" | "authenticate" | "reissue" => args.optional_text("token-as")?,
            "details" => args.optional_text("public-id-as")?,
            "csrf-token" => Some(args.text_or("as", "csrf")?),
            "jwt-key" => args.optional_text("as")?,
            _ => None,
        };
        let (mut step, mut members) = (what, args);
        if what == "fill" {
            (step, members) = ("update", filling(members)?);
        }
        let (adapter, name) = (self.adapter.clone(), step.to_owned());
        let outcome = self
            .call(async move { adapter.perform(&name, members).await })
            .await??;
        if let (Some(variable), Ok(result)) = (variable, &outcome) {
            let text = match what {
                "details" => result.get("public-id"),
                "csrf-token" | "jwt-key" => Some(result),
                _ => result.get("token"),
            };
            let text = text.and_then(Value::as_str).ok_or("no token was issued")?;
            self.variables.insert(variable, text.to_owned());
        }
        shown(step, outcome)
    }

    /// Creates a host with the scenario's policy and keys and the changes of the step.
    async fn configure(&mut self, name: &str, mut args: Args) -> Result<Outcome, String> {
        let (mut policy, mut promised) = (self.scenario.policy.clone(), self.scenario.store.clone());
        policy.append(&mut args.optional_object("policy")?);
        promised.append(&mut args.optional_object("store")?);
        let preset = args
            .optional_text("preset")?
            .or_else(|| self.scenario.preset.clone());
        let keys = keys(args.optional("keys").or_else(|| self.scenario.keys.clone()))?;
        args.finish()?;
        let store = promises::promise(&self.store, &promised)?;
        let with = Configuration { policy, preset, keys };
        self.adapter.configure(name, with, store).await
    }

    /// Runs a call to its end, and meanwhile the steps that its operations wait for.
    async fn call<T>(&mut self, call: impl Future<Output = T>) -> Result<T, String> {
        let mut call = Box::pin(call);
        loop {
            let paused = tokio::select! {
                biased;
                paused = self.paused.recv() => paused,
                answer = &mut call => return Ok(answer),
            };
            if let Some(Paused { steps, go_on }) = paused {
                let done = self.steps(&steps).await;
                // Fails if the call and its receiver are dropped.
                let _ = go_on.send(());
                done.map_err(|error| format!("meanwhile: {error}"))?;
            }
        }
    }

    /// The prefix of all keys of a host.
    pub(super) async fn key_prefix(&self, args: &mut Args) -> Result<String, String> {
        let host: Map<String, Value> = args
            .optional("host")
            .map(|host| ("host".to_owned(), host))
            .into_iter()
            .collect();
        let policy = self.adapter.perform("policy", host.into()).await?;
        let policy = policy.map_err(|error| error.to_string())?;
        as_text("key-prefix", &policy["key-prefix"])
    }
}

/// The changes of a `fill`.
fn filling(mut args: Args) -> Result<Args, String> {
    let (count, name, new) = (args.number("count")?, args.text("name")?, args.value("value")?);
    let named = |place: u64| (name.replace('#', &place.to_string()), new.clone());
    let changes: Map<String, Value> = (0..count).map(named).collect();
    let mut members = args.into_rest();
    members.insert("changes".to_owned(), changes.into());
    Ok(members.into())
}

/// Reads keys. By default there is one, `2026-01`.
fn keys(keys: Option<Value>) -> Result<Vec<Key>, String> {
    match keys {
        Some(keys) => serde_json::from_value(keys).map_err(|error| format!("keys: {error}")),
        None => Ok(vec![Key {
            id: "2026-01".to_owned(),
            secret: vec![7; 32],
        }]),
    }
}

/// Reads the faults and pauses of a step.
fn script(args: &mut Args) -> Result<Script, String> {
    let mut script = Script::default();
    let count =
        |args: &mut Args, name: &str| Ok::<_, String>(args.optional_number(name)?.unwrap_or(1) as usize);
    for fault in args.one_or_more("fault") {
        let mut args = Args::new(&fault)?;
        let (operation, how) = (args.text("op")?, args.text("how")?);
        let (nth, times, back) = (
            count(&mut args, "nth")?,
            count(&mut args, "times")?,
            count(&mut args, "back")?,
        );
        let pause = args.optional_number("ms")?.unwrap_or(250);
        args.finish()?;
        script.fail(operation, nth, times, Fault::named(&how, pause, back)?);
    }
    for meanwhile in args.one_or_more("meanwhile") {
        let mut args = Args::new(&meanwhile)?;
        let (operation, nth, steps) = (
            args.text("before")?,
            count(&mut args, "nth")?,
            args.list("steps")?,
        );
        args.finish()?;
        script.pause(operation, nth, steps);
    }
    Ok(script)
}

fn check(expected: Option<&Value>, outcome: &Outcome, how: Match) -> Result<(), String> {
    let wants_error = expected.is_some_and(|expected| expected.get("error").is_some_and(Value::is_string));
    let (actual, how) = match outcome {
        Err(error) if !wants_error => return Err(format!("expected no error, got {error}")),
        Err(error) => (error, Match::Members),
        Ok(answer) if wants_error => {
            let kind = expected
                .and_then(|expected| expected.get("error"))
                .unwrap_or(&Value::Null);
            return Err(format!(
                "expected the error {}, got {answer}",
                as_text("error", kind)?
            ));
        }
        Ok(answer) => (answer, how),
    };
    match expected.and_then(|expected| difference(expected, actual, how)) {
        None => Ok(()),
        Some(difference) => Err(difference),
    }
}
