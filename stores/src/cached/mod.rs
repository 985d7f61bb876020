//! A bounded memory in front of any store.

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

/// What is kept in memory unless it is told otherwise.
const DEFAULT_CAPACITY_BYTES: u64 = 64 << 20;
/// A write whose outcome nobody knows has taken effect by then, or never does: well past every store's time-out.
const DOUBT: Duration = Duration::from_secs(60);
const MAXIMUM_DOUBTFUL: usize = 100_000;
/// What an entry takes beside its key and text, about.
const ENTRY_BYTES: u64 = 160;
/// For the size of the tables, not for what fits.
const TYPICAL_ENTRY_BYTES: u64 = 1024;

/// Keeps what was read from another store in memory, and answers from there for a bounded time.
///
/// - **In one process it is exact.** Every write goes through to the store and is forgotten here before it is acknowledged: a
///   `get` that begins after a write was acknowledged by this `CachedStore` or a clone of its engine answers that write.
/// - **Across processes an answer may be old by `max_stale`**, counted from when the store was asked, beside what the store
///   itself may be late. What another process has destroyed or revoked is served no longer than that. `describe` says so:
///   the policy's rotation grace has to be at least as long. Where the store can tell of writes
///   ([`listening`](Self::listening)) it is a moment, as a rule, and `max_stale` if what is told gets lost.
/// - `fresh` reads, lists and everything that writes ask the store.
/// - After a write that failed without saying how (a time-out, a lost connection) its key is not kept for a minute: the write
///   may take effect yet.
/// - Many that miss the same key at once ask the store once. If that one question fails, each asks for itself.
///
/// An answer from memory is there at the first poll: it costs one pass through the component and no wake-up.
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
    /// `None`: no other process writes to the store, so that nothing here grows old.
    max_stale: Option<Duration>,
    cache: Cache<String, Held, Weigh>,
    /// The notifications of writes by other processes.
    invalidations: Option<(Arc<InvalidationClock>, Subscription)>,
    /// Keys of writes that have failed lately: they may be done yet.
    doubtful: Cache<String, Instant>,
}

/// An entry, and when the store was asked for it.
#[derive(Clone)]
struct Held {
    entry: Entry,
    asked_at: Instant,
    /// The time of the call that asked: while a machine sleeps, its `Instant` does too.
    now: Timestamp,
    /// The epoch of its key before the store was asked.
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
    /// In front of a store to which other processes write as well.
    pub fn new(inner: S, max_stale: Duration) -> Self {
        Self::with(inner, Some(max_stale), DEFAULT_CAPACITY_BYTES)
    }

    /// In front of a store to which **no other process writes**: what is answered is never old.
    /// If one does, what it has destroyed is served here until it expires.
    pub fn for_one_process(inner: S) -> Self {
        Self::with(inner, None, DEFAULT_CAPACITY_BYTES)
    }

    /// Keeps so many bytes of keys, texts and what goes with them (64 MiB unless this is called). An entry that is larger than
    /// a part of that is not kept.
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

    /// The store behind.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Forgets one key, as when it is known that another process has written it.
    pub fn forget(&self, key: &str) {
        self.cache.remove(key);
    }

    /// Forgets everything, as when it is not known what others have written.
    pub fn forget_all(&self) {
        self.cache.clear();
    }

    /// Whether what is held may still be answered. What has expired may have been touched elsewhere: the store knows.
    fn may_serve(&self, key: &str, held: &Held, now: Timestamp) -> bool {
        let since = now.as_millis().saturating_sub(held.now.as_millis());
        let is_young = |most| held.asked_at.elapsed() < most && Duration::from_millis(since) < most;
        held.entry.expires_at > now && self.max_stale.is_none_or(is_young) && self.epoch(key) == held.epoch
    }

    fn epoch(&self, key: &str) -> Option<Epoch> {
        self.invalidations.as_ref().map(|(clock, _)| clock.epoch(key))
    }

    /// Whether a write of this key may still take effect, of which nothing would be heard here.
    fn is_doubtful(&self, key: &str) -> bool {
        self.doubtful
            .get(key)
            .is_some_and(|since| since.elapsed() < DOUBT)
    }

    /// Asks the store, or waits for somebody else's answer to the same question.
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
            // Whom this one has waited for found nothing, or an error; those who wait as well are not to wait in turn.
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
            // Refused if a write was forgotten meanwhile: what was read may be from before it.
            let _ = guard.insert(held);
        }
        reply
    }
}

impl<S: InvalidationSource> CachedStore<S> {
    /// Listens to what the store tells of writes by other processes, if it can tell: then an answer is old for a moment and no
    /// longer, as a rule. `max_stale` is kept in any case, whatever becomes of what is told. Needs a tokio runtime.
    ///
    /// Redis tells by itself ([`CLIENT TRACKING`]). In PostgreSQL those tell who listen as well, and those who open their
    /// store with [`SqlStoreBuilder::announce`](super::SqlStoreBuilder::announce).
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

/// Forgets a key when it goes, however the write has ended.
struct Forget<'a, S: StoreService> {
    store: &'a CachedStore<S>,
    key: &'a str,
    /// Nobody has heard whether the write is done.
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

    /// Notes how the write has ended.
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
                    // Each has ended as all of them.
                    forget.end(&reply);
                }
                reply
            }
        }
    }
}
