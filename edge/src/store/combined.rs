//! A fast store as cache over one that is always right: cheap reads, and revocation that is late by no more than is stated.
//!
//! What is cached carries the time at which it was read from the store below, and is answered until `max_stale` after it,
//! whatever the cache itself makes of its age.

use std::time::Duration;

use tessera_contract::Timestamp;
use tessera_http::chain;

use super::cache::{Cached, KvCache};
use super::namespace::Opened;
use super::{Capabilities, Cause, Entry, StoreError, StoreOp, StoreReply, StoreService};
use crate::{clock, deadline, requests};

/// A cache that takes longer is none; or as long as the store may take, if that is less. In milliseconds.
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
    /// `max_stale`: how old an answer may be. `store_timeout_ms`: how long all that is asked for one answer may take.
    pub(crate) fn new(kv: Opened, space: &str, inner: S, max_stale: Duration, store_timeout_ms: u64) -> Self {
        Self {
            cache: KvCache::new(kv, space),
            inner,
            max_stale,
            // The store below is to have time, too.
            cache_timeout_ms: CACHE_TIMEOUT_MS.min(store_timeout_ms / 3),
        }
    }

    /// What the cache answers, if it does so in time.
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let answer = deadline::within(self.cache_timeout_ms, asked).await;
        answer.unwrap_or_else(|| Err(StoreError::Unavailable(Cause::new("it did not answer in time"))))
    }

    fn may_serve(&self, cached: &Cached, now: Timestamp) -> bool {
        let read_at = cached.read_at;
        // By the runtime's own clock, as it was when the entry was read; one that was set back makes nothing younger.
        let wall = clock::now();
        let is_young = read_at <= wall && wall < read_at.saturating_add(self.max_stale);
        // What has expired may have been touched meanwhile: the store below knows.
        is_young && cached.expires_at > now
    }

    /// Forgets what a write has changed; if that fails, what is cached grows old all the same.
    async fn forget(&self, key: &str) {
        if let Err(error) = self.in_time(self.cache.remove(key)).await {
            tracing::debug!("a cached entry is left to grow old: {}", chain(&error));
        }
    }

    /// Reads an entry from the store below, and caches it for later.
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
                    tracing::debug!("an entry is not cached: {}", chain(&error));
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
                    // A cache that fails is none.
                    Err(error) => tracing::debug!("the cache cannot be read: {}", chain(&error)),
                }
                self.read(now, key, op).await
            }
            StoreOp::Get { .. } | StoreOp::GetMany { .. } | StoreOp::ListOwned { .. } => {
                self.inner.call(now, op).await
            }
            // Nothing live was there that could be cached.
            StoreOp::Insert { .. } => self.inner.call(now, op).await,
            StoreOp::Replace { key, .. } | StoreOp::Touch { key, .. } | StoreOp::Delete { key, .. } => {
                let reply = self.inner.call(now, op).await;
                // However else it ended, it may have been done.
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
