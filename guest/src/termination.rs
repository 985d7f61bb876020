//! The only code by which the holder of a token ends a session: a deletion conditional on the generations that were checked.

use crate::call::{Call, Removal};
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::Generations;
use crate::moments::Moments;
use crate::ports::Condition;

/// The maximum number of deletions that one call tries.
///
/// Each change of a guard moves a token one step down the states of `TokenStatus`, and never up. A current, unconfirmed
/// token is served after three changes (a confirmation, a renewal, a confirmation) and refused after the fourth.
const TRIES: usize = 4;

/// Ends a session while `still` accepts its newest record, and returns whether the session has ended.
///
/// The deletion is conditional on the guard of the checked record. A concurrent login, renewal or confirmation causes another
/// check; a save does not.
///
/// # Errors
/// `Contended` after four tries, and those of the store.
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
