//! The import of entries of another store.

use std::sync::Arc;

use super::RedisStore;
use super::records::Text;
use crate::{Listed, Store as _, StoreError};
use tessera_contract::Timestamp;

impl RedisStore {
    /// Copies an entry of another store, with its version, guard, owner and moments.
    ///
    /// Writes if no live entry has the key at `now`, or overwrites the version `over`; with `None`, the version of `row`.
    /// An overwrite never moves the expiry earlier.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`] if a live entry has another version, and the errors of [`Store::insert`](crate::Store::insert).
    pub async fn import(
        &self,
        now: Timestamp,
        row: &Listed,
        value: &Arc<str>,
        over: Option<u64>,
    ) -> Result<(), StoreError> {
        let at = row.placement();
        self.shared.check_indexed_writes()?;
        self.describe().check_sizes(&row.key, value, &at)?;
        let (asked, text) = (
            self.asked(now),
            Text {
                value,
                version: row.version,
                at: &at,
            },
        );
        let made = asked.enter(&row.key, &at).await?;
        let over = over.unwrap_or(row.version);
        let record = asked.record(&row.key);
        match record.import(&text, row.touched_at, over, made).await {
            Ok(listing) => {
                asked.tidy(&row.key, &at, made, listing).await;
                Ok(())
            }
            Err(error) => Err(asked.refused(&row.key, &at, made, error).await),
        }
    }
}
