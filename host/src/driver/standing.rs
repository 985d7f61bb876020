//! Whether the session of a handle still lives.

use std::sync::Arc;

use tessera_contract::Timestamp;
use tessera_contract::store::Entry;
#[cfg(feature = "connections")]
use tessera_contract::store::StoreError;

use super::call::Calls;
use super::replay_log::ReplayLog;
use crate::error::SessionError;

impl Calls {
    /// Returns until when the session of a handle lives unless it is used, by the stored record, which has this key, and the
    /// record.
    pub(crate) async fn standing(
        self: &Arc<Self>,
        handle: String,
        key: &str,
    ) -> Result<(Timestamp, Option<Entry>), SessionError> {
        let mut log = ReplayLog::default();
        // It writes nothing, so the caller may drop it.
        let until = self
            .finish(&mut log, |instance| {
                let (sessions, store, engine) = instance.parts();
                sessions.call_standing(store, engine, &handle)
            })
            .await?;
        let record = log.seen(key).map(|seed| seed.entry.clone());
        Ok((Timestamp::from_millis(until), record))
    }

    /// Reads up to 100 records, fresh. Records that are missing or cannot be read are left out.
    ///
    /// # Errors
    /// Those of the store, if it returned no record at all.
    #[cfg(feature = "connections")]
    pub(crate) async fn records(
        &self,
        now: Timestamp,
        keys: &[Arc<str>],
    ) -> Result<Vec<(Arc<str>, Entry)>, StoreError> {
        use tessera_contract::store::{StoreOp, StoreReply};

        let keys_of_op = keys.iter().map(|key| key.to_string()).collect();
        let op = Arc::new(StoreOp::GetMany { keys: keys_of_op });
        let store = Arc::clone(&self.setup.sources.store);
        let entries = match store.ask(now, op).await {
            StoreReply::Entries(entries) => entries?,
            // A store of another program, which replies to another question.
            _ => return Ok(Vec::new()),
        };
        let found = keys.iter().zip(entries.iter());
        let found = found.filter_map(|(key, entry)| Some((Arc::clone(key), entry.as_ref().ok()?.clone())));
        Ok(found.collect())
    }
}
