//! Whether the session of a connection still lives.

use std::sync::Arc;
use std::time::Duration;

use tessera_contract::Timestamp;
use tessera_contract::store::Entry;
use tokio::time::Instant;

use crate::driver::Calls;
use crate::{Session, SessionError};

/// The session of one attachment, and the last judgement on it.
pub(super) struct Watch {
    handle: String,
    /// The key of the session's record.
    key: Arc<str>,
    judged: Option<Judged>,
    /// Since when the store could not tell.
    unjudged_since: Option<Instant>,
}

/// The record by which the session was found alive.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Judged {
    version: u64,
    guard: u64,
    expires_at: Timestamp,
    /// The session lives until then unless it is used.
    until: Timestamp,
}

/// The result of a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The session lives.
    Lives,
    /// The session has ended, or a login has replaced the token of the connection.
    Over,
    /// The store could not tell for too long.
    Unknown,
}

impl Watch {
    /// Watches a session that was opened just now.
    pub(super) fn of(session: &Session) -> Result<Self, SessionError> {
        let (handle, key) = session.handle_and_key()?;
        Ok(Self {
            handle,
            key,
            judged: None,
            unjudged_since: None,
        })
    }

    pub(super) fn key(&self) -> &Arc<str> {
        &self.key
    }

    pub(super) fn handle(&self) -> &str {
        &self.handle
    }

    /// Whether the record is the one by which the session was found alive, so that the engine need not judge again.
    pub(super) fn is_known(&self, now: Timestamp, entry: &Entry) -> bool {
        self.judged.is_some_and(|judged| {
            now < judged.until
                && (judged.version, judged.guard, judged.expires_at)
                    == (entry.version, entry.guard, entry.expires_at)
        })
    }

    /// Notes that the record is unchanged.
    pub(super) fn confirm(&mut self) {
        self.unjudged_since = None;
    }

    /// Notes the result of [`judge`].
    pub(super) fn note(
        &mut self,
        result: Result<(Timestamp, Option<Entry>), SessionError>,
        patience: Duration,
    ) -> Judgement {
        match result {
            Ok((until, entry)) => {
                self.judged = entry.map(|entry| Judged {
                    version: entry.version,
                    guard: entry.guard,
                    expires_at: entry.expires_at,
                    until,
                });
                self.unjudged_since = None;
                Judgement::Lives
            }
            Err(SessionError::Missing | SessionError::Expired | SessionError::Replaced) => Judgement::Over,
            Err(error) => {
                let since = *self.unjudged_since.get_or_insert_with(Instant::now);
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the session of a connection cannot be judged"
                );
                if since.elapsed() >= patience {
                    Judgement::Unknown
                } else {
                    Judgement::Lives
                }
            }
        }
    }
}

/// Judges the session of a handle by its stored record, and returns the record as well.
pub(super) async fn judge(
    calls: &Arc<Calls>,
    handle: String,
    key: Arc<str>,
) -> Result<(Timestamp, Option<Entry>), SessionError> {
    calls.standing(handle, &key).await
}
