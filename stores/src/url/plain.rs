//! The URL of a store that keeps sessions itself.

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

/// Where a store is that keeps sessions itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlainUrl {
    /// `memory:`: a [`MemoryStore`].
    Memory,
    /// `sqlite:PATH`: a [`SqliteStore`]. The path is taken as it stands, relative or absolute, nothing in it decoded.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    /// `redis://` and its kin: a [`RedisStore`]. `Display` leaves out user and password.
    #[cfg(feature = "redis")]
    Redis(Box<RedisUrl>),
    /// `postgres://…` or `mysql://…`: a [`SqlStore`]. `Display` leaves out user and password.
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
            // What stands before the colon of something that is no URL may be anything, a secret too.
            _ if is_scheme(scheme) => Err(StoreUrlError::UnknownScheme(scheme.to_owned())),
            _ => Err(StoreUrlError::NoScheme),
        }
    }
}

/// A scheme of RFC 3986, section 3.1, and short enough to be one.
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
    // As a variable has it that was read from a file.
    if rest.trim() != rest || rest.contains(char::is_control) {
        return Err("has white space around its path, or a control character in it");
    }
    match rest.strip_prefix("//") {
        // `sqlite:///var/lib/x.db`, as others write an absolute path.
        Some(path) if path.starts_with('/') => Ok(path.into()),
        // A host in a URL; taken as a path it would be one from the root.
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
    /// Tells whether two URLs name the same sessions, without user and password: hosts, database and prefix or table, or the
    /// file's absolute path.
    pub fn identity(&self) -> String {
        match self {
            Self::Memory => self.to_string(),
            // Of no path there is only one reason not to be absolute: that there is no current directory.
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

    /// Opens the store with its builder's defaults. One that is elsewhere needs a tokio runtime with time and I/O, where it stays.
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

    /// Opens the store to read, with the right to read alone: also what is read-only, or follows another. Nothing is made.
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
