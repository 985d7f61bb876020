//! Why a store did not do as asked.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The error below a [`StoreError`], kept as it came.
///
/// Shared, because a failed answer can reach several callers.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Keeps an error, or a text that stands for one.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The error as it came.
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

/// Why a store did not do as asked. No variant carries a key, a value or a secret.
///
/// The cases of `error` in `wit/store.wit`, but for `pending`: a store's own answer is awaited.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no live entry under this key.
    #[error("no such entry")]
    Missing,
    /// There is an entry, and the condition of the write does not hold for it.
    #[error("the entry has changed")]
    Stale,
    /// The key, the owner or the value is longer than the store takes.
    #[error("the key, owner or value is longer than the store takes")]
    TooLarge,
    /// The store has no room; nothing was written.
    #[error("the store is full")]
    Full,
    /// Too many calls: try again after this long; nothing was written.
    #[error("the store asks to be left alone for {0:?}")]
    Throttled(Duration),
    /// The store does not offer this method.
    #[error("the store does not offer this")]
    Unsupported,
    /// The cursor is none that this store answered.
    #[error("the cursor is none that the store answered")]
    MalformedCursor,
    /// The stored entry cannot be read.
    #[error("the stored entry cannot be read")]
    Corrupt,
    /// A write was sent and its answer lost: it may have been done.
    #[error("a write was sent and its answer lost")]
    OutcomeUnknown(#[source] Cause),
    /// The store cannot be reached.
    #[error("the store cannot be reached")]
    Unavailable(#[source] Cause),
    /// Anything else.
    #[error("the store failed")]
    Other(#[source] Cause),
}

impl StoreError {
    /// Whether it says that something failed, and not how things are.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Missing | Self::Stale)
    }
}
