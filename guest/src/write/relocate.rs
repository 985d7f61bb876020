//! A new generation under a new id, over a store without compare-and-swap.

use super::plan::Plan;
use crate::call::{Call, Swap};
use crate::engine::Engine;
use crate::error::Error;
use crate::id::SessionId;
use crate::ports::{Expected, Placement};
use crate::record;
use crate::snapshot::Snapshot;

/// Where the next record lies. A store that compares nothing could lose a new generation to a save that has not seen it,
/// and show the old one for a while: there, each gets an id of its own.
pub(super) fn next_id(
    engine: &Engine,
    call: &Call<'_>,
    plan: &Plan,
    newest: &Snapshot,
) -> Result<SessionId, Error> {
    let generations = &newest.head.generations;
    Ok(
        if engine.store.compare_and_swap || plan.head.generations.current == generations.current {
            newest.id
        } else if plan.logs_in(newest) {
            SessionId(call.random()?)
        } else {
            newest.id.relocated(newest.version)
        },
    )
}

/// Writes a record under its new id, and then what ends the old one: after a login it is dead, after a renewal it leads on.
#[inline(never)]
pub(super) fn relocate(
    engine: &Engine,
    call: &Call<'_>,
    plan: &Plan,
    next: &Snapshot,
    at: &Placement<'_>,
    old: &Snapshot,
) -> Result<Swap, Error> {
    let first = Placement {
        previous_owner: None,
        ..*at
    };
    let inserted = call.insert(&engine.key(next.id), next.text(), &first)?;
    let logs_in = plan.logs_in(old);
    if logs_in && !matches!(inserted, Swap::Done(_)) {
        // The id was drawn for it: only an earlier try of the store's own client can be there.
        return Ok(Swap::Stale);
    }
    let way = record::redirect(next.id);
    // An end that comes forward tells the store that this is the last of the old record.
    let (value, end) = if logs_in {
        (old.text(), 0)
    } else {
        (way.as_str(), old.head.ends_at - 1)
    };
    let last = Placement {
        owner: None,
        previous_owner: at.previous_owner,
        guard: None,
        expires_at: end,
        ends_at: end,
    };
    let ended = call.replace(&engine.key(old.id), value, Expected::Version(old.version), &last)?;
    Ok(match ended {
        Swap::Done(_) if logs_in => inserted,
        // Others may have renewed the same record: where it leads now counts.
        Swap::Done(_) => Swap::Stale,
        refused => refused,
    })
}
