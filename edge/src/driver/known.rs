//! What is known of one call: the entry that it begins with, those that it read or wrote, and how far it came.

use std::sync::Arc;

use tessera_contract::Timestamp;
use tessera_contract::state::{Fields, Opened};
use tessera_contract::store::{Seed, Seen};
use tessera_http::chain;

use super::error::CallError;
use super::wit;

/// What is known of one call.
#[derive(Default)]
pub(crate) struct Known {
    /// Answers the first question to the store.
    pub(super) seed: Option<Seed>,
    pub(super) seen: Seen,
    /// What the engine was told last when it asked for the time.
    pub(super) told_at: Timestamp,
    /// Whether a write was asked.
    pub(super) wrote: bool,
}

impl Known {
    /// Of a call that begins with the entry that a session's calls read or wrote last.
    pub(crate) fn of(seed: Option<Seed>) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// What an error means by which a call has ended: where a write was asked, nobody is told that nothing was written.
    pub(super) fn judge(&self, error: CallError) -> CallError {
        if !self.wrote || matches!(error, CallError::Engine { .. }) {
            return error;
        }
        tracing::error!("a call failed after it had asked a write: {}", chain(&error));
        CallError::OutcomeUnknown
    }

    /// The session that the call has answered, with the entry that it is about.
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
