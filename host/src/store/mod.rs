//! The contract between the engine and whatever keeps its records.
//!
//! [`Store`] has as many methods as the WIT interface `store` has functions; a store of your own is
//! that trait and nothing else. What each must keep is said at the trait and checked by the store suite in `tests/`.
//! What stands before a store and does the same with each of its operations is a [`StoreService`], which has one method.
//!
//! # Example
//!
//! A store of your own; this one counts what is read of another.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use tessera::store::{
//!     Capabilities, Condition, Deletion, Entry, Expected, MemoryStore, Page, Placement, Store, StoreError,
//! };
//! use tessera::{Sessions, Timestamp};
//!
//! struct Counting {
//!     inner: MemoryStore,
//!     reads: Arc<AtomicU64>,
//! }
//!
//! impl Store for Counting {
//!     fn describe(&self) -> Capabilities {
//!         self.inner.describe()
//!     }
//!
//!     async fn get(&self, now: Timestamp, key: &str, fresh: bool) -> Result<Entry, StoreError> {
//!         self.reads.fetch_add(1, Ordering::Relaxed);
//!         self.inner.get(now, key, fresh).await
//!     }
//!
//!     async fn get_many(&self, now: Timestamp, keys: &[String]) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
//!         self.inner.get_many(now, keys).await
//!     }
//!
//!     async fn insert(&self, now: Timestamp, key: &str, value: &str, at: &Placement) -> Result<u64, StoreError> {
//!         self.inner.insert(now, key, value, at).await
//!     }
//!
//!     async fn replace(
//!         &self,
//!         now: Timestamp,
//!         key: &str,
//!         value: &str,
//!         expected: Expected,
//!         at: &Placement,
//!     ) -> Result<u64, StoreError> {
//!         self.inner.replace(now, key, value, expected, at).await
//!     }
//!
//!     async fn touch(
//!         &self,
//!         now: Timestamp,
//!         key: &str,
//!         owner: Option<&str>,
//!         expires_at: Timestamp,
//!     ) -> Result<(), StoreError> {
//!         self.inner.touch(now, key, owner, expires_at).await
//!     }
//!
//!     async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
//!         self.inner.delete(now, key, condition).await
//!     }
//!
//!     async fn delete_many(&self, now: Timestamp, deletions: &[Deletion], owner: &str) -> Result<u32, StoreError> {
//!         self.inner.delete_many(now, deletions, owner).await
//!     }
//!
//!     async fn list_owned(&self, now: Timestamp, owner: &str, cursor: &str, limit: u32) -> Result<Page, StoreError> {
//!         self.inner.list_owned(now, owner, cursor, limit).await
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reads = Arc::new(AtomicU64::new(0));
//! let store = Counting { inner: MemoryStore::new(), reads: Arc::clone(&reads) };
//! let sessions = Sessions::builder()?.signing_key("2026-11", [7; 32]).build(store)?;
//!
//! let token = sessions.create().save().await?.token.expect("a new session has a token");
//! sessions.open(&token).await?;
//! assert_eq!(reads.load(Ordering::Relaxed), 1);
//! # Ok(()) }
//! ```

mod any;
#[cfg(feature = "cache")]
mod cached;
#[cfg(any(feature = "cache", feature = "redis", feature = "sql"))]
mod heard;
#[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
mod listing;
mod memory;
#[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
mod percent;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sql", feature = "sqlite"))]
mod sections;
#[cfg(feature = "sql")]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod url;

#[cfg(feature = "redis")]
pub use self::redis::{HeadFormat, RedisStore, RedisStoreBuilder, RedisStoreError, RedisUrl};
pub use any::{AnyStore, PlainStore};
#[cfg(feature = "cache")]
pub use cached::{CacheUrl, CachedStore};
#[cfg(any(feature = "cache", feature = "redis", feature = "sql"))]
pub use heard::{Announce, Heard, Listening};
#[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
pub use listing::{Listed, Listing};
pub use memory::{Eviction, MemoryStore, MemoryStoreBuilder};
#[cfg(feature = "sql")]
pub use sql::{SqlCode, SqlError, SqlStore, SqlStoreBuilder, SqlStoreError, SqlUrl};
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, SqliteStore, SqliteStoreBuilder, SqliteStoreError};
pub use tessera_contract::store::{
    BATCH_LIMIT, Capabilities, Cause, Condition, Deletion, Entry, Expected, Methods, Page, Placement, Row,
    SWEEP_GRACE, Store, StoreError, StoreOp, StoreReply, StoreService,
};
pub use url::{PlainUrl, StoreUrl, StoreUrlError};
