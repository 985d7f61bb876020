//! Whether the store can be read and written.
//!
//! A plan's daily limit of writes, or an object that is full, leaves reads as they are. So a check writes an entry of its own; as
//! anybody may ask and each write costs, no more often than once in [`PERIOD`] in all isolates together.

use std::time::Duration;

use crate::clock;
use crate::store::{AnyStore, Methods, Placement, Store as _, StoreError};

/// No session's key is this short.
const KEY: &str = "health";
/// How long one write speaks for the store.
const PERIOD: Duration = Duration::from_secs(10);

/// Reads the entry, and writes it anew where it has expired.
pub(crate) async fn check(store: &AnyStore) -> Result<(), StoreError> {
    let now = clock::now();
    let store = Methods(store.clone());
    match store.get(now, KEY, true).await {
        // It is alive: somebody has written it within the period.
        Ok(_) => return Ok(()),
        Err(StoreError::Missing) => {}
        Err(error) => return Err(error),
    }
    // A store that shows old entries may go on showing none.
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
        // `Stale`: another isolate has just written it.
        Ok(_) | Err(StoreError::Stale) => Ok(()),
        Err(error) => Err(error),
    }
}
