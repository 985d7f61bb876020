//! Stores named by a URL, as in a flag or a configuration file.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str::FromStr;

use super::{Capabilities, Entry, MemoryStore, Page, Placement, Store, StoreError};
#[cfg(feature = "sql")]
use super::{SqlStore, SqlStoreError, SqlUrl};
#[cfg(feature = "sqlite")]
use super::{SqliteStore, SqliteStoreError};
use crate::time::Timestamp;

/// Every scheme, with what follows it.
const KNOWN: &str = if cfg!(feature = "sql") {
    if cfg!(feature = "sqlite") {
        "memory:, sqlite:PATH, postgres://…, mysql://…"
    } else {
        "memory:, postgres://…, mysql://…"
    }
} else if cfg!(feature = "sqlite") {
    "memory:, sqlite:PATH"
} else {
    "memory:"
};

/// Where a store is.
///
/// ```
/// use tessera::store::StoreUrl;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url: StoreUrl = "memory:".parse()?;
/// let store = url.open().await?;
/// let error = "redis:x".parse::<StoreUrl>().unwrap_err().to_string();
/// assert!(error.starts_with("there is no store `redis:`; the known ones are memory:"));
/// # drop(store); Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// `memory:`: a [`MemoryStore`].
    Memory,
    /// `sqlite:PATH`: a [`SqliteStore`]. The path is taken as it stands, relative or absolute, nothing in it decoded.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    /// `postgres://…` or `mysql://…`: a [`SqlStore`].
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
    #[error("a store is named by a URL; the known ones are {KNOWN}")]
    NoScheme,
    /// There is no such store.
    #[error("there is no store `{0}:`; the known ones are {KNOWN}")]
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
    /// The database's URL is refused, or its store does not open.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Sql(#[from] SqlStoreError),
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(url: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = url.split_once(':').ok_or(StoreUrlError::NoScheme)?;
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
    match rest.strip_prefix("//") {
        // `sqlite:///var/lib/x.db`, as others write an absolute path.
        Some(path) if path.starts_with('/') => Ok(path.into()),
        // A host in a URL; taken as a path it would be one from the root.
        Some(_) => Err("takes a path, not a host: write sqlite:PATH or sqlite:///PATH"),
        None => Ok(rest.into()),
    }
}

/// A database's without user and password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "sql")]
            Self::Sql(url) => url.fmt(f),
        }
    }
}

impl StoreUrl {
    /// Opens the store with its builder's defaults; a database's on a tokio runtime, where it stays.
    ///
    /// # Errors
    /// [`StoreUrlError::Sqlite`] or [`StoreUrlError::Sql`].
    pub async fn open(&self) -> Result<AnyStore, StoreUrlError> {
        match self {
            Self::Memory => Ok(MemoryStore::new().into()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Ok(SqliteStore::open(path)?.into()),
            #[cfg(feature = "sql")]
            Self::Sql(url) => Ok(SqlStore::builder().open_at(url).await?.into()),
        }
    }
}

/// One of the stores that a [`StoreUrl`] names. A clone is the same store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnyStore {
    /// In the process's own memory.
    Memory(MemoryStore),
    /// In one SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
    /// In a database.
    #[cfg(feature = "sql")]
    Sql(SqlStore),
}

impl From<MemoryStore> for AnyStore {
    fn from(store: MemoryStore) -> Self {
        Self::Memory(store)
    }
}

#[cfg(feature = "sqlite")]
impl From<SqliteStore> for AnyStore {
    fn from(store: SqliteStore) -> Self {
        Self::Sqlite(store)
    }
}

#[cfg(feature = "sql")]
impl From<SqlStore> for AnyStore {
    fn from(store: SqlStore) -> Self {
        Self::Sql(store)
    }
}

impl AnyStore {
    /// Does the writes that wait and closes the store, which may block. Afterwards a store that is not
    /// in memory answers [`StoreError::Unavailable`].
    ///
    /// # Errors
    /// As [`SqliteStore::close`].
    pub fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Ok(()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.close(),
            #[cfg(feature = "sql")]
            Self::Sql(store) => {
                store.close();
                Ok(())
            }
        }
    }
}

/// The same method of whichever store it is.
macro_rules! each {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Self::Memory(store) => store.$method($($argument),*).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.$method($($argument),*).await,
            #[cfg(feature = "sql")]
            Self::Sql(store) => store.$method($($argument),*).await,
        }
    };
}

impl Store for AnyStore {
    fn describe(&self) -> Capabilities {
        match self {
            Self::Memory(store) => store.describe(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.describe(),
            #[cfg(feature = "sql")]
            Self::Sql(store) => store.describe(),
        }
    }

    async fn get(&self, now: Timestamp, key: &str, fresh: bool) -> Result<Entry, StoreError> {
        each!(self.get(now, key, fresh))
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        each!(self.get_many(now, keys))
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        each!(self.insert(now, key, value, at))
    }

    async fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: u64,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        each!(self.replace(now, key, value, expected, at))
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        each!(self.touch(now, key, owner, expires_at))
    }

    async fn delete(&self, now: Timestamp, key: &str, owner: Option<&str>) -> Result<bool, StoreError> {
        each!(self.delete(now, key, owner))
    }

    async fn delete_many(&self, now: Timestamp, keys: &[String], owner: &str) -> Result<u32, StoreError> {
        each!(self.delete_many(now, keys, owner))
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        each!(self.list_owned(now, owner, cursor, limit))
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_store() {
        let sqlite = |path: &str| StoreUrl::Sqlite(path.into());
        for (text, url) in [
            ("memory:", StoreUrl::Memory),
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
            "redis:localhost",
            "",
            "sessions.db",
            "mongodb://u:secret@h/d",
            "p4ssw0rd and more:x",
        ] {
            let error = text.parse::<StoreUrl>().map_err(|error| error.to_string());
            let error = error.err().unwrap_or_default();
            assert!(error.contains("memory:, sqlite:PATH"), "{error}");
            assert!(!error.contains("secret") && !error.contains("p4ss"), "{error}");
        }
        for text in ["memory:x", "sqlite:", "sqlite://host/x.db", "sqlite:x.db?mode=ro"] {
            assert!(
                matches!(text.parse::<StoreUrl>(), Err(StoreUrlError::Malformed { .. })),
                "{text}"
            );
        }
    }
}
