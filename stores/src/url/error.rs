//! Why a URL names no store that opens.

#[cfg(feature = "redis")]
use crate::redis::RedisStoreError;
#[cfg(feature = "sql")]
use crate::sql::SqlStoreError;
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStoreError;

use crate::malformed::MalformedUrl;

/// Every scheme, with what follows it.
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

/// Why a store's URL is refused, or its store does not open.
///
/// No variant carries the URL: some hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// There is no scheme.
    #[error("a store is named by a URL; the known ones are {}", KNOWN.concat())]
    NoScheme,
    /// There is no such store.
    #[error("there is no store `{0}:`; the known ones are {known}", known = KNOWN.concat())]
    UnknownScheme(String),
    /// What follows the scheme is not what that scheme takes.
    #[error(transparent)]
    Malformed(#[from] MalformedUrl),
    /// The SQLite file does not open.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] SqliteStoreError),
    /// Redis does not open.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] RedisStoreError),
    /// The database's URL is refused, or its store does not open.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Sql(#[from] SqlStoreError),
}
