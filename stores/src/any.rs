//! All stores that a URL can name, as one type.

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

/// A store that a [`StoreUrl`](super::StoreUrl) can name, with or without a cache. A clone is the same store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnyStore {
    /// A store without a cache.
    Plain(PlainStore),
    /// A store with a cache in front.
    #[cfg(feature = "cache")]
    Cached(Arc<CachedStore<PlainStore>>),
}

/// A store without a cache. A clone is the same store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PlainStore {
    /// The memory of the process.
    Memory(MemoryStore),
    /// One SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
    /// Redis or Valkey.
    #[cfg(feature = "redis")]
    Redis(RedisStore),
    /// PostgreSQL, MySQL or MariaDB.
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
    /// Lists live entries with and without an owner, for an operator: about `limit` (1 to 100) from `cursor` on.
    ///
    /// The empty cursor starts a walk.
    /// An entry that exists throughout a walk is listed, in Redis sometimes twice; for a Cluster, see
    /// [`RedisStore::list_all`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] by a store in memory, [`StoreError::Other`] for an invalid limit,
    /// [`StoreError::MalformedCursor`], and the errors of a read.
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

    /// Copies an entry of another store, with its version, guard, owner and moments.
    ///
    /// Writes if no live entry has the key at `now`, or overwrites the version `over`.
    /// An overwrite never moves the expiry earlier.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if a live entry has another version, [`StoreError::Unsupported`] by a store in memory, and the
    /// errors of [`Store::insert`](super::Store::insert).
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

    /// Completes the queued writes and closes the store. May block.
    ///
    /// Afterwards every call of a store in a file or a database fails with [`StoreError::Unavailable`].
    ///
    /// # Errors
    /// As [`SqliteStore::close`].
    pub fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Ok(()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.close(),
            // It queues no writes: every acknowledged write is done.
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
    /// The store itself, without the cache in front of it.
    pub fn plain(&self) -> &PlainStore {
        match self {
            Self::Plain(store) => store,
            #[cfg(feature = "cache")]
            Self::Cached(store) => store.inner(),
        }
    }

    /// Closes the store, as [`PlainStore::close`].
    ///
    /// # Errors
    /// As [`PlainStore::close`].
    pub fn close(&self) -> Result<(), StoreError> {
        self.plain().close()
    }
}

/// Implements [`StoreService`] by delegation to the variant.
/// A `boxed` variant has a much larger future than the others; without the box, the future of every variant would be as large.
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
