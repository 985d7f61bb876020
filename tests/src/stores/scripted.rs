//! A store that records its operations, injects faults, and pauses before an operation so that other steps run first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tessera::Timestamp;
use tessera::store::{Capabilities, Cause, Entry, StoreError, StoreOp, StoreReply, StoreService};
use tokio::sync::{mpsc, oneshot};

use crate::lock;

/// A fault of one operation.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Returns this error without performing the operation.
    Answer(StoreError),
    /// Performs the operation, and returns this error. A failed operation returns its own error.
    Applied(StoreError),
    /// Performs the operation twice and returns the second result, as a client that retries does.
    Retried,
    /// Returns the entry of a `get` as it was before this number of writes.
    StaleRead(usize),
}

impl Fault {
    /// Returns the fault with this name in a scenario. `milliseconds` applies to `throttled`, `back` to `stale-read`.
    ///
    /// # Errors
    /// If the name is unknown.
    pub fn named(how: &str, milliseconds: u64, back: usize) -> Result<Self, String> {
        let answer = |name: &str| {
            let cause = || Cause::new("a fault of the scenario");
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
                _ => return Err(format!("unknown fault {how:?}")),
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

/// An event at the `nth` operation of a kind.
#[derive(Debug)]
struct Armed<T> {
    operation: String,
    nth: usize,
    times: usize,
    what: T,
}

impl<T> Armed<T> {
    /// Counts one operation. Returns whether the event applies to it.
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

/// The faults and pauses of one call, and the operations that the call has requested.
#[derive(Debug, Default)]
pub struct Script {
    faults: Vec<Armed<Fault>>,
    pauses: Vec<Armed<Vec<Value>>>,
    /// The operations in order, by name; `get fresh` for a `get` with `fresh`.
    pub questions: Vec<String>,
}

impl Script {
    /// Injects a fault into `times` operations of a kind, from the `nth` on.
    pub fn fail(&mut self, operation: String, nth: usize, times: usize, what: Fault) {
        self.faults.push(Armed {
            operation,
            nth,
            times,
            what,
        });
    }

    /// Runs steps immediately before the `nth` operation of a kind.
    pub fn pause(&mut self, operation: String, nth: usize, steps: Vec<Value>) {
        self.pauses.push(Armed {
            operation,
            nth,
            times: 1,
            what: steps,
        });
    }

    /// A description of an event that did not occur, if there is one.
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
                pause.map(|pause| format!("the operation {:?} to wait for was never called", pause.operation))
            })
    }

    fn meet(&mut self, operation: &str, fresh: bool) -> (Option<Vec<Value>>, Option<Fault>) {
        self.questions.push(if fresh {
            format!("{operation} fresh")
        } else {
            operation.to_owned()
        });
        // Each event counts the operation, even if another one applies to it.
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

/// An operation that waits until these steps are done.
#[derive(Debug)]
pub struct Paused {
    /// The steps to run first.
    pub steps: Vec<Value>,
    /// Resumes the operation.
    pub go_on: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Shared<S> {
    inner: Arc<S>,
    script: Mutex<Script>,
    /// The entries of each key before each write.
    history: Mutex<HashMap<String, Vec<Option<Entry>>>>,
    pauses: mpsc::UnboundedSender<Paused>,
}

/// A store with a [`Script`]. Clones share the store, and may have different capabilities.
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

impl<S: StoreService> Scripted<S> {
    /// Wraps a store. Operations that wait are sent to the receiver.
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

    /// The store below. Its operations are not recorded.
    pub fn inner(&self) -> &Arc<S> {
        &self.shared.inner
    }

    /// The same store with other capabilities.
    pub fn promising(&self, change: impl FnOnce(&mut Capabilities)) -> Self {
        let mut store = self.clone();
        change(&mut store.capabilities);
        store
    }

    /// The same store, with rows that have no values.
    pub fn without_values_in_rows(mut self) -> Self {
        self.rows_bring_values = false;
        self
    }

    /// The same store, with at most this number of rows in a page.
    pub fn with_page_size(mut self, rows: u32) -> Self {
        self.page_size = rows;
        self
    }

    /// Replaces the script, and returns the previous one.
    pub fn swap(&self, script: Script) -> Script {
        std::mem::replace(&mut lock(&self.shared.script), script)
    }

    async fn enter(&self, operation: &str, fresh: bool) -> Option<Fault> {
        let (pause, fault) = lock(&self.shared.script).meet(operation, fresh);
        if let Some(steps) = pause {
            let (go_on, wait) = oneshot::channel();
            // Fails if the runner has ended; then the operation continues.
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

/// The name of an operation in a script.
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
            // A read has no effect, so there is nothing to perform.
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
