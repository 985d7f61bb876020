//! The time of one decision, and the moment up to which it stays the same.
//!
//! A decision reads the time by one question alone, whether a moment is past, and each "not yet" bounds for how long the
//! decision holds. So a comparison that is added later cannot be forgotten in that bound.

use std::cell::Cell;

/// The time at which something is decided.
///
/// **Invariant: the time itself leaves by no other way than [`Moments::is_past`] and [`Moments::until`].** Arithmetic stands on the side of the moment
/// that is asked for, and saturates.
#[derive(Debug)]
pub struct Moments {
    now: u64,
    holds_until: Cell<u64>,
}

impl Moments {
    /// Decides at this time, in milliseconds since 1970.
    pub fn at(now: u64) -> Self {
        Self {
            now,
            holds_until: Cell::new(u64::MAX),
        }
    }

    /// Whether a moment has come: a moment is past from its own millisecond on.
    pub fn is_past(&self, moment: u64) -> bool {
        if self.now >= moment {
            return true;
        }
        self.holds_until.set(self.holds_until.get().min(moment));
        false
    }

    /// How many milliseconds a moment lies ahead, for an error that says so; nothing that depends on it holds for longer.
    pub fn until(&self, moment: u64) -> u64 {
        self.holds_until.set(0);
        moment.saturating_sub(self.now)
    }

    /// The earliest of the moments that were asked for and have not come: what was decided is the same at every time before
    /// it, down to the time of the decision.
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
