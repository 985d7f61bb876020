//! Entries as the calls on one session of a Worker's engine read or wrote them last, by the texts in which they cross.

use std::sync::Arc;

use serde_json::{Value, json};
use tessera::Timestamp;
use tessera::store::Entry;

use super::wire;

/// The entry of a session's key that its calls read or wrote last.
#[derive(Clone)]
pub(crate) struct Seed {
    key: String,
    entry: Entry,
}

impl Seed {
    /// The answer to a call's first question, if it is for this entry and need not be fresh; `None` where the store is to be asked.
    /// What has expired by the call's clock may have been touched meanwhile: a call that is not to wait is told that it is gone.
    pub(crate) fn answer(&self, asked: &Value, now: Timestamp, at_once: bool) -> Option<Value> {
        let is_mine =
            asked["operation"] == "get" && asked["fresh"] == false && asked["key"] == self.key.as_str();
        match (is_mine, self.entry.expires_at > now) {
            (true, true) => Some(json!({"tag": "ok", "val": wire::entry(&self.entry)})),
            (true, false) if at_once => Some(json!({"tag": "err", "val": {"tag": "missing"}})),
            _ => None,
        }
    }
}

/// What one call has read and written.
#[derive(Default)]
pub(crate) struct Seen(Vec<(String, Entry)>);

impl Seen {
    /// Of a call that begins with this.
    pub(crate) fn of(seed: Option<&Seed>) -> Self {
        let seed = seed.map(|seed| (seed.key.clone(), seed.entry.clone()));
        Self(seed.into_iter().collect())
    }

    fn get(&self, key: &str) -> Option<&Entry> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, entry)| entry)
    }

    /// The text of an entry.
    pub(crate) fn record(&self, key: &str) -> Option<Arc<str>> {
        self.get(key).map(|entry| Arc::clone(&entry.value))
    }

    /// What the calls that follow begin with, on the session of this key.
    pub(crate) fn seed(&self, key: &str) -> Option<Seed> {
        let entry = self.get(key)?.clone();
        Some(Seed {
            key: key.to_owned(),
            entry,
        })
    }

    fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| known != key);
    }

    fn put(&mut self, key: &str, entry: Option<Entry>) {
        self.remove(key);
        self.0.extend(entry.map(|entry| (key.to_owned(), entry)));
    }

    /// Learns from a question about one entry and its answer. What was refused, or failed, has left the entry as it was seen.
    pub(crate) fn learn(&mut self, asked: &Value, told: &Value) {
        let Some(key) = asked["key"].as_str() else { return };
        let val = &told["val"];
        if told["tag"] != "ok" {
            if val["tag"] == "missing" {
                self.remove(key);
            }
            return;
        }
        match asked["operation"].as_str().unwrap_or_default() {
            "get" => self.put(key, wire::read_entry(val)),
            "insert" => self.put(key, wire::written(asked, val, Some(0))),
            "replace" => {
                let before = self.get(key).cloned();
                let kept = wire::kept_guard(asked, before.as_ref());
                self.put(key, wire::written(asked, val, kept));
            }
            "touch" => {
                let until = wire::read_expiry(asked);
                for (_, entry) in self.0.iter_mut().filter(|(known, _)| known == key) {
                    entry.expires_at = entry.expires_at.max(until);
                }
            }
            _ => self.remove(key),
        }
    }
}
