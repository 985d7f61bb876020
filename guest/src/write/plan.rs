//! The plan of a write: the next record's head and the token to hand out, decided from the newest record without the store.

use super::intent::Intent;
use crate::error::{Error, Kind};
use crate::generation::{Generation, Generations, TokenStatus};
use crate::live::Live;
use crate::moments::Moments;
use crate::policy::Policy;
use crate::record::{Head, Writes};
use crate::snapshot::Snapshot;

/// The next record's head, and the generation of the token to hand out.
pub(super) struct Plan {
    pub(super) head: Head,
    /// Whether the head's generations differ from those of the newest record.
    pub(super) changed: bool,
    /// The generation of the token to hand out.
    pub(super) hand_out: Option<Generation>,
    /// The generation of the handle after the write.
    pub(super) stand_on: Generation,
}

impl Plan {
    /// Whether the write invalidates all tokens of the previous record.
    pub(super) fn logs_in(&self, before: &Snapshot) -> bool {
        self.head.generations.login_generation != before.head.generations.login_generation
    }

    /// Plans the first write of a draft.
    pub(super) fn first(policy: &Policy, intent: Intent<'_>, now: u64) -> Self {
        let generations = Generations::first(now);
        let mut head = Head {
            format: policy.record_format,
            created_at: now,
            authenticated_at: None,
            ends_at: now + policy.absolute_timeout_ms,
            subject: None,
            generations,
            writes: Writes::default(),
        };
        if let Intent::Authenticate { subject, .. } = intent {
            head.subject = Some(subject.to_owned());
            head.authenticated_at = Some(now);
        }
        let current = generations.current;
        Self {
            head,
            changed: true,
            hand_out: Some(current),
            stand_on: current,
        }
    }

    /// Checks the handle against the newest record, and plans the next head.
    ///
    /// # Errors
    /// `Expired`, `Replaced`.
    #[inline(never)]
    pub(super) fn next(
        policy: &Policy,
        intent: Intent<'_>,
        live: &Live,
        newest: &Head,
        now: u64,
    ) -> Result<Self, Error> {
        let moments = Moments::at(now);
        let grace = policy.rotation_grace_ms;
        if moments.is_past(newest.ends_at) {
            return Err(Kind::Expired.into());
        }
        let status = newest
            .generations
            .classify(live.shown.generation, &moments, grace);
        if !status.is_served() || newest.subject != live.snapshot.head.subject {
            return Err(Kind::Replaced.into());
        }
        let mut plan = Self {
            head: newest.clone(),
            changed: false,
            hand_out: None,
            stand_on: live.shown.generation,
        };
        let generations = &mut plan.head.generations;
        if status == TokenStatus::Current && generations.confirmed_at.is_none() {
            generations.confirmed_at = Some(now);
            plan.changed = true;
        }
        let renews = match intent {
            Intent::Rotate => true,
            Intent::Save => generations.is_renewal_due(policy.renew_interval_ms, status, &moments),
            Intent::Confirm | Intent::Authenticate { .. } => false,
        };
        if renews {
            match status {
                TokenStatus::Current if generations.is_settled(&moments, grace) => {
                    *generations = generations.renewed(now).ok_or_else(counter_spent)?;
                    plan.hand_out = Some(generations.current);
                    plan.changed = true;
                }
                // The client may never have received the new token: it is issued again from the record.
                TokenStatus::PreviousUnconfirmed => plan.hand_out = Some(generations.current),
                _ => {}
            }
        }
        if let Intent::Authenticate { subject, .. } = intent {
            *generations = generations.authenticated(now).ok_or_else(counter_spent)?;
            plan.hand_out = Some(generations.current);
            plan.stand_on = generations.current;
            plan.changed = true;
            plan.head.subject = Some(subject.to_owned());
            plan.head.authenticated_at = Some(now);
            plan.head.ends_at = now + policy.absolute_timeout_ms;
        }
        Ok(plan)
    }
}

fn counter_spent() -> Error {
    Error::because(Kind::Other, "the session's generation counter is spent")
}
