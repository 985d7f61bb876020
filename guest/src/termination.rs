//! The one way in which the holder of a token ends a session: only while the generations are still those that were judged.

use crate::call::{Call, Removal};
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::Generations;
use crate::moments::Moments;
use crate::ports::Condition;

/// The most deletions that one end tries.
///
/// Each change of a guard moves a token one step down the table of generations and none up. A token that is current and
/// unconfirmed is served after three changes (a confirmation, a renewal, a confirmation) and refused after the fourth.
const TRIES: usize = 4;

/// Ends a session if its newest record still calls for it; answers whether it did.
///
/// The deletion is conditional on the guard that was judged: a login, a renewal or a confirmation in between makes it judge
/// again, and a save does not.
pub(crate) fn end(
    engine: &Engine,
    call: &Call<'_>,
    mut found: Found,
    still: impl Fn(&Generations, &Moments) -> bool,
    now: u64,
) -> Result<bool, Error> {
    let (mut tries, mut moments) = (0, Moments::at(now));
    while still(&found.snapshot.head.generations, &moments) {
        if tries == TRIES {
            return Err(Kind::Contended.into());
        }
        tries += 1;
        let id = found.snapshot.id;
        let removal = call.delete(&engine.key(id), Condition::Guard(found.guard))?;
        if removal != Removal::Stale {
            return Ok(true);
        }
        match engine.find(call, id, true, &moments)? {
            Some(newer) => found = newer,
            None => return Ok(true),
        }
        moments = Moments::at(call.now()?);
    }
    Ok(false)
}
