//! The contract between the engine and the stores that keep its records.
//!
//! [`Store`] has one method for each function of the WIT interface `store`.
//! [`StoreService`] is the same in one method, for layers that treat all operations of a store alike.
//!
//! All operations and replies serialise to JSON, for hosts that reach the component or a store through JSON: names in
//! camelCase, variants as `tag` and `val`, numbers of 64 bits as decimal texts ([`crate::decimal`]).

mod bounds;
mod error;
mod json;
mod methods;
mod op;
mod seen;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

pub use bounds::{check_batch, check_limit};
pub use error::{Cause, StoreError};
pub use methods::Methods;
pub use op::{StoreOp, StoreReply, StoreService};
pub use seen::{Seed, Seen};

/// `Send`, except on wasm32, where all futures run on one thread.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}
/// `Send`, except on wasm32, where all futures run on one thread.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync`, except on wasm32.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}
/// `Sync`, except on wasm32.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// The maximum number of keys of one [`Store::get_many`] or [`Store::delete_many`], and of rows of one [`Page`].
pub const BATCH_LIMIT: usize = 100;

/// The time that an entry must have been expired before a sweeper may remove it.
///
/// A host whose clock runs ahead by less deletes no entry that is alive on another host.
pub const SWEEP_GRACE: Duration = Duration::from_secs(3600);

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The record's text, byte for byte as it was written.
    pub value: Arc<str>,
    /// Changes with every `insert` and `replace`, and is never reused for one key.
    #[serde(with = "crate::decimal")]
    pub version: u64,
    /// Changes only with a write whose [`Placement`] brings a new guard.
    #[serde(with = "crate::decimal")]
    pub guard: u64,
    /// The entry is missing from this moment on.
    #[serde(with = "crate::decimal")]
    pub expires_at: Timestamp,
}

/// The owner, guard and lifetime of a written record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// The owner whose index lists the record after the write.
    pub owner: Option<String>,
    /// The owner whose index listed the record before the write.
    pub previous_owner: Option<String>,
    /// The new guard; `None` keeps the existing guard, which is 0 where no entry exists.
    #[serde(default, with = "crate::decimal::option")]
    pub guard: Option<u64>,
    /// When the entry expires unless it is touched; 0 ends it at once.
    #[serde(with = "crate::decimal")]
    pub expires_at: Timestamp,
    /// When the entry expires regardless of touches; the score in the owner's index.
    ///
    /// A `replace` that lowers it makes the entry final.
    #[serde(with = "crate::decimal")]
    pub ends_at: Timestamp,
}

/// One row of an owner's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The record's key.
    pub key: String,
    /// The record's version.
    #[serde(with = "crate::decimal")]
    pub version: u64,
    /// The record's guard.
    #[serde(with = "crate::decimal")]
    pub guard: u64,
    /// When the record was last written or touched.
    #[serde(with = "crate::decimal")]
    pub touched_at: Timestamp,
    /// When the record expires unless it is touched.
    #[serde(with = "crate::decimal")]
    pub expires_at: Timestamp,
    /// The record's text, where the same query returns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Arc<str>>,
}

/// The entry that a [`Store::replace`] may overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub enum Expected {
    /// The entry with this version: no write has changed it.
    Version(#[serde(with = "crate::decimal")] u64),
    /// The entry with this guard, whatever else was written to it.
    Guard(#[serde(with = "crate::decimal")] u64),
}

impl Expected {
    /// Whether an entry with this version and guard is the expected one.
    pub fn is_met(self, version: u64, guard: u64) -> bool {
        match self {
            Self::Version(expected) => expected == version,
            Self::Guard(expected) => expected == guard,
        }
    }
}

/// The entry that a [`Store::delete`] may remove.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub enum Condition {
    /// An entry of this owner.
    Owner(String),
    /// An entry with this guard.
    Guard(#[serde(with = "crate::decimal")] u64),
}

impl Condition {
    /// Whether an entry with this owner and guard may be removed.
    pub fn is_met(&self, owner: Option<&str>, guard: u64) -> bool {
        match self {
            Self::Owner(expected) => owner == Some(expected),
            Self::Guard(expected) => guard == *expected,
        }
    }
}

/// One entry that a [`Store::delete_many`] removes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deletion {
    /// The entry's key.
    pub key: String,
    /// Removes the entry only while it has this guard; `None`: with any guard.
    #[serde(default, with = "crate::decimal::option")]
    pub guard: Option<u64>,
}

impl Deletion {
    /// Whether an entry with this guard may be removed.
    pub fn is_met(&self, guard: u64) -> bool {
        self.guard.is_none_or(|expected| expected == guard)
    }
}

/// One page of an owner's index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// At most as many rows as requested.
    pub rows: Vec<Row>,
    /// The cursor of the next page; `None` on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The guarantees of a store. The engine refuses a policy that needs more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Whether `insert` and `replace` compare and write in one atomic step.
    ///
    /// `wit/store.wit` describes the consequences for a store without it.
    pub compare_and_swap: bool,
    /// Whether `list_owned` works.
    pub list_by_owner: bool,
    /// Whether an acknowledged write survives the loss of one server.
    pub acknowledged_writes_survive_failover: bool,
    /// The maximum age of a result of `get` without `fresh`; 0: always current.
    #[serde(rename = "maximumStalenessMs", with = "crate::decimal")]
    pub maximum_staleness: Duration,
    /// The maximum delay until `list_owned` lists a record.
    #[serde(rename = "indexStalenessMs", with = "crate::decimal")]
    pub index_staleness: Duration,
    /// The minimum lifetime of an entry.
    #[serde(rename = "minimumTtlMs", with = "crate::decimal")]
    pub minimum_ttl: Duration,
    /// The resolution with which the store itself keeps `expires_at`.
    #[serde(rename = "expiryResolutionMs", with = "crate::decimal")]
    pub expiry_resolution: Duration,
    /// The minimum interval between two writes to one key.
    #[serde(rename = "minimumWriteIntervalMs", with = "crate::decimal")]
    pub minimum_write_interval: Duration,
    /// The maximum length of a key, in bytes.
    pub maximum_key_bytes: u32,
    /// The maximum length of an owner, in bytes.
    pub maximum_owner_bytes: u32,
    /// The maximum length of a value, in bytes.
    pub maximum_value_bytes: u32,
}

/// A store of the engine's records.
///
/// Every store must meet these requirements, which `wit/store.wit` explains:
///
/// - An entry with `expires_at ≤ now` is missing to every method, swept or not. `now` is the clock of the call: use no other
///   clock, except to sweep. Sweep only entries that expired [`SWEEP_GRACE`] ago.
/// - A version is never reused for one key, not even after the key was deleted and inserted again.
/// - A guard comes with a [`Placement`], is kept through every write that brings none, and is never changed by the store
///   itself.
/// - The owner's index may list too much, never too little.
/// - Keys, owners and values compare as bytes. Values are returned as they were written.
/// - An error never contains a key, a value or a secret.
///
/// A future that is ready at its first poll costs one pass through the component and no wake-up.
/// A future may be polled by one task first and by another later.
/// It is dropped if the caller goes away before anything was written; after that it is always polled to completion.
pub trait Store: MaybeSend + MaybeSync + 'static {
    /// Returns the guarantees of this store, which are constant for its lifetime.
    fn describe(&self) -> Capabilities;

    /// Reads one entry. `fresh` forbids a result that may be stale.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if no live entry has this key.
    fn get(
        &self,
        now: Timestamp,
        key: &str,
        fresh: bool,
    ) -> impl Future<Output = Result<Entry, StoreError>> + MaybeSend;

    /// Reads up to [`BATCH_LIMIT`] entries, fresh. The results are in the order of the keys.
    ///
    /// # Errors
    /// An error of one key is the result of that key. Any other error fails the whole call.
    fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<Result<Entry, StoreError>>, StoreError>> + MaybeSend;

    /// Writes a new entry and returns its version.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if a live entry has this key.
    fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Overwrites the `expected` entry and returns the new version.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if the live entry is not the expected one, [`StoreError::Missing`] if no live entry has this key.
    fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Moves the expiry of an entry to a later moment. An earlier moment changes nothing and is not an error.
    ///
    /// Version and guard are kept.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if no live entry has this key.
    fn touch(
        &self,
        now: Timestamp,
        key: &str,
        owner: Option<&str>,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Removes an entry if it meets the condition, in one atomic step, and returns whether a live entry was removed.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if a live entry does not meet the condition.
    fn delete(
        &self,
        now: Timestamp,
        key: &str,
        condition: &Condition,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Removes up to [`BATCH_LIMIT`] entries that belong to the owner and have the given guards, and returns the number of live
    /// entries removed.
    ///
    /// An entry that does not meet its condition is kept, which is not an error.
    /// A failed call may have removed some entries.
    fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> impl Future<Output = Result<u32, StoreError>> + MaybeSend;

    /// Lists an owner's live entries from `cursor` on, at most `limit` (1 to [`BATCH_LIMIT`]). The empty cursor starts a walk.
    ///
    /// An entry that exists throughout a walk over all pages is listed at least once.
    ///
    /// # Errors
    /// [`StoreError::MalformedCursor`] if the cursor was not returned by this method.
    fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> impl Future<Output = Result<Page, StoreError>> + MaybeSend;
}
