//! The state of one logical call outside the component: its seed, the entries that it read or wrote, and its progress.

use std::sync::Arc;

use tessera_contract::Timestamp;
use tessera_contract::state::{Fields, Opened};
use tessera_contract::store::{Seed, Seen};
use tessera_http::chain;

use super::error::CallError;
use super::wit;

/// The seed, the entries and the progress of one call.
#[derive(Default)]
pub(crate) struct Known {
    /// The reply to the first read of its key.
    pub(super) seed: Option<Seed>,
    pub(super) seen: Seen,
    /// The last time that the engine received.
    pub(super) told_at: Timestamp,
    /// Whether a write was sent to the store.
    pub(super) wrote: bool,
}

impl Known {
    /// For a call that starts from the entry that the session's previous calls read or wrote last.
    pub(crate) fn of(seed: Option<Seed>) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Classifies the error of a call: after a write was sent, the outcome of the call is unknown.
    pub(super) fn judge(&self, error: CallError) -> CallError {
        if !self.wrote || matches!(error, CallError::Engine { .. }) {
            return error;
        }
        tracing::error!("a call failed after it had sent a write: {}", chain(&error));
        CallError::OutcomeUnknown
    }

    /// The session that the call returned, with its entry.
    ///
    /// # Errors
    /// If the call has not seen the entry, or the entry has no fields at the returned position.
    pub(crate) fn found(&self, opened: wit::Opened) -> Result<(Arc<Opened>, Seed), CallError> {
        self.read(opened).ok_or_else(|| self.judge(CallError::NoFields))
    }

    fn read(&self, opened: wit::Opened) -> Option<(Arc<Opened>, Seed)> {
        let seed = self.seen.get(&opened.key)?.clone();
        let at = usize::try_from(opened.fields_at).ok()?;
        let opened = Opened {
            handle: opened.handle,
            key: Arc::clone(&seed.key),
            version: opened.version,
            details: opened.details.into(),
            asked_at: self.told_at,
            holds_until: opened.holds_until,
            fields: Arc::new(Fields::new(Arc::clone(&seed.entry.value), at)?),
        };
        Some((Arc::new(opened), seed))
    }
}
