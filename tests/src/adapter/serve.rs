//! The Rust host as an adapter in a process of its own: reads lines from standard input, and answers on standard output.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tessera::store::{
    AnyStore, Capabilities, Cause, StoreError, StoreOp, StoreReply, StoreService, StoreUrl,
};
use tessera::{Component, Timestamp};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::Configuration;
use super::args::Args;
use super::clock::ScenarioClock;
use super::outcome::Outcome;
use super::protocol::{FromAdapter, Hello, Manner, Replies, ToAdapter};
use super::rust::{Pace, RustAdapter};
use crate::{lock, whole};

/// Threads for calls. A call whose store blocks takes one.
const WORKERS: usize = 8;

/// Serves until standard input ends.
///
/// # Errors
/// If the component cannot be loaded, or a line is invalid.
pub fn serve() -> Result<(), String> {
    let component = Component::embedded().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let pipe = Arc::new(Pipe::default());
    let clock = ScenarioClock::new(0);
    pipe.write(&FromAdapter::Hello(Hello {
        language: "Rust".to_owned(),
        runtime: "wasmtime".to_owned(),
        component: Component::sha256().to_owned(),
    }));
    let mut served = Served {
        host: RustAdapter::new(component.clone(), clock.clone(), Pace::Own),
        replies: Replies::AtOnce,
        component,
        clock,
        pipe,
        runtime,
        stores: Arc::default(),
        running: HashMap::new(),
    };
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let line = serde_json::from_str(&line).map_err(|error| format!("an invalid line: {error}"))?;
        served.obey(line);
    }
    // Calls that wait for the runner wait no longer, and the rest is not awaited.
    lock(&served.pipe.asked).clear();
    served.runtime.shutdown_background();
    Ok(())
}

struct Served {
    component: Component,
    clock: ScenarioClock,
    pipe: Arc<Pipe>,
    runtime: Runtime,
    host: RustAdapter,
    replies: Replies,
    /// The stores that were opened, by their numbers.
    stores: Arc<Mutex<HashMap<u64, AnyStore>>>,
    /// The steps in progress, which their callers may cancel.
    running: HashMap<u64, AbortHandle>,
}

impl Served {
    fn obey(&mut self, line: ToAdapter) {
        match line {
            ToAdapter::Reply { op, now, reply } => {
                self.clock.set(now);
                self.pipe.answer(op, reply);
            }
            ToAdapter::Cancel { id } => {
                if let Some(step) = self.running.remove(&id) {
                    // The step may end at this moment.
                    lock(&self.pipe.cancelled).insert(id);
                    step.abort();
                }
            }
            ToAdapter::Step {
                id,
                now,
                step,
                members,
            } => {
                // An operation on a store has a time of its own.
                if !step.ends_with("-store") {
                    self.clock.set(now);
                }
                match step.as_str() {
                    "begin" => {
                        let begun = self.begin(members);
                        self.pipe.end(id, begun.map(Ok));
                    }
                    "configure" => {
                        let configured = self.configure(members);
                        self.pipe.end(id, configured);
                    }
                    "open-store" => self.open_store(id, members),
                    "call-store" => self.call_store(id, now, members),
                    "close-store" => {
                        let closed = Args::from(members).number("store");
                        let closed = closed.map(|number| {
                            lock(&self.stores).remove(&number);
                            Ok(Value::Null)
                        });
                        self.pipe.end(id, closed);
                    }
                    _ => self.take(id, step, members),
                }
            }
        }
    }

    /// Forgets the scenario before. Returns the manner of the next one.
    fn begin(&mut self, members: Map<String, Value>) -> Result<Value, String> {
        let manner = Value::Object(members);
        let Manner { replies, remember } =
            serde_json::from_value(manner.clone()).map_err(|error| error.to_string())?;
        self.running.drain().for_each(|(_, step)| step.abort());
        lock(&self.pipe.asked).clear();
        self.replies = replies;
        let pace = if remember { Pace::Own } else { Pace::Forgetful };
        self.host = RustAdapter::new(self.component.clone(), self.clock.clone(), pace);
        Ok(manner)
    }

    fn configure(&self, members: Map<String, Value>) -> Result<Outcome, String> {
        let mut members = Args::from(members);
        let host = members.text("host")?;
        let store = serde_json::from_value::<Described>(members.value("store")?);
        let store = store.map_err(|error| format!("store: {error}"))?;
        let with = serde_json::from_value(members.into_rest().into());
        let with: Configuration = with.map_err(|error| error.to_string())?;
        let store = PipedStore {
            pipe: Arc::clone(&self.pipe),
            number: store.number,
            capabilities: store.capabilities,
            replies: self.replies,
        };
        self.host.configure_over(&host, with, store)
    }

    /// Opens the store of a URL.
    fn open_store(&self, id: u64, members: Map<String, Value>) {
        let stores = Arc::clone(&self.stores);
        self.run(id, async move {
            let mut members = Args::from(members);
            let url = members.text("url")?;
            members.finish()?;
            let url: StoreUrl = url.parse().map_err(|error| whole(&error))?;
            let store = url.open().await.map_err(|error| whole(&error))?;
            let capabilities = serde_json::to_value(store.describe());
            let capabilities = capabilities.map_err(|error| error.to_string())?;
            // Steps have different numbers.
            lock(&stores).insert(id, store);
            Ok(Ok(json!({"store": id, "capabilities": capabilities})))
        });
    }

    /// Performs an operation of a store that was opened.
    fn call_store(&self, id: u64, now: u64, members: Map<String, Value>) {
        let stores = Arc::clone(&self.stores);
        self.run(id, async move {
            let mut members = Args::from(members);
            let number = members.number("store")?;
            let operation = serde_json::from_value::<StoreOp>(members.value("operation")?);
            let operation = operation.map_err(|error| error.to_string())?;
            members.finish()?;
            let store = lock(&stores).get(&number).cloned();
            let store = store.ok_or("the store was not opened")?;
            let reply = store.call(Timestamp::from_millis(now), &operation).await;
            serde_json::to_value(&reply)
                .map(Ok)
                .map_err(|error| error.to_string())
        });
    }

    fn take(&mut self, id: u64, step: String, members: Map<String, Value>) {
        let host = self.host.clone();
        let taken = self.run(id, async move { host.take(&step, members.into()).await });
        self.running.retain(|_, step| !step.is_finished());
        self.running.insert(id, taken);
    }

    /// Runs a step in a task and writes its result. A panic is a failure of the adapter.
    fn run(
        &self,
        id: u64,
        step: impl Future<Output = Result<Outcome, String>> + Send + 'static,
    ) -> AbortHandle {
        let taken = self.runtime.spawn(step);
        let (handle, pipe) = (taken.abort_handle(), Arc::clone(&self.pipe));
        self.runtime.spawn(async move {
            match taken.await {
                Ok(outcome) => pipe.end(id, outcome),
                // Nobody waits for its result.
                Err(error) if error.is_cancelled() => {}
                Err(error) => pipe.end(id, Err(error.to_string())),
            }
        });
        handle
    }
}

/// A store of the runner.
#[derive(Deserialize)]
struct Described {
    number: u64,
    capabilities: Capabilities,
}

/// A store operation that the runner has not replied to yet.
struct Asked {
    /// Receives whether the reply has come with the first line.
    first: mpsc::Sender<bool>,
    reply: oneshot::Sender<Value>,
}

/// Standard output, and the store operations that wait for the runner.
#[derive(Default)]
struct Pipe {
    asked: Mutex<HashMap<u64, Asked>>,
    /// The steps that get no result.
    cancelled: Mutex<HashSet<u64>>,
    operations: AtomicU64,
}

impl Pipe {
    /// Writes a line. If the runner is gone, standard input ends as well.
    fn write(&self, line: &FromAdapter) {
        let Ok(mut text) = serde_json::to_string(line) else {
            return;
        };
        text.push('\n');
        let mut output = std::io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    }

    fn end(&self, id: u64, outcome: Result<Outcome, String>) {
        if lock(&self.cancelled).remove(&id) {
            return;
        }
        self.write(&match outcome {
            Ok(Ok(result)) => FromAdapter::Done { id, result },
            Ok(Err(Value::Object(error))) => FromAdapter::Refused { id, error },
            Ok(Err(error)) => FromAdapter::Failed {
                id,
                reason: error.to_string(),
            },
            Err(reason) => FromAdapter::Failed { id, reason },
        });
    }

    fn answer(&self, op: u64, reply: Option<Value>) {
        let mut asked = lock(&self.asked);
        match reply {
            None => {
                if let Some(asked) = asked.get(&op) {
                    let _ = asked.first.send(false);
                }
            }
            Some(reply) => {
                if let Some(asked) = asked.remove(&op) {
                    // Both fail if the call was dropped.
                    let _ = asked.reply.send(reply);
                    let _ = asked.first.send(true);
                }
            }
        }
    }
}

/// A store of the runner.
struct PipedStore {
    pipe: Arc<Pipe>,
    number: u64,
    capabilities: Capabilities,
    replies: Replies,
}

impl StoreService for PipedStore {
    fn describe(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let number = self.pipe.operations.fetch_add(1, Ordering::Relaxed);
        let ((first, has_first), (reply, replied)) = (mpsc::channel(), oneshot::channel());
        lock(&self.pipe.asked).insert(number, Asked { first, reply });
        self.pipe.write(&FromAdapter::Op {
            op: number,
            store: self.number,
            now: now.as_millis(),
            operation: op.clone(),
        });
        // The runner always writes one line at once. The wait fails when the scenario or the process ends.
        let is_ready = self.replies == Replies::AtOnce && has_first.recv() == Ok(true);
        if !is_ready {
            // Also if the reply has come meanwhile: time may have passed.
            tokio::task::yield_now().await;
        }
        let failed = |why: String| op.failed(StoreError::Other(Cause::new(why)));
        match replied.await {
            Ok(reply) => op
                .read_reply(&reply.to_string())
                .unwrap_or_else(|error| failed(error.to_string())),
            Err(_) => failed("the runner has ended".to_owned()),
        }
    }
}
