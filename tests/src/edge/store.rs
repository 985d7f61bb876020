//! One of a Worker's stores, as a store of the tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tessera::Timestamp;
use tessera::store::{
    Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Store, StoreError,
};

use super::Worker;
use super::wire::{self, moment, placement, read_result};

/// A store in a Worker, empty at first.
pub struct RemoteStore {
    worker: Worker,
    path: String,
    capabilities: Capabilities,
    /// How far the Worker's own clock is ahead of the tests' one: its alarms and time-outs go by the wall clock.
    ahead: Duration,
}

impl RemoteStore {
    /// A new store of a kind (`durable`, `combined`, `kv`), apart from all others.
    ///
    /// # Errors
    /// If the Worker has none such.
    pub fn new(worker: &Worker, kind: &str) -> Result<Self, String> {
        static SPACES: AtomicU64 = AtomicU64::new(0);
        let described = worker.ask("GET", &format!("/test/store/{kind}"), None)?;
        let capabilities =
            wire::read_capabilities(&described).ok_or("the store describes itself in no way known")?;
        let space = SPACES.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            worker: worker.clone(),
            path: format!("/test/store/{kind}/s{space}."),
            capabilities,
            ahead: Duration::ZERO,
        })
    }

    /// The store that the Worker's own sessions are in.
    ///
    /// # Errors
    /// If the Worker has none such.
    pub fn of_service(worker: &Worker, kind: &str) -> Result<Self, String> {
        let mut store = Self::new(worker, kind)?;
        store.path = format!("/test/store/{kind}/-");
        Ok(store)
    }

    /// Stands before each of its keys.
    #[must_use]
    pub fn space(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// For tests whose clock begins at `beginning`, and not at the present time.
    #[must_use]
    pub fn with_clock_from(mut self, beginning: Timestamp) -> Self {
        let ahead = Timestamp::now().as_millis().saturating_sub(beginning.as_millis());
        self.ahead = Duration::from_millis(ahead);
        self
    }

    /// A moment of the tests as the Worker's.
    fn there(&self, at: Timestamp) -> Timestamp {
        at.saturating_add(self.ahead)
    }

    fn entry_here(&self, mut entry: Entry) -> Entry {
        entry.expires_at = entry.expires_at.saturating_sub(self.ahead);
        entry
    }

    fn place_there(&self, at: &Placement) -> Value {
        placement(&Placement {
            expires_at: self.there(at.expires_at),
            ends_at: self.there(at.ends_at),
            ..at.clone()
        })
    }

    /// The answer, waited for on a thread that may wait.
    async fn ask(&self, now: Timestamp, asked: Value) -> Value {
        let (worker, path) = (self.worker.clone(), self.path.clone());
        let body = json!({"now": self.there(now).as_millis(), "asked": asked});
        let answered = tokio::task::spawn_blocking(move || worker.ask("POST", &path, Some(&body))).await;
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => json!({"tag": "err", "val": {"tag": "unavailable", "val": error}}),
            Err(error) => json!({"tag": "err", "val": {"tag": "unavailable", "val": error.to_string()}}),
        }
    }
}

impl Store for RemoteStore {
    fn describe(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn get(&self, now: Timestamp, key: &str, fresh: bool) -> Result<Entry, StoreError> {
        let asked = json!({"operation": "get", "key": key, "fresh": fresh});
        let entry = read_result(&self.ask(now, asked).await, wire::read_entry)?;
        Ok(self.entry_here(entry))
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        let asked = json!({"operation": "get-many", "keys": keys});
        let entries = read_result(&self.ask(now, asked).await, wire::read_entries)?;
        Ok(entries
            .into_iter()
            .map(|entry| entry.map(|entry| self.entry_here(entry)))
            .collect())
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        let asked = json!({"operation": "insert", "key": key, "value": value, "at": self.place_there(at)});
        read_result(&self.ask(now, asked).await, wire::read_version)
    }

    async fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        let at = self.place_there(at);
        let expected = wire::expected(expected);
        let asked =
            json!({"operation": "replace", "key": key, "value": value, "expected": expected, "at": at});
        read_result(&self.ask(now, asked).await, wire::read_version)
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let expires_at = moment(self.there(expires_at));
        let asked = json!({"operation": "touch", "key": key, "owner": owner, "expiresAt": expires_at});
        read_result(&self.ask(now, asked).await, |_| Some(()))
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        let asked = json!({"operation": "delete", "key": key, "while": wire::condition(condition)});
        read_result(&self.ask(now, asked).await, Value::as_bool)
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        let deletions: Vec<Value> = deletions.iter().map(wire::deletion).collect();
        let asked = json!({"operation": "delete-many", "deletions": deletions, "owner": owner});
        let count = |value: &Value| value.as_u64().and_then(|count| u32::try_from(count).ok());
        read_result(&self.ask(now, asked).await, count)
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let asked = json!({"operation": "list-owned", "owner": owner, "cursor": cursor, "limit": limit});
        let mut page = read_result(&self.ask(now, asked).await, wire::read_page)?;
        for row in &mut page.rows {
            row.touched_at = row.touched_at.saturating_sub(self.ahead);
            row.expires_at = row.expires_at.saturating_sub(self.ahead);
        }
        Ok(page)
    }
}
