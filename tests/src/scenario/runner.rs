//! Runs a scenario step by step.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use tessera::store::StoreService;
use tessera::{Component, Session, SessionError, Sessions};
use tokio::sync::mpsc;

use super::args::{Args, as_text, as_texts};
use super::clock::ScenarioClock;
use super::compare::{Match, difference};
use super::outcome::Outcome;
use super::remote::Remote;
use super::{BEGINNING_MS, Scenario, outcome, text};
use crate::edge::Worker;
use crate::stores::{Fault, Paused, Script, Scripted};

/// The pace of the store's replies, and the host's memory of opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Replies as the store gives them.
    Own,
    /// The same, and hosts do not remember opens.
    Forgetful,
    /// No reply is ready at the first poll.
    NeverReady,
}

/// The state that the steps of one scenario share.
pub(super) struct Runner<S> {
    pub(super) component: Component,
    pub(super) scenario: Scenario,
    pub(super) pace: Pace,
    pub(super) store: Scripted<S>,
    pub(super) clock: ScenarioClock,
    pub(super) hosts: BTreeMap<String, Sessions>,
    pub(super) sessions: BTreeMap<String, Arc<Session>>,
    pub(super) variables: BTreeMap<String, String>,
    /// The hosts and sessions, instead of those above, if the engine is in a Worker.
    pub(super) remote: Option<Remote<S>>,
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
    run_with(component, scenario, store, pace, None).await
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
    let component = Component::embedded().map_err(|error| error.to_string())?;
    let remote = Remote::new(worker.clone());
    run_with(&component, scenario, store, Pace::NeverReady, Some(remote)).await
}

async fn run_with<S: StoreService>(
    component: &Component,
    scenario: &Scenario,
    store: S,
    pace: Pace,
    remote: Option<Remote<S>>,
) -> Result<(), String> {
    let (store, paused) = Scripted::new(store);
    let clock = ScenarioClock::new(BEGINNING_MS);
    let (hosts, sessions, variables) = Default::default();
    let mut runner = Runner {
        component: component.clone(),
        scenario: scenario.clone(),
        pace,
        store,
        clock,
        hosts,
        sessions,
        variables,
        remote,
        paused,
    };
    let ran = async {
        runner.begin().await?;
        runner.steps(&scenario.steps).await?;
        Ok(())
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

impl<S: StoreService> Runner<S> {
    async fn begin(&mut self) -> Result<(), String> {
        let none = Args::new(&Value::Object(Default::default()))?;
        let configured = if self.remote.is_some() {
            self.far_configure("main", none).await?
        } else {
            self.configure("main", none)?
        };
        match configured {
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
                let steps = super::args::as_list("steps", text::number(&steps, place))?;
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

    async fn perform(&mut self, what: &str, args: Args) -> Result<(Outcome, Match), String> {
        match what {
            "configure" | "policy" | "create" | "open" | "verify" | "list" | "revoke" | "revoke-all"
            | "revoke-others" | "jwt-key" => {
                if self.remote.is_some() {
                    return self.far_host_step(what, args).await;
                }
                self.host_step(what, args).await
            }
            "advance" | "set-clock" | "tamper" | "forge" | "compare" | "measure" | "read-record"
            | "put-record" | "delete-record" => self.token_step(what, args).await,
            _ if self.remote.is_some() => self.far_session_step(what, args).await,
            _ => self.session_step(what, args).await,
        }
    }

    /// Runs a call to its end, and meanwhile the steps that its operations wait for.
    pub(super) async fn call<T>(
        &mut self,
        call: impl Future<Output = Result<T, SessionError>>,
    ) -> Result<Result<T, Value>, String> {
        let mut call = Box::pin(call);
        loop {
            let paused = tokio::select! {
                biased;
                paused = self.paused.recv() => paused,
                answer = &mut call => return Ok(answer.map_err(|error| outcome::error(&error))),
            };
            if let Some(Paused { steps, go_on }) = paused {
                let done = self.steps(&steps).await;
                // Fails if the call and its receiver are dropped.
                let _ = go_on.send(());
                done.map_err(|error| format!("meanwhile: {error}"))?;
            }
        }
    }

    pub(super) fn host(&self, args: &mut Args) -> Result<Sessions, String> {
        let name = args.text_or("host", "main")?;
        self.hosts
            .get(&name)
            .cloned()
            .ok_or_else(|| format!("unknown host {name:?}"))
    }

    /// The prefix of all keys of a host.
    pub(super) fn key_prefix(&self, args: &mut Args) -> Result<String, String> {
        if self.remote.is_some() {
            return self.far_key_prefix(args);
        }
        Ok(self.host(args)?.policy().key_prefix.clone())
    }

    pub(super) fn session(&self, args: &mut Args) -> Result<Arc<Session>, String> {
        let name = args.text("on")?;
        self.sessions
            .get(&name)
            .cloned()
            .ok_or_else(|| format!("unknown session {name:?}"))
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
