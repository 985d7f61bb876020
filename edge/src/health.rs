//! The health check: whether the store can be read and written.
//!
//! A plan's daily limit of writes, or a full object, does not affect reads. So the check writes an entry of its own.
//! Any client can request the check and each write has a cost, so all isolates together write at most once in [`PERIOD`].

use std::time::Duration;

use crate::clock;
use crate::store::{AnyStore, Methods, Placement, Store as _, StoreError};

/// Shorter than the key of any session.
const KEY: &str = "health";
/// The validity of one successful write.
const PERIOD: Duration = Duration::from_secs(10);

/// Reads the entry, and writes it again if it has expired.
pub(crate) async fn check(store: &AnyStore) -> Result<(), StoreError> {
    let now = clock::now();
    let store = Methods(store.clone());
    match store.get(now, KEY, true).await {
        // A live entry was written within the period.
        Ok(_) => return Ok(()),
        Err(StoreError::Missing) => {}
        Err(error) => return Err(error),
    }
    // A store with stale reads may not show the entry until its maximum staleness has passed.
    let period = PERIOD.max(store.describe().maximum_staleness);
    let ends_at = now.saturating_add(period);
    let at = Placement {
        owner: None,
        previous_owner: None,
        guard: None,
        expires_at: ends_at,
        ends_at,
    };
    match store.insert(now, KEY, "", &at).await {
        // `Stale`: another isolate has just written the entry.
        Ok(_) | Err(StoreError::Stale) => Ok(()),
        Err(error) => Err(error),
    }
}
