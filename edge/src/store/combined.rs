//! A fast store as a cache over a consistent one: reads are cheap, and a revocation is visible after a bounded delay.
//!
//! A cached entry carries the time of its read from the store below, and is served until `max_stale` after that time,
//! whatever age the cache itself reports.

use std::time::Duration;

use tessera_contract::Timestamp;
use tessera_http::chain;

use super::kv::cache::{Cached, KvCache};
use super::kv::namespace::Opened;
use super::{Capabilities, Entry, StoreError, StoreOp, StoreReply, StoreService, in_time};
use crate::{clock, deadline, requests};

/// The time limit for the cache, in milliseconds; a third of the store's time limit if that is less.
const CACHE_TIMEOUT_MS: u64 = 1000;

/// Workers KV over another store.
#[derive(Clone)]
pub(crate) struct CombinedStore<S> {
    cache: KvCache,
    inner: S,
    max_stale: Duration,
    cache_timeout_ms: u64,
}

impl<S: StoreService> CombinedStore<S> {
    /// `max_stale` is the maximum age of a reply, and `store_timeout_ms` the time limit for an operation as a whole.
    pub(crate) fn new(kv: Opened, space: &str, inner: S, max_stale: Duration, store_timeout_ms: u64) -> Self {
        Self {
            cache: KvCache::new(kv, space),
            inner,
            max_stale,
            // Leaves time for the store below.
            cache_timeout_ms: CACHE_TIMEOUT_MS.min(store_timeout_ms / 3),
        }
    }

    /// The store below.
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// Awaits the cache for at most its time limit.
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        in_time(self.cache_timeout_ms, asked).await
    }

    fn may_serve(&self, cached: &Cached, now: Timestamp) -> bool {
        let read_at = cached.read_at;
        // `read_at` is from the same clock. An entry from the future is not served, because the clock was set back.
        let wall = clock::now();
        let is_young = read_at <= wall && wall < read_at.saturating_add(self.max_stale);
        // An expired entry may have been touched since it was cached, so the store below decides.
        is_young && cached.expires_at > now
    }

    /// Removes an entry from the cache after a write. If that fails, the entry is served until `max_stale`.
    async fn forget(&self, key: &str) {
        if let Err(error) = self.in_time(self.cache.remove(key)).await {
            tracing::debug!(
                "a cached entry could not be removed and remains until it is stale: {}",
                chain(&error)
            );
        }
    }

    /// Reads an entry from the store below, and caches it in the background.
    async fn read(&self, now: Timestamp, key: &str, op: &StoreOp) -> StoreReply {
        let read_at = clock::now();
        let reply = self.inner.call(now, op).await;
        if let StoreReply::Entry(Ok(entry)) = &reply {
            let cached = Cached {
                version: entry.version,
                guard: entry.guard,
                expires_at: entry.expires_at,
                read_at,
            };
            let (cache, key, value) = (self.cache.clone(), key.to_owned(), entry.value.clone());
            let (max_stale, timeout_ms) = (self.max_stale, self.cache_timeout_ms);
            requests::spawn(async move {
                let put = cache.put(&key, &value, &cached, max_stale);
                if let Some(Err(error)) = deadline::within(timeout_ms, put).await {
                    tracing::debug!("an entry could not be cached: {}", chain(&error));
                }
            });
        }
        reply
    }
}

impl<S: StoreService> StoreService for CombinedStore<S> {
    fn describe(&self) -> Capabilities {
        let inner = self.inner.describe();
        Capabilities {
            maximum_staleness: inner.maximum_staleness.saturating_add(self.max_stale),
            maximum_key_bytes: inner.maximum_key_bytes.min(KvCache::MAXIMUM_KEY_BYTES),
            ..inner
        }
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        if let StoreOp::Insert { key, value, at } | StoreOp::Replace { key, value, at, .. } = op
            && let Err(error) = self.describe().check_sizes(key, value, at)
        {
            return op.failed(error);
        }
        match op {
            StoreOp::Get { key, .. } if !self.describe().fits_key(key) => op.failed(StoreError::Missing),
            StoreOp::Get { key, fresh: false } => {
                match self.in_time(self.cache.get(key)).await {
                    Ok(Some((value, cached))) if self.may_serve(&cached, now) => {
                        return StoreReply::Entry(Ok(Entry {
                            value: value.into(),
                            version: cached.version,
                            guard: cached.guard,
                            expires_at: cached.expires_at,
                        }));
                    }
                    Ok(_) => {}
                    // If the cache fails, the store below replies.
                    Err(error) => tracing::debug!("the cache cannot be read: {}", chain(&error)),
                }
                self.read(now, key, op).await
            }
            StoreOp::Get { .. } | StoreOp::GetMany { .. } | StoreOp::ListOwned { .. } => {
                self.inner.call(now, op).await
            }
            // Before an insertion, the cache has no live entry of the key.
            StoreOp::Insert { .. } => self.inner.call(now, op).await,
            StoreOp::Replace { key, .. } | StoreOp::Touch { key, .. } | StoreOp::Delete { key, .. } => {
                let reply = self.inner.call(now, op).await;
                // With any other reply, the write may have taken effect.
                if !matches!(reply.error(), Some(StoreError::Missing | StoreError::TooLarge)) {
                    self.forget(key).await;
                }
                reply
            }
            StoreOp::DeleteMany { deletions, .. } => {
                let reply = self.inner.call(now, op).await;
                let forgotten = deletions.iter().map(|deletion| self.forget(&deletion.key));
                futures_util::future::join_all(forgotten).await;
                reply
            }
        }
    }
}
