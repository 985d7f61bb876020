//! Moving a session to a new id at each new generation, over a store without compare-and-swap.

use super::plan::Plan;
use crate::call::{Call, Swap};
use crate::engine::Engine;
use crate::error::Error;
use crate::id::SessionId;
use crate::ports::{Expected, Placement};
use crate::record;
use crate::snapshot::Snapshot;

/// Returns the id of the next record.
///
/// Without compare-and-swap, a save that has not seen a new generation could overwrite it, and stale reads could return the
/// old one. Over such a store, each new generation gets a new id.
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

/// Writes a record under its new id, then ends the old record: a login ends it at once, a renewal replaces it by a redirect.
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
        // The id is random: the existing entry can only be from a retry by the store's own client.
        return Ok(Swap::Stale);
    }
    let way = record::redirect(next.id);
    // Lowering `ends-at` makes the old entry final.
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
        // Concurrent calls may have renewed the same record: the stored redirect decides.
        Swap::Done(_) => Swap::Stale,
        refused => refused,
    })
}
