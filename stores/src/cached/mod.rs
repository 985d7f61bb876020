//! A bounded cache in front of any store.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::invalidation::Epoch;
use super::{
    Capabilities, Entry, InvalidationClock, InvalidationSource, StoreError, StoreOp, StoreReply,
    StoreService, Subscription,
};
use tessera_contract::Timestamp;

/// The default size of the cache in bytes.
const DEFAULT_CAPACITY_BYTES: u64 = 64 << 20;
/// The time after which a write of unknown outcome has taken effect or never does: far longer than any store's time-out.
const DOUBT: Duration = Duration::from_secs(60);
const MAXIMUM_DOUBTFUL: usize = 100_000;
/// Approximate size of an entry beside its key and text.
const ENTRY_BYTES: u64 = 160;
/// Determines the initial size of the tables, and not the capacity.
const TYPICAL_ENTRY_BYTES: u64 = 1024;

/// Caches the entries of another store in memory, and serves them for a bounded time.
///
/// - **Within one process, reads are exact.** A write goes to the store, and its key is removed from the cache before the write
///   is acknowledged. A `get` that begins after this `CachedStore` acknowledged a write returns that write or a later one.
/// - **Across processes, an entry may be stale by up to `max_stale`**, counted from the read of the store, in addition to the
///   staleness of the store itself. A session that another process has destroyed or revoked is served no longer than that.
///   `describe` reports this, and the policy's rotation grace must be at least as long.
///   If the store sends notifications of writes ([`listening`](Self::listening)), an entry is usually stale for a moment only,
///   and for up to `max_stale` if a notification is lost.
/// - `fresh` reads, lists and all writes go to the store.
/// - After a write of unknown outcome (a time-out, a lost connection), its key is not cached for a minute, because the write
///   may still take effect.
/// - Concurrent misses of one key read the store once. If that read finds nothing or fails, each caller reads for itself.
///
/// A cached answer is ready at the first poll: it costs one pass through the component and no wake-up.
///
/// ```
/// use std::time::Duration;
/// use tessera_stores::{CachedStore, MemoryStore, StoreService};
///
/// let store = CachedStore::new(MemoryStore::new(), Duration::from_secs(5));
/// assert_eq!(store.describe().maximum_staleness, Duration::from_secs(5));
/// ```
pub struct CachedStore<S> {
    inner: S,
    /// `None`: no other process writes to the store, so that no entry becomes stale.
    max_stale: Option<Duration>,
    cache: Cache<String, Held, Weigh>,
    /// The notifications of announced writes, by any process.
    invalidations: Option<(Arc<InvalidationClock>, Subscription)>,
    /// The keys of recent writes of unknown outcome, which may still take effect.
    doubtful: Cache<String, Instant>,
}

/// An entry, and the time at which it was requested from the store.
#[derive(Clone)]
struct Held {
    entry: Entry,
    asked_at: Instant,
    /// The `now` of the call that read the entry. It is needed because an `Instant` stops while the machine sleeps.
    now: Timestamp,
    /// The epoch of the key before the store was read.
    epoch: Option<Epoch>,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<String, Held> for Weigh {
    fn weight(&self, key: &String, held: &Held) -> u64 {
        (key.len() + held.entry.value.len()) as u64 + ENTRY_BYTES
    }
}

impl<S> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("max_stale", &self.max_stale)
            .field("entries", &self.cache.len())
            .finish_non_exhaustive()
    }
}

impl<S: StoreService> CachedStore<S> {
    /// Creates a cache in front of a store to which other processes write as well.
    /// An entry may be stale by up to `max_stale`.
    pub fn new(inner: S, max_stale: Duration) -> Self {
        Self::with(inner, Some(max_stale), DEFAULT_CAPACITY_BYTES)
    }

    /// Creates a cache in front of a store to which **no other process writes**: no entry is ever stale.
    /// If another process writes nevertheless, a session that it destroys is served here until it expires.
    pub fn for_one_process(inner: S) -> Self {
        Self::with(inner, None, DEFAULT_CAPACITY_BYTES)
    }

    /// Sets the size of the cache: the bytes of keys, texts and their overhead. Default: 64 MiB. Empties the cache.
    ///
    /// The cache consists of several parts; an entry that exceeds the size of one part is not cached.
    #[must_use]
    pub fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.cache = cache(bytes);
        self
    }

    fn with(inner: S, max_stale: Option<Duration>, bytes: u64) -> Self {
        Self {
            inner,
            max_stale,
            cache: cache(bytes),
            invalidations: None,
            doubtful: Cache::new(MAXIMUM_DOUBTFUL),
        }
    }

    /// The store behind the cache.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Removes one key from the cache, for example because another process has written it.
    pub fn forget(&self, key: &str) {
        self.cache.remove(key);
    }

    /// Empties the cache, for example because other processes have written unknown keys.
    pub fn forget_all(&self) {
        self.cache.clear();
    }

    /// Whether a cached entry may be served. An expired one may not, because another process may have touched it.
    fn may_serve(&self, key: &str, held: &Held, now: Timestamp) -> bool {
        let since = now.as_millis().saturating_sub(held.now.as_millis());
        let is_young = |most| held.asked_at.elapsed() < most && Duration::from_millis(since) < most;
        held.entry.expires_at > now && self.max_stale.is_none_or(is_young) && self.epoch(key) == held.epoch
    }

    fn epoch(&self, key: &str) -> Option<Epoch> {
        self.invalidations.as_ref().map(|(clock, _)| clock.epoch(key))
    }

    /// Whether a write of unknown outcome to this key may still take effect.
    fn is_doubtful(&self, key: &str) -> bool {
        self.doubtful
            .get(key)
            .is_some_and(|since| since.elapsed() < DOUBT)
    }

    /// Reads from the store, or waits for a concurrent read of the same key.
    async fn read(&self, now: Timestamp, key: &str, op: &StoreOp) -> StoreReply {
        let mut waited = false;
        let mut joined = pin!(self.cache.get_value_or_guard_async(key));
        let found = poll_fn(|context| {
            let polled = joined.as_mut().poll(context);
            waited |= polled.is_pending();
            polled
        });
        let guard = match found.await {
            Ok(held) if self.may_serve(key, &held, now) => return StoreReply::Entry(Ok(held.entry)),
            Ok(_) => return self.inner.call(now, op).await,
            // The read that this one waited for found nothing or failed.
            // Dropping the guard lets the other waiters read concurrently.
            Err(guard) if waited => {
                drop(guard);
                return self.inner.call(now, op).await;
            }
            Err(guard) => guard,
        };
        let (asked_at, epoch) = (Instant::now(), self.epoch(key));
        let reply = self.inner.call(now, op).await;
        if let StoreReply::Entry(Ok(entry)) = &reply
            && !self.is_doubtful(key)
        {
            let held = Held {
                entry: entry.clone(),
                asked_at,
                now,
                epoch,
            };
            // The insert is refused if a write has removed the key since, because the entry may precede that write.
            let _ = guard.insert(held);
        }
        reply
    }
}

impl<S: InvalidationSource> CachedStore<S> {
    /// Subscribes to the store's notifications of writes, by any process, if it has any.
    ///
    /// An entry is then usually stale for a moment only. `max_stale` holds in any case, even if notifications are lost.
    /// Empties the cache. Needs a tokio runtime.
    ///
    /// Redis sends notifications for all writes ([`CLIENT TRACKING`]).
    /// In PostgreSQL, a process sends them if it listens itself or opens its store with
    /// [`SqlStoreBuilder::announce`](super::SqlStoreBuilder::announce).
    ///
    /// [`CLIENT TRACKING`]: https://redis.io/docs/latest/commands/client-tracking/
    #[must_use]
    pub fn listening(mut self) -> Self {
        let clock = Arc::new(InvalidationClock::default());
        let subscription = self.inner.subscribe(Arc::clone(&clock));
        self.invalidations = subscription.map(|subscription| (clock, subscription));
        self.cache.clear();
        self
    }
}

fn cache(bytes: u64) -> Cache<String, Held, Weigh> {
    let entries = usize::try_from(bytes / TYPICAL_ENTRY_BYTES).unwrap_or(usize::MAX);
    Cache::with_weighter(entries.max(1), bytes, Weigh)
}

/// Removes a key from the cache when it is dropped, whatever the outcome of the write.
struct Forget<'a, S: StoreService> {
    store: &'a CachedStore<S>,
    key: &'a str,
    /// Whether the outcome of the write is unknown.
    in_doubt: bool,
}

impl<'a, S: StoreService> Forget<'a, S> {
    fn new(store: &'a CachedStore<S>, key: &'a str) -> Self {
        Self {
            store,
            key,
            in_doubt: true,
        }
    }

    /// Records the outcome of the write.
    fn end(mut self, reply: &StoreReply) {
        self.in_doubt = !matches!(
            reply.error(),
            None | Some(StoreError::Missing | StoreError::Stale)
        );
    }
}

impl<S: StoreService> Drop for Forget<'_, S> {
    fn drop(&mut self) {
        if self.in_doubt {
            self.store.doubtful.insert(self.key.to_owned(), Instant::now());
        }
        self.store.forget(self.key);
    }
}

impl<S: StoreService> StoreService for CachedStore<S> {
    fn describe(&self) -> Capabilities {
        let inner = self.inner.describe();
        let maximum_staleness = inner
            .maximum_staleness
            .saturating_add(self.max_stale.unwrap_or(Duration::ZERO));
        Capabilities {
            maximum_staleness,
            ..inner
        }
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        match op {
            StoreOp::Get { key, fresh: true } => {
                let reply = self.inner.call(now, op).await;
                let is_other =
                    |held: &Held| !matches!(&reply, StoreReply::Entry(Ok(entry)) if *entry == held.entry);
                if self.cache.peek(&**key).is_some_and(|held| is_other(&held)) {
                    self.forget(key);
                }
                reply
            }
            StoreOp::Get { key, fresh: false } => {
                match self.cache.get(&**key) {
                    Some(held) if self.may_serve(key, &held, now) => {
                        return StoreReply::Entry(Ok(held.entry));
                    }
                    Some(held) => {
                        let same = |other: &Held| other.asked_at == held.asked_at;
                        self.cache.remove_if(&**key, same);
                    }
                    None => {}
                }
                self.read(now, key, op).await
            }
            StoreOp::GetMany { .. } | StoreOp::ListOwned { .. } => self.inner.call(now, op).await,
            StoreOp::Insert { key, .. }
            | StoreOp::Replace { key, .. }
            | StoreOp::Touch { key, .. }
            | StoreOp::Delete { key, .. } => {
                let forget = Forget::new(self, key);
                let reply = self.inner.call(now, op).await;
                forget.end(&reply);
                reply
            }
            StoreOp::DeleteMany { deletions, .. } => {
                let forget = deletions.iter().map(|deletion| Forget::new(self, &deletion.key));
                let forget: Vec<Forget<'_, S>> = forget.collect();
                let reply = self.inner.call(now, op).await;
                for forget in forget {
                    // The reply applies to every key of the batch.
                    forget.end(&reply);
                }
                reply
            }
        }
    }
}
