//! Whether the session of a handle still lives.

use std::sync::Arc;

use tessera_contract::Timestamp;

use super::call::Calls;
use super::replay_log::ReplayLog;
use crate::error::SessionError;

impl Calls {
    /// Returns until when the session of a handle lives unless it is used, by the stored record.
    pub(crate) async fn standing(self: &Arc<Self>, handle: String) -> Result<Timestamp, SessionError> {
        let standing = self.run(ReplayLog::default(), move |instance| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_standing(store, engine, &handle)
        });
        standing.await.map(Timestamp::from_millis)
    }
}
