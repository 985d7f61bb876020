//! The stores of Tessera: memory, SQLite, Redis, PostgreSQL, MySQL and MariaDB, and a cache over any of them.
//!
//! Each store implements [`Store`] or [`StoreService`] and passes the store suite in `tests/`.
//! [`MemoryStore`] is always available; the others are features: `sqlite`, `redis`, `sql`, `cache`.
//! [`StoreUrl`] opens the store that a URL names.
//!
//! The crate `tessera` re-exports this one as `tessera::store`.

mod any;
#[cfg(feature = "connections")]
mod any_mailbox;
#[cfg(feature = "cache")]
mod cached;
#[cfg(any(feature = "cache", feature = "redis", feature = "sql"))]
mod invalidation;
#[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
mod listing;
#[cfg(feature = "connections")]
mod mail;
mod malformed;
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
#[cfg(feature = "connections")]
mod wakes;

#[cfg(all(feature = "connections", feature = "redis"))]
pub use self::redis::RedisMailbox;
#[cfg(feature = "redis")]
pub use self::redis::{HeadFormat, RedisStore, RedisStoreBuilder, RedisStoreError, RedisUrl};
#[cfg(all(feature = "connections", feature = "sql"))]
pub use self::sql::SqlMailbox;
#[cfg(all(feature = "connections", feature = "sqlite"))]
pub use self::sqlite::SqliteMailbox;
pub use any::{AnyStore, PlainStore};
#[cfg(feature = "connections")]
pub use any_mailbox::{AnyMailbox, NoMailbox};
#[cfg(feature = "cache")]
pub use cached::CachedStore;
#[cfg(any(feature = "cache", feature = "redis", feature = "sql"))]
pub use invalidation::{InvalidationClock, InvalidationSource, Subscription};
#[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
pub use listing::{Listed, Listing};
pub use malformed::MalformedUrl;
#[cfg(feature = "connections")]
pub use memory::MemoryMailbox;
pub use memory::{Eviction, MemoryStore, MemoryStoreBuilder};
#[cfg(feature = "sql")]
pub use sql::{SqlCode, SqlError, SqlStore, SqlStoreBuilder, SqlStoreError, SqlUrl};
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, SqliteStore, SqliteStoreBuilder, SqliteStoreError};
pub use tessera_contract::store::{
    BATCH_LIMIT, Capabilities, Cause, Condition, Deletion, Entry, Expected, Methods, Page, Placement, Row,
    SWEEP_GRACE, Store, StoreError, StoreOp, StoreReply, StoreService, check_batch, check_limit,
};
#[cfg(feature = "cache")]
pub use url::CacheUrl;
pub use url::{PlainUrl, StoreUrl, StoreUrlError};
