//! Checks that every store makes before an operation: sizes of batches, pages and texts.

use super::{BATCH_LIMIT, Capabilities, Cause, Placement, StoreError};

/// Checks the number of keys of one operation.
///
/// # Errors
/// [`StoreError::Other`] if there are more than [`BATCH_LIMIT`].
pub fn check_batch<T>(keys: &[T]) -> Result<(), StoreError> {
    if keys.len() > BATCH_LIMIT {
        return Err(StoreError::Other(Cause::new("more than 100 keys at once")));
    }
    Ok(())
}

/// Checks the limit of a page.
///
/// # Errors
/// [`StoreError::Other`] unless it is 1 to [`BATCH_LIMIT`].
pub fn check_limit(limit: u32) -> Result<(), StoreError> {
    if !(1..=BATCH_LIMIT).contains(&(limit as usize)) {
        return Err(StoreError::Other(Cause::new("a page has 1 to 100 rows")));
    }
    Ok(())
}

impl Capabilities {
    /// Checks the lengths of the texts of a write.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if the key, the value or the owner exceeds the store's maximum.
    pub fn check_sizes(&self, key: &str, value: &str, at: &Placement) -> Result<(), StoreError> {
        let fits = |text: &str, most: u32| text.len() <= most as usize;
        let owner_fits = at
            .owner
            .as_deref()
            .is_none_or(|owner| fits(owner, self.maximum_owner_bytes));
        if self.fits_key(key) && fits(value, self.maximum_value_bytes) && owner_fits {
            Ok(())
        } else {
            Err(StoreError::TooLarge)
        }
    }

    /// Whether the store accepts a key of this length.
    pub fn fits_key(&self, key: &str) -> bool {
        key.len() <= self.maximum_key_bytes as usize
    }

    /// Whether the store accepts an owner of this length.
    pub fn fits_owner(&self, owner: &str) -> bool {
        owner.len() <= self.maximum_owner_bytes as usize
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Timestamp;

    #[test]
    fn texts_of_the_longest_kind_are_taken_and_one_byte_more_is_not() {
        let capabilities = Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            acknowledged_writes_survive_failover: true,
            maximum_staleness: Duration::ZERO,
            index_staleness: Duration::ZERO,
            minimum_ttl: Duration::ZERO,
            expiry_resolution: Duration::ZERO,
            minimum_write_interval: Duration::ZERO,
            maximum_key_bytes: 3,
            maximum_owner_bytes: 2,
            maximum_value_bytes: 4,
        };
        let at = |owner: Option<&str>| Placement {
            owner: owner.map(str::to_owned),
            previous_owner: Some("longer than any owner here".into()),
            guard: None,
            expires_at: Timestamp::default(),
            ends_at: Timestamp::default(),
        };
        for (key, value, owner, fits) in [
            ("key", "four", Some("ow"), true),
            ("key", "four", None, true),
            ("keys", "four", None, false),
            ("key", "fives", None, false),
            ("key", "four", Some("own"), false),
        ] {
            let checked = capabilities.check_sizes(key, value, &at(owner));
            match checked {
                Ok(()) => assert!(fits, "{key} {value} {owner:?}"),
                Err(error) => assert!(!fits && matches!(error, StoreError::TooLarge)),
            }
        }
    }

    #[test]
    fn a_batch_has_up_to_a_hundred_keys_and_a_page_one_to_a_hundred_rows() {
        for (count, fits) in [(0, true), (100, true), (101, false)] {
            assert_eq!(check_batch(&vec![""; count]).is_ok(), fits, "{count}");
        }
        for (limit, fits) in [(0, false), (1, true), (100, true), (101, false)] {
            assert_eq!(check_limit(limit).is_ok(), fits, "{limit}");
        }
    }
}
