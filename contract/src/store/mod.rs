//! The contract between the engine and whatever keeps its records.
//!
//! All that is asked and answered is written and read as JSON too, for hosts that reach the component or a store through it: in
//! camelCase, variants as `tag` and `val`, numbers of 64 bits as decimal texts ([`crate::decimal`]).
//!
//! [`Store`] has as many methods as the WIT interface `store` has functions. [`StoreService`] is the same in one method, for what
//! stands before a store and does the same with each of its operations.

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

/// `Send`, but on wasm32, where all that is awaited belongs to one thread.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}
/// `Send`, but on wasm32, where all that is awaited belongs to one thread.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync`, but on wasm32.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}
/// `Sync`, but on wasm32.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// The most keys that [`Store::get_many`] and [`Store::delete_many`] are asked for at once, and the most rows of a [`Page`].
pub const BATCH_LIMIT: usize = 100;

/// How long an entry must have been expired before a sweeper may remove it:
/// a host whose clock runs ahead by less deletes nothing that another still sees alive.
pub const SWEEP_GRACE: Duration = Duration::from_secs(3600);

/// A record as the store has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The text, byte for byte as it was written.
    pub value: Arc<str>,
    /// Changes with every `insert` and `replace`; never used twice for one key.
    #[serde(with = "crate::decimal")]
    pub version: u64,
    /// Changes with a write that brings a new one in its [`Placement`], and with no other.
    #[serde(with = "crate::decimal")]
    pub guard: u64,
    /// From this moment on the entry is missing.
    #[serde(with = "crate::decimal")]
    pub expires_at: Timestamp,
}

/// Where a written record belongs and how long it lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Whose index lists the record from now on.
    pub owner: Option<String>,
    /// Whose index listed it until now.
    pub previous_owner: Option<String>,
    /// The guard from now on; `None` keeps the one that is there, and is 0 where nothing is there.
    #[serde(default, with = "crate::decimal::option")]
    pub guard: Option<u64>,
    /// When it expires unless it is touched.
    #[serde(with = "crate::decimal")]
    pub expires_at: Timestamp,
    /// When it expires however often it is touched.
    #[serde(with = "crate::decimal")]
    pub ends_at: Timestamp,
}

/// One line of an owner's index.
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
    /// When it expires unless it is touched.
    #[serde(with = "crate::decimal")]
    pub expires_at: Timestamp,
    /// The text, where one query brings it along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Arc<str>>,
}

/// Which entry a [`Store::replace`] may write over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub enum Expected {
    /// The one that no write has changed.
    Version(#[serde(with = "crate::decimal")] u64),
    /// The one that still has this guard, whatever else was written to it.
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

/// Which entry a [`Store::delete`] may remove.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub enum Condition {
    /// One that belongs to this owner.
    Owner(String),
    /// One that still has this guard.
    Guard(#[serde(with = "crate::decimal")] u64),
}

impl Condition {
    /// Whether an entry of this owner and guard may be removed.
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
    /// Only while the entry has this guard; `None`: whatever guard it has.
    #[serde(default, with = "crate::decimal::option")]
    pub guard: Option<u64>,
}

impl Deletion {
    /// Whether an entry with this guard is to be removed.
    pub fn is_met(&self, guard: u64) -> bool {
        self.guard.is_none_or(|expected| expected == guard)
    }
}

/// A part of an owner's index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// At most as many as were asked for.
    pub rows: Vec<Row>,
    /// The cursor of the next page; `None` at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a store promises. The engine refuses a policy that needs more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Whether `insert` and `replace` compare and write in one indivisible step.
    pub compare_and_swap: bool,
    /// Whether `list_owned` works.
    pub list_by_owner: bool,
    /// Whether an acknowledged write outlives the loss of one server.
    pub acknowledged_writes_survive_failover: bool,
    /// How old an answer of `get` without `fresh` may be.
    #[serde(rename = "maximumStalenessMs", with = "crate::decimal")]
    pub maximum_staleness: Duration,
    /// How late `list_owned` may show a record.
    #[serde(rename = "indexStalenessMs", with = "crate::decimal")]
    pub index_staleness: Duration,
    /// The shortest life an entry can have.
    #[serde(rename = "minimumTtlMs", with = "crate::decimal")]
    pub minimum_ttl: Duration,
    /// How exactly the store itself keeps `expires_at`.
    #[serde(rename = "expiryResolutionMs", with = "crate::decimal")]
    pub expiry_resolution: Duration,
    /// How long two writes to one key have to be apart.
    #[serde(rename = "minimumWriteIntervalMs", with = "crate::decimal")]
    pub minimum_write_interval: Duration,
    /// The longest key, in bytes.
    pub maximum_key_bytes: u32,
    /// The longest owner, in bytes.
    pub maximum_owner_bytes: u32,
    /// The longest value, in bytes.
    pub maximum_value_bytes: u32,
}

/// Keeps records for the engine.
///
/// What every store must keep, to be found in words in `wit/store.wit`:
///
/// - An entry with `expires_at ≤ now` is missing to every method, swept or not. `now` is the clock of the call:
///   use it and no other, except to sweep, and sweep only what expired [`SWEEP_GRACE`] ago.
/// - A version is never used twice for one key, also not after the key was deleted and inserted again.
/// - A guard comes with a [`Placement`], stays through every write that brings none, and is never changed by the store itself.
/// - The owner's index may list too much, never too little.
/// - Keys, owners and values compare as bytes; values come back as they were written.
/// - An error never carries a key, a value or a secret.
///
/// An answer that is there at the first poll of the future costs one pass through the component and no wake-up.
/// A future that was polled once may be polled again by another task, and is dropped when the caller goes away
/// before anything was written; after that it is always polled to its end.
pub trait Store: MaybeSend + MaybeSync + 'static {
    /// What this store promises. The same for as long as it lives.
    fn describe(&self) -> Capabilities;

    /// Reads one entry; `fresh` forbids an answer that may be old.
    fn get(
        &self,
        now: Timestamp,
        key: &str,
        fresh: bool,
    ) -> impl Future<Output = Result<Entry, StoreError>> + MaybeSend;

    /// Reads up to [`BATCH_LIMIT`] entries, fresh, each answered in the place of its key.
    fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<Result<Entry, StoreError>>, StoreError>> + MaybeSend;

    /// Writes a new entry and answers its version; [`StoreError::Stale`] if a live entry has this key.
    fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Writes over the entry that is `expected` and answers the new version; [`StoreError::Stale`] if a live entry is not the
    /// expected one, [`StoreError::Missing`] if none is live.
    fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Moves the expiry later, never earlier. An earlier one changes nothing and is no error. Version and guard stay.
    fn touch(
        &self,
        now: Timestamp,
        key: &str,
        owner: Option<&str>,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Removes an entry while the condition holds, in one indivisible step, and answers whether a live one was there;
    /// [`StoreError::Stale`] if a live entry does not meet the condition.
    fn delete(
        &self,
        now: Timestamp,
        key: &str,
        condition: &Condition,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Removes up to [`BATCH_LIMIT`] entries while they belong to one owner and have the guards that are named, and answers how
    /// many live ones were removed. An entry that does not meet the condition is left alone, which is no error.
    fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> impl Future<Output = Result<u32, StoreError>> + MaybeSend;

    /// Lists an owner's live entries, at most `limit` (1 to [`BATCH_LIMIT`]) from `cursor` on; the empty cursor starts.
    /// An entry that is there throughout a walk over all pages is listed at least once.
    fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> impl Future<Output = Result<Page, StoreError>> + MaybeSend;
}
