//! A stored session as read by one call, and its state by the call's clock and policy.

use std::rc::Rc;

use crate::engine::{Engine, Found};
use crate::generation::{Generation, TokenStatus};
use crate::handle::Shown;
use crate::moments::Moments;
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// A stored session as read by one call.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) guard: u64,
    pub(crate) expires_at: u64,
    pub(crate) shown: Shown,
}

impl Live {
    /// Creates the session of a presented token, or of a handle, which contains the same data.
    pub(crate) fn new(shown: Shown, found: Found) -> Self {
        let Found {
            snapshot,
            guard,
            expires_at,
        } = found;
        Self {
            snapshot,
            guard,
            expires_at,
            shown,
        }
    }

    /// Creates the session of a generation without a presented token.
    pub(crate) fn found(generation: Generation, found: Found) -> Self {
        let shown = Shown {
            generation,
            issued_at: 0,
            token_expires_at: 0,
            public_id: found.snapshot.id.public_id(),
        };
        Self::new(shown, found)
    }

    /// Returns the session of the same token with another version of the record.
    pub(crate) fn over(&self, found: Found) -> Self {
        let mut shown = self.shown;
        if found.snapshot.id.steady() != self.snapshot.id.steady() {
            shown.public_id = found.snapshot.id.public_id();
        }
        Self::new(shown, found)
    }
}

/// The status of the presented token by the record.
pub(crate) fn token_status(engine: &Engine, live: &Live, moments: &Moments) -> TokenStatus {
    let grace = engine.policy.rotation_grace_ms;
    live.snapshot
        .head
        .generations
        .classify(live.shown.generation, moments, grace)
}

/// The idle expiry of a session after a use at `now`.
pub(crate) fn slid(policy: &Policy, live: &Live, now: u64) -> u64 {
    (now + policy.idle_timeout_ms).min(live.snapshot.head.ends_at)
}

/// Whether a touch would move the expiry, by at least the touch interval or up to the absolute end.
pub(crate) fn touch_due(policy: &Policy, live: &Live, moments: &Moments) -> bool {
    let (expires_at, ends_at) = (live.expires_at, live.snapshot.head.ends_at);
    // The moment of the use that moves the expiry to `expiry`.
    let moves_to = |expiry: u64| expiry.saturating_sub(policy.idle_timeout_ms);
    let by_interval = expires_at.saturating_add(policy.touch_interval_ms);
    let due_at = moves_to(by_interval.min(ends_at)).max(moves_to(expires_at.saturating_add(1)));
    ends_at > expires_at && moments.is_past(due_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Generations;
    use crate::id::SessionId;
    use crate::overlay::Overlay;
    use crate::policy::Preset;
    use crate::record::{Head, Writes};
    use crate::snapshot::KeepFields;

    fn live(expires_at: u64, ends_at: u64) -> Live {
        let generations = Generations::first(1);
        let head = Head {
            format: 1,
            created_at: 1,
            authenticated_at: None,
            ends_at,
            subject: None,
            generations,
            writes: Writes::default(),
        };
        let (everything, nothing) = (KeepFields::Everything, Overlay::default());
        let snapshot = Snapshot::compose(SessionId([0; 16]), head, None, &everything, &nothing, 1, 2048);
        let found = Found {
            snapshot: Rc::new(snapshot.expect("a small record")),
            guard: 0,
            expires_at,
        };
        Live::found(
            Generation {
                counter: 1,
                raised_at: 1,
            },
            found,
        )
    }

    proptest::proptest! {
        /// The original arithmetic form of the rule.
        #[test]
        fn a_touch_is_due_when_it_gains_the_interval_or_reaches_the_end(
            now in 0_u64..400,
            expires_at in 0_u64..400,
            ends_at in 0_u64..400,
            idle in 1_u64..100,
            interval in 0_u64..100,
        ) {
            let mut policy = Policy::starting(Preset::Standard);
            (policy.idle_timeout_ms, policy.touch_interval_ms) = (idle, interval);
            let live = live(expires_at, ends_at);
            let slid = slid(&policy, &live, now);
            let gained = slid.saturating_sub(expires_at);
            let due = gained > 0 && (gained >= interval || slid == ends_at);
            let moments = Moments::at(now);
            proptest::prop_assert_eq!(touch_due(&policy, &live, &moments), due);
            // The result stays the same until `holds_until`.
            for later in now..moments.holds_until().min(600) {
                proptest::prop_assert_eq!(touch_due(&policy, &live, &Moments::at(later)), due);
            }
        }
    }
}
