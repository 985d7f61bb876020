//! The unique tag of an entry in an owner's index.

use std::fmt;

use super::digits::{LATEST_MILLIS, decimal, hex, millis, random};
use crate::{SWEEP_GRACE, StoreError};
use tessera_contract::Timestamp;

/// The unique tag of an entry: the moment of its creation, and 64 random bits. Its text is 16 decimal digits, a hyphen and
/// 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    entered_at: u64,
    random: u64,
}

impl Tag {
    /// The length of its text.
    pub(super) const BYTES: usize = 33;
    /// The tag in a record without an owner.
    pub(super) const NONE: Self = Self {
        entered_at: 0,
        random: 0,
    };

    pub(super) fn new(now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            entered_at: millis(now),
            random: random()?,
        })
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (entered_at, random) = text.split_once('-')?;
        if (entered_at.len(), random.len()) != (16, 16) {
            return None;
        }
        Some(Self {
            entered_at: decimal(entered_at.as_bytes()).filter(|millis| *millis <= LATEST_MILLIS)?,
            random: hex(random.as_bytes())?,
        })
    }

    /// Whether this is the tag in a record without an owner.
    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Whether the call that created it has ended: it is older than the longest call plus the difference between two clocks.
    pub(super) fn is_settled(self, now: Timestamp) -> bool {
        let entered_at = Timestamp::from_millis(self.entered_at);
        entered_at.saturating_add(SWEEP_GRACE) <= now
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}-{:016x}", self.entered_at, self.random)
    }
}
