//! URLs of stores, as in a flag or a configuration file.

#[cfg(feature = "cache")]
mod cached;
mod error;
mod plain;

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "cache")]
pub use cached::CacheUrl;
pub use error::StoreUrlError;
pub use plain::PlainUrl;

use crate::any::AnyStore;

/// The URL of a store, with or without a cache in front.
///
/// ```
/// use tessera_stores::StoreUrl;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url: StoreUrl = "memory:".parse()?;
/// let store = url.open().await?;
/// let error = "mongodb:x".parse::<StoreUrl>().unwrap_err().to_string();
/// assert!(error.starts_with("unknown store `mongodb:`; the known ones are memory:"));
/// # drop(store); Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// A store without a cache.
    Plain(PlainUrl),
    /// `cached+…`: a [`CachedStore`](super::CachedStore) in front of a store.
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
    /// The URL of the store itself, without the cache.
    pub fn plain(&self) -> &PlainUrl {
        match self {
            Self::Plain(url) => url,
            #[cfg(feature = "cache")]
            Self::Cached(url) => url.inner(),
        }
    }

    /// Opens the store, as [`PlainUrl::open`] does, with its cache.
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
