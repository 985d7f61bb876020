//! The URL of a store without a cache.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str::FromStr;

use super::error::StoreUrlError;
use crate::any::PlainStore;
use crate::malformed::MalformedUrl;
use crate::memory::MemoryStore;
#[cfg(feature = "redis")]
use crate::redis::{RedisStore, RedisUrl};
#[cfg(feature = "sql")]
use crate::sql::{SqlStore, SqlUrl};
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStore;

/// The URL of a store without a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlainUrl {
    /// `memory:`: a [`MemoryStore`].
    Memory,
    /// `sqlite:PATH`: a [`SqliteStore`]. The path is relative or absolute, and is not percent-decoded.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    /// `redis://…`, `redis+cluster://…`, `redis+sentinel://…`, and the same with `rediss`: a [`RedisStore`].
    /// `Display` omits user and password.
    #[cfg(feature = "redis")]
    Redis(Box<RedisUrl>),
    /// `postgres://…` or `mysql://…`: a [`SqlStore`]. `Display` omits user and password.
    #[cfg(feature = "sql")]
    Sql(Box<SqlUrl>),
}

impl FromStr for PlainUrl {
    type Err = StoreUrlError;

    fn from_str(url: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = url.split_once(':').ok_or(StoreUrlError::NoScheme)?;
        #[cfg(feature = "redis")]
        if let Some(url) = RedisUrl::parse(scheme, rest) {
            return Ok(Self::Redis(Box::new(url?)));
        }
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(StoreUrlError::Malformed(MalformedUrl {
                scheme: "memory",
                reason: "takes nothing after the colon",
            })),
            #[cfg(feature = "sqlite")]
            "sqlite" => sqlite_path(rest).map(Self::Sqlite).map_err(|reason| {
                StoreUrlError::Malformed(MalformedUrl {
                    scheme: "sqlite",
                    reason,
                })
            }),
            #[cfg(feature = "sql")]
            scheme if SqlUrl::is_scheme(scheme) => Ok(Self::Sql(Box::new(url.parse()?))),
            // In a text that is not a URL, the part before the colon may be a secret.
            _ if is_scheme(scheme) => Err(StoreUrlError::UnknownScheme(scheme.to_owned())),
            _ => Err(StoreUrlError::NoScheme),
        }
    }
}

/// Whether a text is a scheme of RFC 3986, section 3.1, of at most 16 bytes.
fn is_scheme(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.len() <= 16 && text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(rest)
}

#[cfg(feature = "sqlite")]
fn sqlite_path(rest: &str) -> Result<PathBuf, &'static str> {
    if rest.is_empty() {
        return Err("needs the path of a file after the colon");
    }
    if rest.contains('?') {
        return Err("takes no options after a `?`");
    }
    if matches!(rest, ":memory:" | "//:memory:" | "///:memory:") {
        return Err("keeps sessions in a file: for a store in memory write memory:");
    }
    // As in an environment variable that was read from a file.
    if rest.trim() != rest || rest.contains(char::is_control) {
        return Err("has white space around its path, or a control character in it");
    }
    match rest.strip_prefix("//") {
        // `sqlite:///var/lib/x.db`, a common form of an absolute path.
        Some(path) if path.starts_with('/') => Ok(path.into()),
        // A host in a URL; as a path it would begin at the root.
        Some(_) => Err("takes a path, not a host: write sqlite:PATH or sqlite:///PATH"),
        None => Ok(rest.into()),
    }
}

impl fmt::Display for PlainUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "redis")]
            Self::Redis(url) => url.fmt(f),
            #[cfg(feature = "sql")]
            Self::Sql(url) => url.fmt(f),
        }
    }
}

impl PlainUrl {
    /// A text that is equal for two URLs of the same sessions: the hosts, the database and the prefix or table, or the absolute
    /// path of the file. It contains neither user nor password.
    pub fn identity(&self) -> String {
        match self {
            Self::Memory => self.to_string(),
            // It fails only if there is no current directory, because the path is not empty.
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => match std::path::absolute(path) {
                Ok(path) => format!("sqlite:{}", path.display()),
                Err(_) => self.to_string(),
            },
            #[cfg(feature = "redis")]
            Self::Redis(url) => url.identity(),
            #[cfg(feature = "sql")]
            Self::Sql(url) => url.identity(),
        }
    }

    /// Opens the store with its builder's defaults.
    ///
    /// Redis and the databases need a tokio runtime with time and I/O enabled, for as long as the store is used.
    ///
    /// # Errors
    /// [`StoreUrlError::Sqlite`], [`StoreUrlError::Redis`], [`StoreUrlError::Sql`].
    pub async fn open(&self) -> Result<PlainStore, StoreUrlError> {
        match self {
            Self::Memory => Ok(MemoryStore::new().into()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Ok(SqliteStore::open(path)?.into()),
            #[cfg(feature = "redis")]
            Self::Redis(url) => Ok(RedisStore::open(url).await?.into()),
            #[cfg(feature = "sql")]
            Self::Sql(url) => Ok(SqlStore::builder().open_at(url).await?.into()),
        }
    }

    /// Opens the store read-only, and creates nothing.
    ///
    /// Read permission suffices, and the store may be a read-only file or database, or a replica.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_to_read(&self) -> Result<PlainStore, StoreUrlError> {
        match self {
            Self::Memory => Ok(MemoryStore::new().into()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Ok(SqliteStore::builder().read_only(true).open(path)?.into()),
            #[cfg(feature = "redis")]
            Self::Redis(url) => Ok(RedisStore::builder().read_only(true).open(url).await?.into()),
            #[cfg(feature = "sql")]
            Self::Sql(url) => Ok(SqlStore::builder().read_only(true).open_at(url).await?.into()),
        }
    }
}
