//! Numbers as this store writes them.

use crate::{Cause, StoreError};
use tessera_contract::Timestamp;

/// The latest moment kept: the last that Lua's numbers hold exactly, 285 000 years from now. What is later is kept as that.
pub(super) const LATEST_MILLIS: u64 = (1 << 53) - 1;

/// A moment as it is stored.
pub(super) fn millis(moment: Timestamp) -> u64 {
    moment.as_millis().min(LATEST_MILLIS)
}

/// At most 19 decimal digits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// At most 16 hexadecimal digits in lower case.
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

/// A number as this store writes it.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (1..=20).contains(&text.len());
    text.parse().ok().filter(|_| is_plain)
}

pub(super) fn random() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Unavailable(Cause::new(error)))
}
