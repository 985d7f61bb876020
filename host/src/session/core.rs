//! The calls of one session that use the engine, and the state between them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tessera_contract::held::{CallKind, Held};
use tessera_contract::state::{Failed, WRITER_BYTES, Writing};
use tessera_contract::store::Seed;

use crate::bindings::wit;
use crate::driver::{Calls, Crowded, Instance, Passed, Rank, ReplayLog, detached, found};
use crate::error::SessionError;
use crate::summary;
use crate::{Details, Grant};

pub(super) struct Core {
    pub(super) calls: Arc<Calls>,
    pub(super) held: Mutex<Held>,
}

/// Marks a session as busy until a call on it has ended.
pub(super) struct Busy(Arc<Core>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.held().state.end();
    }
}

/// A call that may need the store.
pub(super) enum Operation {
    Save,
    Rotate,
    Authenticate(String, wit::KeepFields),
    Touch,
    Reissue,
    Destroy,
}

impl Operation {
    fn kind(&self) -> CallKind {
        match self {
            Self::Save => CallKind::Save,
            Self::Rotate | Self::Authenticate(..) => CallKind::Write,
            Self::Touch => CallKind::Touch,
            Self::Reissue => CallKind::Reissue,
            Self::Destroy => CallKind::Destroy,
        }
    }

    /// The rank with which the call waits for other writers of the record; `None`: it does not wait.
    fn rank(&self) -> Option<Rank> {
        match self {
            Self::Save | Self::Rotate => Some(Rank::Then),
            Self::Touch => Some(Rank::First),
            // A login that keeps no stored field does not conflict with saves.
            Self::Authenticate(_, wit::KeepFields::Nothing) | Self::Reissue | Self::Destroy => None,
            Self::Authenticate(..) => Some(Rank::First),
        }
    }

    /// One pass; `None` if the session was destroyed.
    fn pass(&self, instance: &mut Instance, writing: &wit::Writing) -> Passed<Option<wit::Written>> {
        let (sessions, store, engine) = instance.parts();
        let written = match self {
            Self::Save => sessions.call_save(store, engine, writing)?,
            Self::Rotate => sessions.call_rotate(store, engine, writing)?,
            Self::Authenticate(subject, keep) => {
                sessions.call_authenticate(store, engine, writing, subject, keep)?
            }
            Self::Touch => {
                sessions.call_touch(store, engine, &writing.handle, &writing.writer, writing.attempt)?
            }
            Self::Reissue => sessions.call_reissue(store, engine, &writing.handle)?,
            Self::Destroy => {
                let destroyed = sessions.call_destroy(store, engine, &writing.handle)?;
                return Ok(destroyed.map(|()| None));
            }
        };
        Ok(written.map(Some))
    }
}

/// The result of a call that leaves the session open.
pub(super) struct Ended {
    pub(super) grant: Grant,
    pub(super) wrote: bool,
}

impl Core {
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        // A panic under the lock leaves the values consistent.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call that may need the store.
    pub(super) async fn run(self: &Arc<Self>, operation: Operation) -> Result<Option<Ended>, SessionError> {
        self.held().state.begin()?;
        let busy = Busy(Arc::clone(self));
        let seed = self.held().seed().cloned();
        let turn = match (operation.rank(), &seed) {
            (Some(rank), Some(seed)) => self.calls.queues().enter(&seed.key, rank).await,
            _ => Ok(None),
        };
        let turn = turn.map_err(|Crowded| SessionError::Contended)?;
        // A writer that waited starts from the entry that its predecessor wrote.
        let newest = match (&turn, seed) {
            (Some(turn), Some(seed)) => Some(Seed {
                entry: turn.last.clone().unwrap_or(seed.entry),
                key: seed.key,
            }),
            (_, seed) => seed,
        };
        let writing = {
            let state = &mut self.held().state;
            let Writing {
                handle,
                changes,
                writer,
                attempt,
            } = state.writing(|| self.draw())?;
            let now = self.calls.now();
            // An expired seed answers no request, so the engine does not start from its version.
            let alive = newest.as_ref().filter(|seed| seed.entry.expires_at > now);
            let base = if self.calls.compares_fields() {
                state.base(alive.map(|seed| seed.entry.version))
            } else {
                None
            };
            wit::Writing {
                handle,
                changes,
                writer: writer.to_vec(),
                attempt,
                base,
            }
        };
        let mut log = ReplayLog::of_session(newest, turn);
        // The future owns all its data: it continues without the caller once a write was requested.
        let begun = Arc::clone(self.calls.begun());
        detached(log.wrote_flag(), begun, async move {
            let core = &busy.0;
            let call = |instance: &mut Instance| operation.pass(instance, &writing);
            let ended = core.calls.finish(&mut log, call).await;
            core.settle(operation.kind(), ended, &log)
        })
        .await
    }

    fn draw(&self) -> Result<[u8; WRITER_BYTES], SessionError> {
        let mut writer = [0; WRITER_BYTES];
        match self.calls.random().fill(&mut writer) {
            Ok(()) => Ok(writer),
            Err(_) => Err(SessionError::Other {
                reason: "the random source failed".into(),
                source: None,
            }),
        }
    }

    /// Updates the session's state with the result of the call.
    fn settle(
        &self,
        kind: CallKind,
        ended: Result<Option<wit::Written>, SessionError>,
        log: &ReplayLog,
    ) -> Result<Option<Ended>, SessionError> {
        let written = match ended {
            Ok(written) => written,
            Err(error) => {
                let failed = match &error {
                    SessionError::Missing | SessionError::Expired | SessionError::TooManySessions => {
                        Failed::Ended
                    }
                    SessionError::OutcomeUnknown { .. } => Failed::OutcomeUnknown,
                    _ => Failed::Otherwise,
                };
                self.held().failed(kind, failed);
                return Err(error);
            }
        };
        let Some(wit::Written { grant, opened, wrote }) = written else {
            self.held().destroyed(self.calls.opens());
            return Ok(None);
        };
        let found = found(opened, log)?;
        let is_same_token = wrote && grant.token.is_none();
        self.held()
            .succeeded(kind, found, is_same_token, self.calls.opens());
        let grant = summary::grant(grant);
        Ok(Some(Ended { grant, wrote }))
    }

    /// Runs a call on a saved session that needs no store.
    pub(super) fn at_once<T>(
        &self,
        call: impl Fn(&mut Instance, &str) -> Passed<T>,
    ) -> Result<(T, ReplayLog), SessionError> {
        let (handle, seed) = {
            let held = self.held();
            (held.state.saved()?.handle.clone(), held.seed().cloned())
        };
        let mut log = ReplayLog::at_once(seed);
        let answer = self.calls.ended(&mut log, |instance| call(instance, &handle))?;
        Ok((answer, log))
    }

    /// The session's details now: the last known ones while they hold, otherwise the engine's.
    pub(super) fn details(&self) -> Result<Details, SessionError> {
        let now = self.calls.now();
        {
            let state = &self.held().state;
            let known = state.details()?;
            match state.live() {
                Ok(Some(opened)) if !opened.holds_at(now) => {}
                _ => return Ok(known),
            }
        }
        let inspected = self.at_once(|instance, handle| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_inspect(store, engine, handle)
        });
        let inspected = inspected.and_then(|(opened, log)| found(opened, &log));
        let state = &mut self.held().state;
        // If the session has expired, the last known details remain.
        if let (Ok((opened, _)), Ok(_)) = (inspected, state.live()) {
            state.renew_details(&opened);
        }
        Ok(state.details()?)
    }
}

/// The result of a call other than `destroy`.
pub(super) fn granted(ended: Option<Ended>) -> Result<Ended, SessionError> {
    // Only `destroy` returns `None`.
    ended.ok_or(SessionError::Closed)
}
