//! The one way in which the holder of a token ends a session: only while the record is still what was judged.

use crate::call::{Call, Swap};
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::Generations;
use crate::ports::Placement;
use crate::write::ATTEMPTS;

/// Ends a session if its newest record still calls for it; answers whether it did.
///
/// A deletion knows no version, so that one alone could end what a login has made of the session since it was judged.
/// Therefore the record is first replaced, on condition of its version, by one that has expired; deleting that is tidying up.
pub(crate) fn end(
    engine: &Engine,
    call: &Call<'_>,
    mut found: Found,
    still: impl Fn(&Generations) -> bool,
    now: u64,
) -> Result<bool, Error> {
    for _ in 0..ATTEMPTS {
        let snapshot = &found.snapshot;
        let key = engine.key(snapshot.id);
        if !still(&snapshot.head.generations) {
            return Ok(false);
        }
        let owner = snapshot.head.subject.as_deref();
        // Expired for every host, however its clock goes.
        let at = Placement {
            owner,
            previous_owner: owner,
            expires_at: 0,
            ends_at: 0,
        };
        match call.replace(&key, snapshot.text(), snapshot.version, &at)? {
            Swap::Done(_) => {
                engine.cache.borrow_mut().forget(&snapshot.id);
                return match call.delete(&key, owner) {
                    Err(error) if error.is(Kind::Pending) => Err(error),
                    _ => Ok(true),
                };
            }
            Swap::Missing => return Ok(true),
            Swap::Stale => match engine.find(call, snapshot.id, true, now)? {
                Some(newer) => found = newer,
                None => return Ok(true),
            },
        }
    }
    Err(Kind::Contended.into())
}
