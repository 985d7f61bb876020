//! The text forms of numbers in this store.

use crate::{Cause, StoreError};
use tessera_contract::Timestamp;

/// The latest moment that is stored: the last one that Lua's numbers represent exactly, 285 000 years from now.
/// A later moment is stored as this one.
pub(super) const LATEST_MILLIS: u64 = (1 << 53) - 1;

/// A moment in milliseconds, as it is stored.
pub(super) fn millis(moment: Timestamp) -> u64 {
    moment.as_millis().min(LATEST_MILLIS)
}

/// Reads at most 19 decimal digits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads at most 16 hexadecimal digits in lower case.
pub(super) fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number.checked_mul(16)? + u64::from(digit))
    })
}

/// Reads a decimal number of 1 to 20 digits without a sign.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (1..=20).contains(&text.len());
    text.parse().ok().filter(|_| is_plain)
}

pub(super) fn random() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Unavailable(Cause::new(error)))
}
