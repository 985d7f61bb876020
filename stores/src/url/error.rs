//! The error of opening a store by its URL.

#[cfg(feature = "redis")]
use crate::redis::RedisStoreError;
#[cfg(feature = "sql")]
use crate::sql::SqlStoreError;
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStoreError;

use crate::malformed::MalformedUrl;

/// The form of the URL for each scheme.
const KNOWN: [&str; 5] = [
    "memory:",
    if cfg!(feature = "sqlite") {
        ", sqlite:PATH"
    } else {
        ""
    },
    if cfg!(feature = "redis") {
        ", redis://HOST, redis+cluster://HOST,…, redis+sentinel://HOST,…/MASTER"
    } else {
        ""
    },
    if cfg!(feature = "sql") {
        ", postgres://HOST/DATABASE, mysql://HOST/DATABASE"
    } else {
        ""
    },
    if cfg!(feature = "cache") {
        ", cached+URL of another"
    } else {
        ""
    },
];

/// Why a store's URL is refused, or its store could not be opened.
///
/// No variant contains the URL, because it may contain a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// The text has no scheme.
    #[error("the store has to be a URL; the known ones are {}", KNOWN.concat())]
    NoScheme,
    /// The scheme is unknown, or its store is not compiled in.
    #[error("unknown store `{0}:`; the known ones are {known}", known = KNOWN.concat())]
    UnknownScheme(String),
    /// The URL is invalid for its scheme.
    #[error(transparent)]
    Malformed(#[from] MalformedUrl),
    /// The SQLite file could not be opened.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] SqliteStoreError),
    /// Redis could not be opened.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] RedisStoreError),
    /// The URL of the database is refused, or its store could not be opened.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Sql(#[from] SqlStoreError),
}
