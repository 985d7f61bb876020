//! An adapter in a process of its own.

mod child;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use serde_json::json;
use tessera::Timestamp;
use tessera::store::{Cause, StoreError, StoreService};
use tokio::task::{JoinHandle, JoinSet};

use super::args::Args;
use super::outcome::Outcome;
use super::protocol::Manner;
use super::{Adapter, Configuration};
use crate::lock;
use crate::stores::Scripted;

pub use child::Process;
pub use store::ProcessStore;

/// Reads the time of the clock that an adapter's host has.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The engines of one scenario in an adapter's process, over stores in this process.
pub struct ProcessAdapter<T>(Arc<Inner<T>>);

struct Inner<T> {
    process: Arc<Process>,
    now: Now,
    stores: Stores<T>,
    serves: JoinHandle<()>,
}

/// The stores of the engines, by their numbers.
type Stores<T> = Arc<Mutex<HashMap<u64, T>>>;

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

// Not derived, because the derived implementation would require `T: Clone`.
impl<T> Clone for ProcessAdapter<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: StoreService + Clone> ProcessAdapter<T> {
    /// Begins a scenario: the process forgets all engines and sessions.
    ///
    /// # Errors
    /// If the adapter fails.
    pub async fn begin(process: &Arc<Process>, now: Now, manner: Manner) -> Result<Self, String> {
        let stores = Stores::default();
        let serves = tokio::spawn(serve(Arc::clone(process), Arc::clone(&now), Arc::clone(&stores)));
        let adapter = Self(Arc::new(Inner {
            process: Arc::clone(process),
            now,
            stores,
            serves,
        }));
        match process.offers(manner).await? {
            true => Ok(adapter),
            false => Err(format!("the adapter does not offer {manner:?}")),
        }
    }

    /// Creates the engine with this name, over a store in this process.
    ///
    /// # Errors
    /// If the adapter fails. A refused configuration is an outcome.
    pub async fn configure_over(&self, host: &str, with: Configuration, store: T) -> Result<Outcome, String> {
        let capabilities = serde_json::to_value(store.describe()).map_err(|error| error.to_string())?;
        let number = self.0.process.new_store();
        lock(&self.0.stores).insert(number, store);
        let mut members = serde_json::to_value(with).map_err(|error| error.to_string())?;
        members["host"] = host.into();
        members["store"] = json!({"number": number, "capabilities": capabilities});
        self.take("configure", Args::new(&members)?).await
    }

    /// Takes one step, with its members.
    ///
    /// # Errors
    /// If the adapter fails. An error of the engine is an outcome.
    pub async fn take(&self, step: &str, members: Args) -> Result<Outcome, String> {
        let now = (self.0.now)().as_millis();
        self.0.process.take(now, step, members.into_rest()).await
    }
}

/// Performs the store operations of a process. Operations that wait end with this task.
async fn serve<T: StoreService + Clone>(process: Arc<Process>, now: Now, stores: Stores<T>) {
    let mut operations = process.operations().await;
    let mut waiting = JoinSet::new();
    while let Some(requested) = operations.recv().await {
        while waiting.try_join_next().is_some() {}
        let (number, at, operation) = (requested.op, requested.now, requested.operation);
        let Some(store) = lock(&stores).get(&requested.store).cloned() else {
            // The engine of an earlier scenario. Its call may block a thread of the adapter.
            let cause = Cause::new("the store of an earlier scenario");
            let over = operation.failed(StoreError::Unavailable(cause));
            process.reply(number, now().as_millis(), Some(&over));
            continue;
        };
        let mut reply = Box::pin(async move { store.call(at, &operation).await });
        match (&mut reply).now_or_never() {
            Some(reply) => process.reply(number, now().as_millis(), Some(&reply)),
            None => {
                process.reply(number, now().as_millis(), None);
                let (process, now) = (Arc::clone(&process), Arc::clone(&now));
                waiting.spawn(async move {
                    let reply = reply.await;
                    process.reply(number, now().as_millis(), Some(&reply));
                });
            }
        }
    }
}

impl<S: StoreService> Adapter<S> for ProcessAdapter<Scripted<S>> {
    async fn configure(
        &self,
        host: &str,
        with: Configuration,
        store: Scripted<S>,
    ) -> Result<Outcome, String> {
        self.configure_over(host, with, store).await
    }

    async fn perform(&self, step: &str, members: Args) -> Result<Outcome, String> {
        self.take(step, members).await
    }
}
