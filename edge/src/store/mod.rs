//! Where records are kept: the contract of `wit/store.wit`, over what a Worker has.

mod any;
mod cache;
mod combined;
mod durable;
mod error;
mod index;
mod kv;
mod namespace;
mod object;
mod owner;
mod record;
mod remote;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::number::U64;

pub(crate) use any::{AnyStore, StoreKind};
pub(crate) use combined::CombinedStore;
pub(crate) use durable::DurableStore;
pub(crate) use error::StoreError;
pub(crate) use kv::KvStore;

/// The most keys that are asked for at once, and the most rows of a page.
pub(crate) const BATCH_LIMIT: usize = 100;
/// How long an entry must have been expired before it may be removed, in milliseconds: a host whose clock runs ahead by less
/// deletes nothing that another still sees alive.
pub(crate) const SWEEP_GRACE_MS: u64 = 3_600_000;
/// How long an owner's entry is kept that names no record: longer than any call takes, in milliseconds.
pub(crate) const LONGEST_CALL_MS: u64 = 600_000;
/// JavaScript's numbers are exact so far: 285 thousand years.
pub(crate) const END_OF_TIME_MS: u64 = (1 << 53) - 1;

/// How removing many has ended: where some of it was done, or may have been, nobody is told that nothing was.
fn removed_of(count: u32, failures: Vec<StoreError>) -> Result<u32, StoreError> {
    let may_be_done = count > 0 || failures.contains(&StoreError::OutcomeUnknown);
    match failures.into_iter().next() {
        None => Ok(count),
        Some(_) if may_be_done => Err(StoreError::OutcomeUnknown),
        Some(error) => Err(error),
    }
}

/// A record as the store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) value: Arc<str>,
    pub(crate) version: U64,
    pub(crate) guard: U64,
    pub(crate) expires_at: U64,
}

/// Where a written record belongs and how long it lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Placement {
    pub(crate) owner: Option<String>,
    pub(crate) previous_owner: Option<String>,
    /// The guard from now on; `None` keeps the one that is there, and is 0 where nothing live is there.
    pub(crate) guard: Option<U64>,
    pub(crate) expires_at: U64,
    pub(crate) ends_at: U64,
}

impl Placement {
    /// When it expires: no entry outlives its end.
    pub(crate) fn expires_at(&self) -> u64 {
        self.expires_at.0.min(self.ends_at.0).min(END_OF_TIME_MS)
    }

    /// When it ends however often it is touched.
    pub(crate) fn ends_at(&self) -> u64 {
        self.ends_at.0.min(END_OF_TIME_MS)
    }
}

/// One line of an owner's index.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) version: U64,
    pub(crate) guard: U64,
    pub(crate) touched_at: U64,
    pub(crate) expires_at: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Arc<str>>,
}

/// Which entry a `replace` may write over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub(crate) enum Expected {
    /// The one that no write has changed.
    Version(U64),
    /// The one that still has this guard.
    Guard(U64),
}

impl Expected {
    /// Whether an entry with this version and guard is the expected one.
    pub(crate) fn is_met(self, version: U64, guard: U64) -> bool {
        match self {
            Self::Version(expected) => expected == version,
            Self::Guard(expected) => expected == guard,
        }
    }
}

/// Which entry a `delete` may remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub(crate) enum Condition {
    /// One that belongs to this owner.
    Owner(String),
    /// One that still has this guard.
    Guard(U64),
}

impl Condition {
    /// Whether an entry of this owner and guard may be removed.
    pub(crate) fn is_met(&self, owner: Option<&str>, guard: U64) -> bool {
        match self {
            Self::Owner(expected) => owner == Some(expected),
            Self::Guard(expected) => guard == *expected,
        }
    }
}

/// One entry that a `delete-many` removes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deletion {
    pub(crate) key: String,
    /// Only while the entry has this guard; `None`: whatever guard it has.
    pub(crate) guard: Option<U64>,
}

impl Deletion {
    /// Whether an entry with this guard is to be removed.
    pub(crate) fn is_met(&self, guard: U64) -> bool {
        self.guard.is_none_or(|expected| expected == guard)
    }
}

/// A part of an owner's index.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// What a store promises; `wit/store.wit` has each in words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Capabilities {
    pub(crate) compare_and_swap: bool,
    pub(crate) list_by_owner: bool,
    pub(crate) acknowledged_writes_survive_failover: bool,
    pub(crate) maximum_staleness_ms: u64,
    pub(crate) index_staleness_ms: u64,
    pub(crate) minimum_ttl_ms: u64,
    pub(crate) expiry_resolution_ms: u64,
    pub(crate) minimum_write_interval_ms: u64,
    pub(crate) maximum_key_bytes: u32,
    pub(crate) maximum_owner_bytes: u32,
    pub(crate) maximum_value_bytes: u32,
}

impl Capabilities {
    /// Whether a write of these fits; every write asks first.
    pub(crate) fn check(&self, key: &str, value: &str, at: &Placement) -> Result<(), StoreError> {
        let longer = |text: &str, most: u32| text.len() > most as usize;
        let owners = [&at.owner, &at.previous_owner];
        let unfit = longer(key, self.maximum_key_bytes)
            || longer(value, self.maximum_value_bytes)
            || owners
                .into_iter()
                .flatten()
                .any(|owner| longer(owner, self.maximum_owner_bytes));
        if unfit { Err(StoreError::TooLarge) } else { Ok(()) }
    }

    /// Whether there can be an entry of this key.
    pub(crate) fn has_room_for(&self, key: &str) -> bool {
        key.len() <= self.maximum_key_bytes as usize
    }
}

/// What the engine asks of a store: the functions of `wit/store.wit`, and the call's clock in milliseconds.
///
/// A future is dropped where it takes too long; nothing it holds may outlive it.
pub(crate) trait Store {
    fn describe(&self) -> Capabilities;

    async fn get(&self, now: u64, key: &str, fresh: bool) -> Result<Entry, StoreError>;

    async fn get_many(&self, now: u64, keys: &[String])
    -> Result<Vec<Result<Entry, StoreError>>, StoreError>;

    async fn insert(&self, now: u64, key: &str, value: &str, at: &Placement) -> Result<u64, StoreError>;

    async fn replace(
        &self,
        now: u64,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError>;

    async fn touch(
        &self,
        now: u64,
        key: &str,
        owner: Option<&str>,
        expires_at: u64,
    ) -> Result<(), StoreError>;

    /// `StoreError::Stale` if a live entry does not meet the condition.
    async fn delete(&self, now: u64, key: &str, condition: &Condition) -> Result<bool, StoreError>;

    async fn delete_many(&self, now: u64, deletions: &[Deletion], owner: &str) -> Result<u32, StoreError>;

    async fn list_owned(&self, now: u64, owner: &str, cursor: &str, limit: u32) -> Result<Page, StoreError>;
}

/// Refuses more keys than a question may have.
pub(crate) fn check_batch<T>(keys: &[T]) -> Result<(), StoreError> {
    if keys.len() > BATCH_LIMIT {
        return Err(StoreError::Other("more than 100 keys at once".into()));
    }
    Ok(())
}

/// Refuses a page of no rows, or of too many.
pub(crate) fn check_limit(limit: u32) -> Result<(), StoreError> {
    if !(1..=BATCH_LIMIT).contains(&(limit as usize)) {
        return Err(StoreError::Other("a page has 1 to 100 rows".into()));
    }
    Ok(())
}
