//! The store that a URL names, as one type.

#[cfg(any(feature = "cache", feature = "redis", feature = "sql", feature = "sqlite"))]
use std::sync::Arc;

#[cfg(feature = "cache")]
use super::CachedStore;
#[cfg(feature = "redis")]
use super::RedisStore;
#[cfg(feature = "sql")]
use super::SqlStore;
#[cfg(feature = "sqlite")]
use super::SqliteStore;
use super::{Capabilities, MemoryStore, StoreError, StoreOp, StoreReply, StoreService};
#[cfg(any(feature = "cache", feature = "redis", feature = "sql"))]
use super::{InvalidationClock, InvalidationSource, Subscription};
#[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
use super::{Listed, Listing};
use tessera_contract::Timestamp;

/// One of the stores that a [`StoreUrl`](super::StoreUrl) names, cached or not. A clone is the same store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnyStore {
    /// The store itself.
    Plain(PlainStore),
    /// With a cache in front.
    #[cfg(feature = "cache")]
    Cached(Arc<CachedStore<PlainStore>>),
}

/// One of the stores that keep sessions themselves. A clone is the same store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PlainStore {
    /// In the process's own memory.
    Memory(MemoryStore),
    /// In one SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
    /// In Redis.
    #[cfg(feature = "redis")]
    Redis(RedisStore),
    /// In a database.
    #[cfg(feature = "sql")]
    Sql(SqlStore),
}

impl From<MemoryStore> for PlainStore {
    fn from(store: MemoryStore) -> Self {
        Self::Memory(store)
    }
}

#[cfg(feature = "sqlite")]
impl From<SqliteStore> for PlainStore {
    fn from(store: SqliteStore) -> Self {
        Self::Sqlite(store)
    }
}

#[cfg(feature = "redis")]
impl From<RedisStore> for PlainStore {
    fn from(store: RedisStore) -> Self {
        Self::Redis(store)
    }
}

#[cfg(feature = "sql")]
impl From<SqlStore> for PlainStore {
    fn from(store: SqlStore) -> Self {
        Self::Sql(store)
    }
}

impl<S: Into<PlainStore>> From<S> for AnyStore {
    fn from(store: S) -> Self {
        Self::Plain(store.into())
    }
}

impl PlainStore {
    /// Lists live entries of all owners and of none, for an operator: about `limit` (1 to 100) from `cursor` on;
    /// the empty cursor starts. An entry that is there throughout a walk is listed, in Redis sometimes twice; see
    /// [`RedisStore::list_all`] for a Cluster.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] by a store in memory, [`StoreError::Other`] for a limit that is none,
    /// [`StoreError::MalformedCursor`], otherwise as a question's.
    #[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
    pub async fn list_all(&self, now: Timestamp, cursor: &str, limit: u32) -> Result<Listing, StoreError> {
        match self {
            Self::Memory(_) => Err(StoreError::Unsupported),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.list_all(now, cursor, limit),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.list_all(now, cursor, limit).await,
            #[cfg(feature = "sql")]
            Self::Sql(store) => store.list_all(now, cursor, limit).await,
        }
    }

    /// Writes an entry as another store has it, with its version and its moments: where no live entry is at `now`, or over
    /// the version `over`. Over an entry its expiry never moves earlier.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if a live entry of another version is there, [`StoreError::Unsupported`] by a store in
    /// memory, otherwise as [`Store::insert`](super::Store::insert).
    #[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
    pub async fn import(
        &self,
        now: Timestamp,
        row: &Listed,
        value: &Arc<str>,
        over: Option<u64>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Err(StoreError::Unsupported),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.import(now, row, value, over).await,
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.import(now, row, value, over).await,
            #[cfg(feature = "sql")]
            Self::Sql(store) => store.import(now, row, value, over).await,
        }
    }

    /// Does the writes that wait and closes the store, which may block. Afterwards a store that is in a file or a database
    /// answers [`StoreError::Unavailable`].
    ///
    /// # Errors
    /// As [`SqliteStore::close`].
    pub fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Ok(()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.close(),
            // Nothing waits there: what was acknowledged was done.
            #[cfg(feature = "redis")]
            Self::Redis(_) => Ok(()),
            #[cfg(feature = "sql")]
            Self::Sql(store) => {
                store.close();
                Ok(())
            }
        }
    }
}

#[cfg(any(feature = "cache", feature = "redis", feature = "sql"))]
impl InvalidationSource for PlainStore {
    fn subscribe(&self, clock: Arc<InvalidationClock>) -> Option<Subscription> {
        match self {
            Self::Memory(_) => {
                drop(clock);
                None
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => None,
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.subscribe(clock),
            #[cfg(feature = "sql")]
            Self::Sql(store) => store.subscribe(clock),
        }
    }
}

impl AnyStore {
    /// The store that keeps the sessions, behind a cache or not.
    pub fn plain(&self) -> &PlainStore {
        match self {
            Self::Plain(store) => store,
            #[cfg(feature = "cache")]
            Self::Cached(store) => store.inner(),
        }
    }

    /// As [`PlainStore::close`].
    ///
    /// # Errors
    /// As [`PlainStore::close`].
    pub fn close(&self) -> Result<(), StoreError> {
        self.plain().close()
    }
}

/// The same of whichever store it is. The future of one that is `boxed` is much larger than those of the others, each of which
/// would be as large.
macro_rules! each {
    ($($Any:ident: $($(#[$attribute:meta])* $Variant:ident $($how:ident)?),*;)*) => { $(
        impl StoreService for $Any {
            fn describe(&self) -> Capabilities {
                match self { $($(#[$attribute])* Self::$Variant(store) => store.describe(),)* }
            }

            async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
                match self {
                    $($(#[$attribute])* Self::$Variant(store) => each!(@ $($how)? store.call(now, op)).await,)*
                }
            }
        }
    )* };
    (@ boxed $call:expr) => { Box::pin($call) };
    (@ $call:expr) => { $call };
}

each! {
    PlainStore: Memory, #[cfg(feature = "sqlite")] Sqlite, #[cfg(feature = "redis")] Redis, #[cfg(feature = "sql")] Sql boxed;
    AnyStore: Plain, #[cfg(feature = "cache")] Cached;
}
