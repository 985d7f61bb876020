//! The error of a store.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The underlying error of a [`StoreError`], unchanged.
///
/// Shared, because one failed reply can reach several callers.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Wraps an error, or a text in place of one.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// Returns the underlying error.
    pub fn get(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The error of a store. No variant contains a key, a value or a secret.
///
/// The cases of `error` in `wit/store.wit` without `pending`, because the methods of a store are awaited.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No live entry has this key.
    #[error("no such entry")]
    Missing,
    /// An entry exists, and does not meet the condition of the write.
    #[error("the entry has changed")]
    Stale,
    /// The key, the owner or the value exceeds the store's maximum length.
    #[error("the key, owner or value is too long for the store")]
    TooLarge,
    /// The store has no room; nothing was written.
    #[error("the store is full")]
    Full,
    /// Rate limited: retry after this long; nothing was written.
    #[error("rate limited; retry after {0:?}")]
    Throttled(Duration),
    /// The store does not support this operation.
    #[error("the store does not support this operation")]
    Unsupported,
    /// The cursor was not returned by this store.
    #[error("invalid cursor")]
    MalformedCursor,
    /// The stored entry cannot be read.
    #[error("the stored entry cannot be read")]
    Corrupt,
    /// A write was sent and its reply was lost: it may have been applied.
    #[error("a write was sent and its reply was lost")]
    OutcomeUnknown(#[source] Cause),
    /// The store cannot be reached.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Cause),
    /// Any other error.
    #[error("the store failed")]
    Other(#[source] Cause),
}

impl StoreError {
    /// Whether the store failed. `Missing` and `Stale` are not failures: they describe the stored entry.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Missing | Self::Stale)
    }
}
