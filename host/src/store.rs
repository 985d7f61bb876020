//! Stores: the trait for a store of your own, and the stores of the crate `tessera-stores`.
//!
//! A store of your own implements [`Store`], which has one method for each function of the WIT interface `store`.
//! The trait's documentation states the guarantees, and the store suite in `tests/` checks them.
//! A layer that treats all operations alike implements [`StoreService`], which has one method.
//!
//! # Example
//!
//! A store that counts the reads of another.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use tessera_stores::{
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
//! let sessions = Sessions::builder().signing_key("2026-11", [7; 32]).build(store)?;
//!
//! let token = sessions.create().save().await?.token.expect("a new session has a token");
//! sessions.open(&token).await?;
//! assert_eq!(reads.load(Ordering::Relaxed), 1);
//! # Ok(()) }
//! ```

pub use tessera_stores::*;
