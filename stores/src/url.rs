//! Stores named by a URL, as in a flag or a configuration file.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str::FromStr;

#[cfg(feature = "cache")]
use super::CacheUrl;
use super::{AnyStore, MemoryStore, PlainStore};
#[cfg(feature = "redis")]
use super::{RedisStore, RedisStoreError, RedisUrl};
#[cfg(feature = "sql")]
use super::{SqlStore, SqlStoreError, SqlUrl};
#[cfg(feature = "sqlite")]
use super::{SqliteStore, SqliteStoreError};

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
    #[error("`{scheme}:` {reason}")]
    Malformed {
        /// The scheme.
        scheme: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
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

impl FromStr for PlainUrl {
    type Err = StoreUrlError;

    fn from_str(url: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = url.split_once(':').ok_or(StoreUrlError::NoScheme)?;
        #[cfg(feature = "redis")]
        if let Some(url) = RedisUrl::parse(scheme, rest) {
            return url.map(|url| Self::Redis(Box::new(url)));
        }
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(StoreUrlError::Malformed {
                scheme: "memory",
                reason: "takes nothing after the colon",
            }),
            #[cfg(feature = "sqlite")]
            "sqlite" => sqlite_path(rest)
                .map(Self::Sqlite)
                .map_err(|reason| StoreUrlError::Malformed {
                    scheme: "sqlite",
                    reason,
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

/// Where a store is, and whether a cache is in front.
///
/// ```
/// use tessera_stores::StoreUrl;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url: StoreUrl = "memory:".parse()?;
/// let store = url.open().await?;
/// let error = "mongodb:x".parse::<StoreUrl>().unwrap_err().to_string();
/// assert!(error.starts_with("there is no store `mongodb:`; the known ones are memory:"));
/// # drop(store); Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// The store itself.
    Plain(PlainUrl),
    /// `cached+…`: a [`CachedStore`](super::CachedStore) in front of it.
    #[cfg(feature = "cache")]
    Cached(CacheUrl),
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(url: &str) -> Result<Self, StoreUrlError> {
        #[cfg(feature = "cache")]
        if let Some(inner) = url.strip_prefix(CacheUrl::PREFIX) {
            return CacheUrl::parse(inner).map(Self::Cached);
        }
        url.parse().map(Self::Plain)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(url) => url.fmt(f),
            #[cfg(feature = "cache")]
            Self::Cached(url) => url.fmt(f),
        }
    }
}

impl From<PlainUrl> for StoreUrl {
    fn from(url: PlainUrl) -> Self {
        Self::Plain(url)
    }
}

impl StoreUrl {
    /// The store itself, without the cache that may be in front.
    pub fn plain(&self) -> &PlainUrl {
        match self {
            Self::Plain(url) => url,
            #[cfg(feature = "cache")]
            Self::Cached(url) => url.inner(),
        }
    }

    /// Opens the store, as [`PlainUrl::open`] does, and the cache.
    ///
    /// # Errors
    /// As [`PlainUrl::open`].
    pub async fn open(&self) -> Result<AnyStore, StoreUrlError> {
        match self {
            Self::Plain(url) => url.open().await.map(AnyStore::Plain),
            #[cfg(feature = "cache")]
            Self::Cached(url) => Ok(AnyStore::Cached(url.open().await?)),
        }
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_store() {
        let sqlite = |path: &str| StoreUrl::Plain(PlainUrl::Sqlite(path.into()));
        for (text, url) in [
            ("memory:", PlainUrl::Memory.into()),
            ("sqlite:sessions.db", sqlite("sessions.db")),
            ("sqlite:./a b.db", sqlite("./a b.db")),
            ("sqlite:/var/x.db", sqlite("/var/x.db")),
            ("sqlite:///var/x.db", sqlite("/var/x.db")),
        ] {
            assert_eq!(text.parse::<StoreUrl>().ok().as_ref(), Some(&url), "{text}");
            assert_eq!(url.to_string().parse::<StoreUrl>().ok(), Some(url), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_the_known_ones_are_listed() {
        for text in [
            "mongodb:localhost",
            "",
            "sessions.db",
            "oracle://u:secret@h/d",
            "p4ssw0rd and more:x",
        ] {
            let error = text.parse::<StoreUrl>().map_err(|error| error.to_string());
            let error = error.err().unwrap_or_default();
            assert!(error.contains("memory:, sqlite:PATH"), "{error}");
            assert!(!error.contains("secret") && !error.contains("p4ss"), "{error}");
        }
        for text in [
            "memory:x",
            "sqlite:",
            "sqlite://host/x.db",
            "sqlite:x.db?mode=ro",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:x.db\n",
            "sqlite: x.db",
        ] {
            assert!(
                matches!(text.parse::<StoreUrl>(), Err(StoreUrlError::Malformed { .. })),
                "{text}"
            );
        }
    }
}
