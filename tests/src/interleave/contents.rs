//! The contents of the store as plain data, which can be hashed, kept and restored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tessera::Timestamp;
use tessera::store::{Condition, Entry, Page, Placement, Row, StoreError, StoreOp, StoreReply};

/// A record with its metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The record's text.
    pub text: Arc<str>,
    /// Identifies the last write.
    pub version: u64,
    /// Identifies the last write that changed the accepted tokens.
    pub guard: u64,
    /// The owner.
    pub owner: Option<String>,
    /// The expiry.
    pub expires_at: Timestamp,
}

impl Stored {
    /// The entry that the engine receives.
    pub fn entry(&self) -> Entry {
        Entry {
            value: Arc::clone(&self.text),
            version: self.version,
            guard: self.guard,
            expires_at: self.expires_at,
        }
    }
}

/// The records by key, and the index of owners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    /// The records. An expired one is kept until it is overwritten or deleted.
    pub records: BTreeMap<String, Stored>,
    /// Pairs of owner and key.
    pub index: BTreeSet<(String, String)>,
    /// Whether previous contents are kept for stale reads.
    pub remembers: bool,
    /// The previous contents of each key, oldest first, for stale reads.
    pub before: BTreeMap<String, Vec<Option<Stored>>>,
}

impl Contents {
    /// Returns the live record of a key.
    pub fn live(&self, key: &str, now: Timestamp) -> Result<&Stored, StoreError> {
        let stored = self.records.get(key).ok_or(StoreError::Missing)?;
        if stored.expires_at > now {
            Ok(stored)
        } else {
            Err(StoreError::Missing)
        }
    }

    fn remember(&mut self, key: &str) {
        if !self.remembers {
            return;
        }
        let before = self.records.get(key).cloned();
        self.before.entry(key.to_owned()).or_default().push(before);
    }

    fn put(&mut self, key: &str, text: &str, version: u64, at: &Placement) {
        self.remember(key);
        let before = self.records.get(key);
        let guard = at.guard.or(before.map(|before| before.guard)).unwrap_or(0);
        if let Some(previous) = before.and_then(|before| before.owner.clone()) {
            self.index.remove(&(previous, key.to_owned()));
        }
        if let Some(owner) = &at.owner {
            self.index.insert((owner.clone(), key.to_owned()));
        }
        let stored = Stored {
            text: text.into(),
            version,
            guard,
            owner: at.owner.clone(),
            expires_at: at.expires_at.min(at.ends_at),
        };
        self.records.insert(key.to_owned(), stored);
    }

    fn remove(&mut self, key: &str) {
        self.remember(key);
        if let Some(Stored {
            owner: Some(owner), ..
        }) = self.records.remove(key)
        {
            self.index.remove(&(owner, key.to_owned()));
        }
    }

    fn remove_if(&mut self, key: &str, condition: &Condition, now: Timestamp) -> Result<bool, StoreError> {
        let Some(stored) = self.records.get(key) else {
            return Ok(false);
        };
        let was_live = stored.expires_at > now;
        if condition.is_met(stored.owner.as_deref(), stored.guard) {
            self.remove(key);
        } else if was_live {
            return Err(StoreError::Stale);
        }
        Ok(was_live)
    }

    /// Returns the reply to an operation that only reads, or `None` for one that writes.
    pub fn read(&self, op: &StoreOp, now: Timestamp) -> Option<StoreReply> {
        let entry = |key: &str| self.live(key, now).map(Stored::entry);
        match op {
            StoreOp::Get { key, .. } => Some(StoreReply::Entry(entry(key))),
            StoreOp::GetMany { keys } => {
                let each = keys.iter().map(|key| entry(key)).collect();
                Some(StoreReply::Entries(Ok(each)))
            }
            StoreOp::ListOwned { owner, .. } => Some(StoreReply::Page(Ok(Arc::new(self.list(owner, now))))),
            _ => None,
        }
    }

    /// Performs an operation. `version` is the version of a write.
    pub fn apply(&mut self, op: &StoreOp, now: Timestamp, version: u64) -> StoreReply {
        if let Some(read) = self.read(op, now) {
            return read;
        }
        match op {
            StoreOp::Insert { key, value, at } => StoreReply::Version(match self.live(key, now) {
                Ok(_) => Err(StoreError::Stale),
                Err(_) => {
                    self.put(key, value, version, at);
                    Ok(version)
                }
            }),
            StoreOp::Replace {
                key,
                value,
                expected,
                at,
            } => StoreReply::Version(match self.live(key, now) {
                Err(missing) => Err(missing),
                Ok(stored) if !expected.is_met(stored.version, stored.guard) => Err(StoreError::Stale),
                Ok(_) => {
                    self.put(key, value, version, at);
                    Ok(version)
                }
            }),
            StoreOp::Touch { key, expires_at, .. } => StoreReply::Done(match self.live(key, now) {
                Err(missing) => Err(missing),
                Ok(_) => {
                    if let Some(stored) = self.records.get_mut(key) {
                        stored.expires_at = stored.expires_at.max(*expires_at);
                    }
                    Ok(())
                }
            }),
            StoreOp::Delete { key, condition } => StoreReply::WasThere(self.remove_if(key, condition, now)),
            StoreOp::DeleteMany { deletions, owner } => {
                let mut removed = 0;
                for deletion in deletions {
                    let is_doomed = |stored: &Stored| {
                        stored.owner.as_ref() == Some(owner) && deletion.is_met(stored.guard)
                    };
                    if self.records.get(&deletion.key).is_some_and(is_doomed) {
                        removed += u32::from(self.live(&deletion.key, now).is_ok());
                        self.remove(&deletion.key);
                    }
                }
                StoreReply::Count(Ok(removed))
            }
            // Reads were handled above.
            _ => op.failed(StoreError::Unsupported),
        }
    }

    fn list(&self, owner: &str, now: Timestamp) -> Page {
        let keys = self
            .index
            .iter()
            .filter(|(of, _)| of == owner)
            .map(|(_, key)| key);
        let rows = keys.filter_map(|key| {
            let stored = self.live(key, now).ok()?;
            Some(Row {
                key: key.clone(),
                version: stored.version,
                guard: stored.guard,
                touched_at: now,
                expires_at: stored.expires_at,
                value: Some(Arc::clone(&stored.text)),
            })
        });
        Page {
            rows: rows.collect(),
            next: None,
        }
    }

    /// The reply to a stale `get`: the key's contents before its last write.
    pub fn stale(&self, key: &str) -> Option<StoreReply> {
        let before = self.before.get(key)?.last()?;
        Some(StoreReply::Entry(
            before.as_ref().map(Stored::entry).ok_or(StoreError::Missing),
        ))
    }
}
