//! Whether the store can be read and written.
//!
//! A plan's daily limit of writes, or an object that is full, leaves reads as they are. So a check writes an entry of its own; as
//! anybody may ask and each write costs, no more often than once in [`PERIOD_MS`] in all isolates together.

use crate::clock;
use crate::number::U64;
use crate::store::{Placement, Store, StoreError};

/// No session's key is this short.
const KEY: &str = "health";
/// How long one write speaks for the store.
const PERIOD_MS: u64 = 10_000;

/// Reads the entry, and writes it anew where it has expired.
pub(crate) async fn check(store: &impl Store) -> Result<(), StoreError> {
    let now = clock::now();
    match store.get(now, KEY, true).await {
        // It is alive: somebody has written it within the period.
        Ok(_) => return Ok(()),
        Err(StoreError::Missing) => {}
        Err(error) => return Err(error),
    }
    // A store that shows old entries may go on showing none.
    let period_ms = PERIOD_MS.max(store.describe().maximum_staleness_ms);
    let ends_at = U64(now.saturating_add(period_ms));
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
