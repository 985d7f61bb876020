//! How much is asked for at once.

use super::{BATCH_LIMIT, Cause, StoreError};

pub(super) fn check_batch<T>(keys: &[T]) -> Result<(), StoreError> {
    if keys.len() > BATCH_LIMIT {
        return Err(StoreError::Other(Cause::new("more than 100 keys at once")));
    }
    Ok(())
}

#[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
pub(super) fn check_limit(limit: u32) -> Result<(), StoreError> {
    if !(1..=BATCH_LIMIT).contains(&(limit as usize)) {
        return Err(StoreError::Other(Cause::new("a page has 1 to 100 rows")));
    }
    Ok(())
}
