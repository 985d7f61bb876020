//! The time of one decision, and the moment until which the decision is valid.
//!
//! A decision uses the time only to check whether a moment is past. Each moment that is not past bounds the validity of the
//! decision, so that no comparison can be left out of this bound.

use std::cell::Cell;

/// The time of a decision.
///
/// **Invariant: the time is accessible only through [`Moments::is_past`] and [`Moments::until`].**
/// Callers do arithmetic on the moment that they pass, and saturate it.
#[derive(Debug)]
pub struct Moments {
    now: u64,
    holds_until: Cell<u64>,
}

impl Moments {
    /// Creates the time of a decision, in milliseconds since 1970.
    pub fn at(now: u64) -> Self {
        Self {
            now,
            holds_until: Cell::new(u64::MAX),
        }
    }

    /// Whether a moment is past. A moment is past from its own millisecond on.
    pub fn is_past(&self, moment: u64) -> bool {
        if self.now >= moment {
            return true;
        }
        self.holds_until.set(self.holds_until.get().min(moment));
        false
    }

    /// Returns the milliseconds until a moment, for an error message. The decision is then not reusable at any later time.
    pub fn until(&self, moment: u64) -> u64 {
        self.holds_until.set(0);
        moment.saturating_sub(self.now)
    }

    /// Returns the earliest checked moment that is not past.
    ///
    /// The decision is the same at every time from its own until before this moment.
    pub fn holds_until(&self) -> u64 {
        self.holds_until.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_moment_still_to_come_bounds_a_decision() {
        let moments = Moments::at(10);
        assert_eq!(moments.holds_until(), u64::MAX);
        assert!(moments.is_past(9) && moments.is_past(10));
        assert_eq!(moments.holds_until(), u64::MAX);
        assert!(!moments.is_past(30) && !moments.is_past(11) && !moments.is_past(20));
        assert_eq!(moments.holds_until(), 11);
    }
}
