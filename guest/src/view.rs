//! What is known of a session, and for how long that holds.

use crate::engine::Engine;
use crate::generation::Standing;
use crate::handle::{Handle, Saved, Shown};
use crate::moments::Moments;
use crate::policy::{Policy, TokenFormat};
use crate::session::{Details, Live, Opened};
use crate::write;

/// An open session, as the host keeps it.
#[inline(never)]
pub(crate) fn opened(engine: &Engine, live: &Live, moments: &Moments) -> Opened {
    let details = details(engine, live, moments);
    let version = live.snapshot.version;
    Opened {
        handle: handle(engine, live, version),
        key: engine.key(live.snapshot.id),
        version,
        details,
        fields_at: live.snapshot.fields_at() as u32,
        holds_until: moments.holds_until(),
    }
}

/// The handle of a session whose record was seen in this version.
pub(crate) fn handle(engine: &Engine, live: &Live, version: u64) -> String {
    let saved = Saved {
        id: live.snapshot.id,
        shown: live.shown,
        version,
    };
    Handle::Saved(saved).write(engine.tag)
}

/// What is known of an open session.
fn details(engine: &Engine, live: &Live, moments: &Moments) -> Details {
    let (policy, head) = (&engine.policy, &live.snapshot.head);
    let standing = stand(engine, live, moments);
    let unconfirmed = standing == Standing::Current && head.generations.confirmed_at.is_none();
    let renews = write::renewal_due(&head.generations, policy.renew_interval_ms, standing, moments);
    let settled = head.generations.is_settled(moments, policy.rotation_grace_ms);
    let Shown {
        issued_at,
        token_expires_at,
        ..
    } = live.shown;
    let half_life = issued_at + token_expires_at.saturating_sub(issued_at) / 2;
    let is_jwt = policy.token_format == TokenFormat::Jwt;
    Details {
        reference: live.shown.reference.text(),
        subject: head.subject.clone(),
        created_at: head.created_at,
        authenticated_at: head.authenticated_at,
        expires_at: live.expires_at,
        ends_at: head.ends_at,
        generation: live.shown.generation.counter,
        touch_due: unconfirmed || touch_due(policy, live, moments),
        renew_due: renews && (settled || standing == Standing::PreviousUnconfirmed),
        reissue_due: is_jwt && standing != Standing::PreviousInGrace && moments.is_past(half_life),
    }
}

/// How the token that was shown stands to the record.
pub(crate) fn stand(engine: &Engine, live: &Live, moments: &Moments) -> Standing {
    let grace = engine.policy.rotation_grace_ms;
    live.snapshot
        .head
        .generations
        .judge(live.shown.generation, moments, grace)
}

/// The idle expiry of a session that is used at `now`.
pub(crate) fn slid(policy: &Policy, live: &Live, now: u64) -> u64 {
    (now + policy.idle_timeout_ms).min(live.snapshot.head.ends_at)
}

/// Whether a touch would move the expiry: by the touch interval at least, or up to the absolute end.
pub(crate) fn touch_due(policy: &Policy, live: &Live, moments: &Moments) -> bool {
    let (expires_at, ends_at) = (live.expires_at, live.snapshot.head.ends_at);
    // The moment of use that moves the expiry here.
    let moves_to = |expiry: u64| expiry.saturating_sub(policy.idle_timeout_ms);
    let by_interval = expires_at.saturating_add(policy.touch_interval_ms);
    let due_at = moves_to(by_interval.min(ends_at)).max(moves_to(expires_at.saturating_add(1)));
    ends_at > expires_at && moments.is_past(due_at)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::engine::Found;
    use crate::generation::{Generation, Generations};
    use crate::overlay::Overlay;
    use crate::policy::Preset;
    use crate::record::{Head, Writes};
    use crate::snapshot::{Snapshot, Survivors};
    use crate::token::SessionId;

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
        let (everything, nothing) = (Survivors::Everything, Overlay::default());
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
        /// The rule in arithmetic, as it was written down first.
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
            // And it stays so for as long as it is said to.
            for later in now..moments.holds_until().min(600) {
                proptest::prop_assert_eq!(touch_due(&policy, &live, &Moments::at(later)), due);
            }
        }
    }
}
