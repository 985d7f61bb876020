//! The URL of a store with a cache.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::StoreUrlError;
use super::plain::PlainUrl;
use crate::any::PlainStore;
use crate::cached::CachedStore;
use crate::malformed::MalformedUrl;

/// The default maximum staleness: half of the default rotation grace.
const DEFAULT_MAX_STALE: Duration = Duration::from_secs(5);
const LONGEST_MAX_STALE_MS: u64 = 3_600_000;
const MOST_CACHE_BYTES: u64 = 1 << 40;

/// `cached+URL`: a [`CachedStore`] in front of the store that the rest of the URL names.
///
/// Options after the `?`, in addition to those of the store:
///
/// | option | meaning |
/// |---|---|
/// | `max_stale_ms=N` | maximum staleness of an entry in milliseconds, 1 to 3 600 000; default 5000 |
/// | `cache_bytes=N` | size of the cache in bytes, 1 to 2^40; default 64 MiB |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheUrl {
    inner: PlainUrl,
    max_stale: Duration,
    capacity_bytes: Option<u64>,
}

impl CacheUrl {
    /// The prefix of the store's URL.
    pub(crate) const PREFIX: &str = "cached+";

    /// Parses the text after [`Self::PREFIX`].
    pub(crate) fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let malformed = |reason| {
            StoreUrlError::Malformed(MalformedUrl {
                scheme: "cached",
                reason,
            })
        };
        let (place, options) = text.split_once('?').unwrap_or((text, ""));
        let (mut max_stale, mut capacity_bytes, mut others) = (DEFAULT_MAX_STALE, None, Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("max_stale_ms", value) => {
                    let millis = number(value, LONGEST_MAX_STALE_MS);
                    let millis = millis.ok_or(malformed("takes a max_stale_ms of 1 to 3600000"))?;
                    max_stale = Duration::from_millis(millis);
                }
                ("cache_bytes", value) => {
                    let bytes = number(value, MOST_CACHE_BYTES);
                    capacity_bytes = Some(bytes.ok_or(malformed("takes cache_bytes of 1 to 1099511627776"))?);
                }
                _ => others.push(option),
            }
        }
        let inner = match others.is_empty() {
            true => place.parse()?,
            false => format!("{place}?{}", others.join("&")).parse()?,
        };
        if inner == PlainUrl::Memory {
            return Err(malformed("needs another store than memory, which needs no cache"));
        }
        Ok(Self {
            inner,
            max_stale,
            capacity_bytes,
        })
    }

    /// The store behind the cache.
    pub fn inner(&self) -> &PlainUrl {
        &self.inner
    }

    /// Opens the store, as [`PlainUrl::open`] does, with the cache in front.
    ///
    /// # Errors
    /// As [`PlainUrl::open`].
    pub async fn open(&self) -> Result<Arc<CachedStore<PlainStore>>, StoreUrlError> {
        Ok(self.in_front_of(self.inner.open().await?))
    }

    /// Creates the cache in front of an open store, and [subscribes](CachedStore::listening) to its notifications.
    /// Needs a tokio runtime.
    pub fn in_front_of(&self, store: PlainStore) -> Arc<CachedStore<PlainStore>> {
        let cached = CachedStore::new(store, self.max_stale).listening();
        Arc::new(match self.capacity_bytes {
            Some(bytes) => cached.capacity_bytes(bytes),
            None => cached,
        })
    }
}

impl fmt::Display for CacheUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.inner)
    }
}

fn number(text: &str, most: u64) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| is_plain && (1..=most).contains(number))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::StoreUrl;

    fn parse(text: &str) -> Result<CacheUrl, String> {
        match text.parse() {
            Ok(StoreUrl::Cached(url)) => Ok(url),
            Ok(StoreUrl::Plain(_)) => Err("not cached".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_cache_takes_its_options_and_leaves_the_others_to_the_store() {
        let url = parse("cached+sqlite:a.db?max_stale_ms=3600000&cache_bytes=1").expect("a URL");
        assert_eq!(url.inner, PlainUrl::Sqlite("a.db".into()));
        assert_eq!(
            (url.max_stale, url.capacity_bytes),
            (Duration::from_secs(3600), Some(1))
        );
        assert_eq!(url.to_string(), "cached+sqlite:a.db");
        let url = parse("cached+sqlite:a.db").expect("a URL");
        assert_eq!((url.max_stale, url.capacity_bytes), (DEFAULT_MAX_STALE, None));
        let refused = parse("cached+sqlite:a.db?max_stale_ms=5&mode=ro");
        assert!(refused.is_err_and(|why| why.contains("no options")));
    }

    #[test]
    fn a_cache_of_nothing_or_of_a_cache_or_without_bounds_is_refused() {
        for text in [
            "cached+memory:",
            "cached+",
            "cached+cached+sqlite:a.db",
            "cached+sqlite:a.db?max_stale_ms=0",
            "cached+sqlite:a.db?max_stale_ms=3600001",
            "cached+sqlite:a.db?max_stale_ms=+5",
            "cached+sqlite:a.db?cache_bytes=0",
            "cached+sqlite:a.db?cache_bytes=1099511627777",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
