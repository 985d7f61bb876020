//! Calls whose caller goes away in the middle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tessera::Timestamp;
use tessera::store::{Capabilities, MemoryStore, StoreError, StoreOp, StoreReply, StoreService};
use tokio::sync::{Notify, Semaphore};

use super::{Cell, Language, MANNERS, memory, runtime};
use crate::adapter::process::{Process, ProcessAdapter};
use crate::adapter::{Args, Configuration, Key};

/// The time of the host's clock.
const NOW: u64 = 1_767_225_600_000;
/// The maximum time until a call that continues without its caller has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store that holds operations of one kind until they may go on.
#[derive(Clone)]
struct Held {
    store: Arc<MemoryStore>,
    gate: Arc<Gate>,
}

struct Gate {
    /// Whether an operation is held.
    holds: fn(&StoreOp) -> bool,
    /// Whether the first held operation is answered as if another writer had come first.
    is_stale: std::sync::atomic::AtomicBool,
    requested: Notify,
    may_go_on: Semaphore,
}

impl StoreService for Held {
    fn describe(&self) -> Capabilities {
        self.store.describe()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        if (self.gate.holds)(op) {
            self.gate.requested.notify_one();
            // It is never closed.
            let _ = self.gate.may_go_on.acquire().await;
            if self
                .gate
                .is_stale
                .swap(false, std::sync::atomic::Ordering::SeqCst)
            {
                return op.failed(StoreError::Stale);
            }
        }
        self.store.call(now, op).await
    }
}

/// A host with one session, over a store that holds operations.
struct Bench {
    process: Arc<Process>,
    adapter: ProcessAdapter<Held>,
    gate: Arc<Gate>,
    token: String,
}

impl Bench {
    async fn start(language: &Language, holds: fn(&StoreOp) -> bool, is_stale: bool) -> Result<Self, String> {
        let process = language.start()?;
        let now = Arc::new(|| Timestamp::from_millis(NOW));
        let adapter = ProcessAdapter::begin(&process, now, MANNERS[1].1).await?;
        let gate = Arc::new(Gate {
            holds,
            is_stale: is_stale.into(),
            requested: Notify::new(),
            may_go_on: Semaphore::new(0),
        });
        let store = Held {
            store: Arc::new(memory()),
            gate: Arc::clone(&gate),
        };
        let with = Configuration {
            policy: Map::new(),
            preset: None,
            keys: vec![Key {
                id: "k".to_owned(),
                secret: vec![7; 32],
            }],
        };
        adapter
            .configure_over("main", with, store)
            .await?
            .map_err(|error| error.to_string())?;
        let mut bench = Self {
            process,
            adapter,
            gate,
            token: String::new(),
        };
        bench.step("create", json!({"as": "s"})).await?;
        let grant = bench.step("save", json!({"on": "s"})).await?;
        bench.token = grant["token"].as_str().ok_or("no token was issued")?.to_owned();
        Ok(bench)
    }

    async fn step(&self, step: &str, members: Value) -> Result<Value, String> {
        let taken = self.adapter.take(step, Args::new(&members)?).await?;
        taken.map_err(|error| format!("{step}: {error}"))
    }

    /// Begins a step, cancels it when its operation is held, and lets the operation go on.
    async fn cancel(&self, step: &str, members: Value) -> Result<(), String> {
        let taken = self.step(step, members);
        tokio::select! {
            ended = taken => return Err(format!("{step} did not wait for its store: {ended:?}")),
            () = self.gate.requested.notified() => {}
        }
        self.gate.may_go_on.add_permits(Semaphore::MAX_PERMITS / 2);
        Ok(())
    }

    /// The field `x` of the stored session.
    async fn stored(&self) -> Result<Value, String> {
        self.step("open", json!({"as": "check", "token": self.token}))
            .await?;
        self.step("get", json!({"on": "check", "name": "x"})).await
    }

    fn end(&self) -> Result<(), String> {
        if self.process.cancelled() != 1 {
            return Err("a step that was cancelled has a result".to_owned());
        }
        self.process.check()
    }
}

/// A call that was cancelled while it reads does nothing, and its session is usable.
async fn reads(language: &Language) -> Result<(), String> {
    let bench = Bench::start(language, |op| matches!(op, StoreOp::Get { .. }), false).await?;
    bench
        .cancel("open", json!({"as": "o", "token": bench.token}))
        .await?;
    match bench.stored().await? {
        Value::Null => bench.end(),
        other => Err(format!("a field was stored: {other}")),
    }
}

/// A call that was cancelled while it writes goes on, over further tries if need be; then its session is usable.
async fn writes(language: &Language, is_stale: bool) -> Result<(), String> {
    let bench = Bench::start(language, |op| matches!(op, StoreOp::Replace { .. }), is_stale).await?;
    bench
        .step("set", json!({"on": "s", "name": "x", "value": {"text": "kept"}}))
        .await?;
    bench.cancel("save", json!({"on": "s"})).await?;
    let began = Instant::now();
    loop {
        let read = bench
            .adapter
            .take("get", Args::new(&json!({"on": "s", "name": "x"}))?);
        match read.await? {
            Ok(_) => break,
            Err(error) if error["error"] == "busy" && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(format!("the session is {error}")),
        }
    }
    match bench.stored().await? {
        stored if stored == json!({"text": "kept"}) => bench.end(),
        stored => Err(format!("the field is {stored} in the store")),
    }
}

/// Checks calls whose caller goes away while they read, write, and try a write again.
///
/// # Errors
/// If the runtime cannot be created.
pub fn cancellations(language: &Language) -> Result<Cell, String> {
    let ended = runtime()?.block_on(async {
        [
            ("a read", reads(language).await),
            ("a write", writes(language, false).await),
            ("a write that is tried again", writes(language, true).await),
        ]
    });
    let all = ended.len();
    let failures = ended.into_iter().filter_map(|(what, ended)| {
        let error = ended.err()?;
        Some(format!("{what}: {error}"))
    });
    Ok(Cell::of(all, failures.collect()))
}
