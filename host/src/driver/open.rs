//! Opening a session, and converting the engine's result.

use std::sync::Arc;

use tessera_contract::Timestamp;
use tessera_contract::opens::{Found, Opening};
use tessera_contract::state::{Fields, Opened};
use tessera_contract::store::Seed;

use super::call::Calls;
use super::replay_log::ReplayLog;
use crate::bindings::wit;
use crate::error::SessionError;
use crate::summary;

impl Calls {
    /// Opens the session that a token names.
    pub(crate) async fn open(self: &Arc<Self>, token: &str) -> Result<Found, SessionError> {
        let opening = self.opens().begin(token);
        let mut log = ReplayLog::default();
        if let Some((now, op)) = opening.operation(|| self.now()) {
            let reply = Arc::clone(&self.setup.sources.store)
                .ask(now, Arc::clone(op))
                .await;
            if let Some(found) = self.opens().decided(&opening, &reply) {
                return Ok(found);
            }
            // The engine's call reuses both replies.
            log = ReplayLog::answered(now, Arc::clone(op), reply);
        }
        self.decide(log, token, opening).await
    }

    async fn decide(
        self: &Arc<Self>,
        mut log: ReplayLog,
        token: &str,
        opening: Opening,
    ) -> Result<Found, SessionError> {
        let (calls, text) = (Arc::clone(self), token.to_owned());
        let decided = super::detach::detached(log.wrote_flag(), Arc::clone(self.begun()), async move {
            let opened = calls
                .finish(&mut log, |instance| {
                    let (sessions, store, engine) = instance.parts();
                    sessions.call_open(store, engine, &text)
                })
                .await?;
            Ok::<_, SessionError>((opened, log))
        });
        let (opened, log) = decided.await?;
        let (opened, seed) = found(opened, &log)?;
        Ok(self.opens().remember(&opening, token, opened, seed))
    }
}

/// The session that the engine returned, with the entry that it was read from.
pub(crate) fn found(opened: wit::Opened, log: &ReplayLog) -> Result<(Arc<Opened>, Seed), SessionError> {
    let broken = || SessionError::Other {
        reason: "the component returned a session that it has not read".into(),
        source: None,
    };
    let seed = log.seen(&opened.key).ok_or_else(broken)?.clone();
    let fields = Fields::new(Arc::clone(&seed.entry.value), opened.fields_at as usize).ok_or_else(broken)?;
    let opened = Opened {
        handle: opened.handle,
        key: Arc::clone(&seed.key),
        version: opened.version,
        details: summary::details(opened.details),
        asked_at: log.asked_at(),
        holds_until: Timestamp::from_millis(opened.holds_until),
        fields: Arc::new(fields),
    };
    Ok((Arc::new(opened), seed))
}
