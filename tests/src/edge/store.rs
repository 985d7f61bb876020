//! A Worker's store as a [`StoreService`] for the tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tessera::Timestamp;
use tessera::store::{
    Capabilities, Cause, Entry, Methods, Page, Placement, Row, StoreError, StoreOp, StoreReply, StoreService,
};

use super::Worker;

/// A store in a Worker, with the methods of [`tessera::store::Store`].
pub type RemoteStore = Methods<Remote>;

/// Calls a store in a Worker.
pub struct Remote {
    worker: Worker,
    path: String,
    capabilities: Capabilities,
    /// The lead of the Worker's clock over the test's clock: the Worker's alarms and time-outs use the wall clock.
    ahead: Duration,
}

impl Remote {
    /// Returns a new, empty store of a kind (`durable`, `combined`, `kv`), separate from all others.
    ///
    /// # Errors
    /// If the Worker does not have this kind of store.
    pub fn store(worker: &Worker, kind: &str) -> Result<RemoteStore, String> {
        static SPACES: AtomicU64 = AtomicU64::new(0);
        let space = SPACES.fetch_add(1, Ordering::Relaxed);
        Self::named(worker, kind, &format!("s{space}.")).map(Methods)
    }

    /// Returns the store of the Worker's own sessions.
    ///
    /// # Errors
    /// If the Worker does not have this kind of store.
    pub fn of_service(worker: &Worker, kind: &str) -> Result<RemoteStore, String> {
        Self::named(worker, kind, "-").map(Methods)
    }

    /// Returns a new store for a test whose clock starts at `beginning` instead of the present time.
    ///
    /// # Errors
    /// If the Worker does not have this kind of store.
    pub fn with_clock_from(worker: &Worker, kind: &str, beginning: Timestamp) -> Result<RemoteStore, String> {
        let mut store = Self::store(worker, kind)?;
        store.0.ahead = Duration::from_millis(Timestamp::now().millis_since(beginning));
        Ok(store)
    }

    fn named(worker: &Worker, kind: &str, space: &str) -> Result<Self, String> {
        let described = worker.ask("GET", &format!("/test/store/{kind}"), None)?;
        Ok(Self {
            worker: worker.clone(),
            path: format!("/test/store/{kind}/{space}"),
            capabilities: serde_json::from_value(described).map_err(|error| error.to_string())?,
            ahead: Duration::ZERO,
        })
    }

    /// The prefix of each of its keys.
    #[must_use]
    pub fn space(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Converts a time of the test's clock to the Worker's clock.
    fn there(&self, at: Timestamp) -> Timestamp {
        at.saturating_add(self.ahead)
    }

    /// Converts a time of the Worker's clock to the test's clock.
    fn here(&self, at: Timestamp) -> Timestamp {
        at.saturating_sub(self.ahead)
    }

    fn op_there(&self, op: &StoreOp) -> StoreOp {
        let mut op = op.clone();
        match &mut op {
            StoreOp::Insert { at, .. } | StoreOp::Replace { at, .. } => {
                *at = Placement {
                    expires_at: self.there(at.expires_at),
                    ends_at: self.there(at.ends_at),
                    ..at.clone()
                };
            }
            StoreOp::Touch { expires_at, .. } => *expires_at = self.there(*expires_at),
            _ => {}
        }
        op
    }

    fn reply_here(&self, reply: StoreReply) -> StoreReply {
        let entry = |entry: Entry| Entry {
            expires_at: self.here(entry.expires_at),
            ..entry
        };
        let row = |row: &Row| Row {
            touched_at: self.here(row.touched_at),
            expires_at: self.here(row.expires_at),
            ..row.clone()
        };
        match reply {
            StoreReply::Entry(found) => StoreReply::Entry(found.map(entry)),
            StoreReply::Entries(Ok(each)) => {
                StoreReply::Entries(Ok(each.iter().map(|found| found.clone().map(entry)).collect()))
            }
            StoreReply::Page(Ok(page)) => StoreReply::Page(Ok(Arc::new(Page {
                rows: page.rows.iter().map(row).collect(),
                next: page.next.clone(),
            }))),
            other => other,
        }
    }
}

impl StoreService for Remote {
    fn describe(&self) -> Capabilities {
        self.capabilities.clone()
    }

    /// Sends the operation from a thread that may block.
    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let (worker, path) = (self.worker.clone(), self.path.clone());
        let body = json!({"now": self.there(now), "asked": self.op_there(op)});
        let asked = tokio::task::spawn_blocking(move || worker.ask("POST", &path, Some(&body))).await;
        let read = match asked {
            Ok(Ok(reply)) => op
                .read_reply(&reply.to_string())
                .map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(reply) => self.reply_here(reply),
            Err(error) => op.failed(StoreError::Unavailable(Cause::new(error))),
        }
    }
}
