//! A store that counts what it is asked, fails where it is told to, and stops before a question so that others come first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tessera::Timestamp;
use tessera::store::{Capabilities, Cause, Entry, StoreError, StoreOp, StoreReply, StoreService};
use tokio::sync::{mpsc, oneshot};

/// What goes wrong with one question.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers this; nothing is done.
    Answer(StoreError),
    /// Does what was asked, and answers this.
    Applied(StoreError),
    /// Does what was asked twice and answers the second time's answer, as a client does that retried.
    Retried,
    /// Answers a `get` as it was before so many writes.
    StaleRead(usize),
}

impl Fault {
    /// Reads a fault by its name in a scenario.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn named(how: &str, milliseconds: u64, back: usize) -> Result<Self, String> {
        let answer = |name: &str| {
            let cause = || Cause::new("as the scenario asks");
            Ok(match name {
                "missing" => StoreError::Missing,
                "stale" => StoreError::Stale,
                "too-large" => StoreError::TooLarge,
                "full" => StoreError::Full,
                "throttled" => StoreError::Throttled(Duration::from_millis(milliseconds)),
                "unsupported" => StoreError::Unsupported,
                "malformed-cursor" => StoreError::MalformedCursor,
                "corrupt" => StoreError::Corrupt,
                "outcome-unknown" => StoreError::OutcomeUnknown(cause()),
                "unavailable" => StoreError::Unavailable(cause()),
                "other" => StoreError::Other(cause()),
                _ => return Err(format!("there is no fault {how:?}")),
            })
        };
        match (how, how.strip_prefix("applied-")) {
            ("retried", _) => Ok(Self::Retried),
            ("stale-read", _) => Ok(Self::StaleRead(back)),
            (_, Some(name)) => Ok(Self::Applied(answer(name)?)),
            (name, None) => Ok(Self::Answer(answer(name)?)),
        }
    }
}

/// Something that is to happen at the `nth` question of a kind.
#[derive(Debug)]
struct Armed<T> {
    operation: String,
    nth: usize,
    times: usize,
    what: T,
}

impl<T> Armed<T> {
    /// Counts one question, and tells whether it is the one.
    fn meets(&mut self, operation: &str) -> bool {
        if self.times == 0 || (self.operation != operation && self.operation != "any") {
            return false;
        }
        self.nth = self.nth.saturating_sub(1);
        if self.nth > 0 {
            return false;
        }
        self.times -= 1;
        true
    }
}

/// What is to happen in one call, and what the call has asked.
#[derive(Debug, Default)]
pub struct Script {
    faults: Vec<Armed<Fault>>,
    pauses: Vec<Armed<Vec<Value>>>,
    /// The questions, in order: the operation, and `fresh` after a `get` that asks for that.
    pub questions: Vec<String>,
}

impl Script {
    /// Makes `times` questions of a kind fail, from the `nth` on.
    pub fn fail(&mut self, operation: String, nth: usize, times: usize, what: Fault) {
        self.faults.push(Armed {
            operation,
            nth,
            times,
            what,
        });
    }

    /// Runs steps right before the `nth` question of a kind.
    pub fn pause(&mut self, operation: String, nth: usize, steps: Vec<Value>) {
        self.pauses.push(Armed {
            operation,
            nth,
            times: 1,
            what: steps,
        });
    }

    /// What was to happen and did not.
    pub fn left_over(&self) -> Option<String> {
        let fault = self.faults.iter().find(|fault| fault.times > 0);
        let pause = self.pauses.iter().find(|pause| pause.times > 0);
        fault
            .map(|fault| {
                format!(
                    "the fault {:?} of {:?} was never met",
                    fault.what, fault.operation
                )
            })
            .or_else(|| {
                pause.map(|pause| format!("the question {:?} to wait for was never asked", pause.operation))
            })
    }

    fn meet(&mut self, operation: &str, fresh: bool) -> (Option<Vec<Value>>, Option<Fault>) {
        self.questions.push(if fresh {
            format!("{operation} fresh")
        } else {
            operation.to_owned()
        });
        // Each counts the question, whether another meets it too or not.
        let pauses: Vec<Vec<Value>> = self
            .pauses
            .iter_mut()
            .filter_map(|pause| pause.meets(operation).then(|| pause.what.clone()))
            .collect();
        let faults: Vec<Fault> = self
            .faults
            .iter_mut()
            .filter_map(|fault| fault.meets(operation).then(|| fault.what.clone()))
            .collect();
        let pause = if pauses.is_empty() {
            None
        } else {
            Some(pauses.concat())
        };
        let fault = faults.into_iter().next();
        (pause, fault)
    }
}

/// A question that waits until these steps are done.
#[derive(Debug)]
pub struct Paused {
    /// What is to be done first.
    pub steps: Vec<Value>,
    /// Lets the question go on.
    pub go_on: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Shared<S> {
    inner: Arc<S>,
    script: Mutex<Script>,
    /// What each key held before each write.
    history: Mutex<HashMap<String, Vec<Option<Entry>>>>,
    pauses: mpsc::UnboundedSender<Paused>,
}

/// A store with a [`Script`]. A clone is the same store, and may promise something else.
#[derive(Debug)]
pub struct Scripted<S> {
    shared: Arc<Shared<S>>,
    capabilities: Capabilities,
    rows_bring_values: bool,
    page_size: u32,
}

impl<S> Clone for Scripted<S> {
    fn clone(&self) -> Self {
        let (shared, capabilities) = (Arc::clone(&self.shared), self.capabilities.clone());
        Self {
            shared,
            capabilities,
            rows_bring_values: self.rows_bring_values,
            page_size: self.page_size,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: StoreService> Scripted<S> {
    /// Wraps a store; questions that wait are sent to the receiver.
    pub fn new(inner: S) -> (Self, mpsc::UnboundedReceiver<Paused>) {
        let (pauses, receiver) = mpsc::unbounded_channel();
        let capabilities = inner.describe();
        let shared = Shared {
            inner: Arc::new(inner),
            script: Mutex::default(),
            history: Mutex::default(),
            pauses,
        };
        let store = Self {
            shared: Arc::new(shared),
            capabilities,
            rows_bring_values: true,
            page_size: u32::MAX,
        };
        (store, receiver)
    }

    /// The store below, whose answers nobody counts.
    pub fn inner(&self) -> &Arc<S> {
        &self.shared.inner
    }

    /// The same store with other promises.
    pub fn promising(&self, change: impl FnOnce(&mut Capabilities)) -> Self {
        let mut store = self.clone();
        change(&mut store.capabilities);
        store
    }

    /// The same store whose lists bring no values along.
    pub fn without_values_in_rows(mut self) -> Self {
        self.rows_bring_values = false;
        self
    }

    /// The same store with shorter pages than it is asked for.
    pub fn with_page_size(mut self, rows: u32) -> Self {
        self.page_size = rows;
        self
    }

    /// Sets what is to happen next and answers what was set before.
    pub fn swap(&self, script: Script) -> Script {
        std::mem::replace(&mut lock(&self.shared.script), script)
    }

    async fn enter(&self, operation: &str, fresh: bool) -> Option<Fault> {
        let (pause, fault) = lock(&self.shared.script).meet(operation, fresh);
        if let Some(steps) = pause {
            let (go_on, wait) = oneshot::channel();
            // A runner that is gone waits for nothing.
            if self.shared.pauses.send(Paused { steps, go_on }).is_ok() {
                let _ = wait.await;
            }
        }
        fault
    }

    async fn remember(&self, now: Timestamp, key: &str) {
        let get = StoreOp::Get {
            key: key.into(),
            fresh: true,
        };
        let before = match self.shared.inner.call(now, &get).await {
            StoreReply::Entry(entry) => entry.ok(),
            _ => None,
        };
        lock(&self.shared.history)
            .entry(key.to_owned())
            .or_default()
            .push(before);
    }

    fn remembered(&self, key: &str, back: usize) -> Result<Entry, StoreError> {
        let history = lock(&self.shared.history);
        let entry = history
            .get(key)
            .and_then(|states| states.iter().rev().nth(back.saturating_sub(1)));
        entry.cloned().flatten().ok_or(StoreError::Missing)
    }
}

/// The name that a script has for an operation.
fn name(op: &StoreOp) -> &'static str {
    match op {
        StoreOp::Get { .. } => "get",
        StoreOp::GetMany { .. } => "get-many",
        StoreOp::Insert { .. } => "insert",
        StoreOp::Replace { .. } => "replace",
        StoreOp::Touch { .. } => "touch",
        StoreOp::Delete { .. } => "delete",
        StoreOp::DeleteMany { .. } => "delete-many",
        StoreOp::ListOwned { .. } => "list-owned",
    }
}

impl<S: StoreService> StoreService for Scripted<S> {
    fn describe(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let inner = &self.shared.inner;
        let mut op = op.clone();
        if let StoreOp::ListOwned { limit, .. } = &mut op {
            *limit = self.page_size.min(*limit);
        }
        if let StoreOp::Insert { key, .. } | StoreOp::Replace { key, .. } | StoreOp::Delete { key, .. } = &op
        {
            self.remember(now, key).await;
        }
        let fault = self
            .enter(name(&op), matches!(op, StoreOp::Get { fresh: true, .. }))
            .await;
        let mut reply = match (fault, &op) {
            (Some(Fault::StaleRead(back)), StoreOp::Get { key, .. }) => {
                StoreReply::Entry(self.remembered(key, back))
            }
            (Some(Fault::Answer(error)), _) => op.failed(error),
            // A read has nothing that could be done before it fails.
            (Some(Fault::Applied(error)), StoreOp::Get { .. }) => op.failed(error),
            (Some(Fault::Applied(error)), _) => {
                let applied = inner.call(now, &op).await;
                op.failed(applied.error().cloned().unwrap_or(error))
            }
            (Some(Fault::Retried), op) if op.writes() => {
                let _ = inner.call(now, op).await;
                inner.call(now, op).await
            }
            _ => inner.call(now, &op).await,
        };
        if let (StoreReply::Page(Ok(page)), false) = (&mut reply, self.rows_bring_values) {
            Arc::make_mut(page)
                .rows
                .iter_mut()
                .for_each(|row| row.value = None);
        }
        reply
    }
}
