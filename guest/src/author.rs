//! Who writes: what tells a handle's own writes from those of others, also where an answer was lost.

use crate::call::Call;
use crate::encoding;
use crate::error::Error;
use crate::record::Head;
use crate::token::SessionId;

/// Who writes: random names that recognise a write whose answer was lost.
#[derive(Clone)]
pub(crate) struct Author {
    /// The id a draft gets. Kept when a save fails, so that its repeat finds what the first may have written.
    pub(crate) id: SessionId,
    /// Begins the ids of all writes of one handle.
    pub(crate) nonce: String,
    /// Tells them apart.
    pub(crate) writes: u32,
    /// From which the guards of all writes are counted.
    pub(crate) guards: u64,
}

/// Each write has so many guards, one for each of its tries.
const GUARDS: u64 = 16;

impl Author {
    /// Draws the names that a handle writes under: with an id, if it is a draft.
    pub(crate) fn draw(call: &Call<'_>, id: Option<SessionId>) -> Result<Self, Error> {
        let mut bytes = [0; 30];
        let id = match id {
            Some(id) => {
                bytes[16..].copy_from_slice(&call.random::<14>()?);
                id
            }
            None => {
                bytes = call.random()?;
                let mut id = [0; 16];
                id.copy_from_slice(&bytes[..16]);
                SessionId(id)
            }
        };
        let mut guards = [0; 8];
        guards.copy_from_slice(&bytes[22..]);
        Ok(Self {
            id,
            nonce: encoding::encode(&bytes[16..22]),
            writes: 0,
            guards: u64::from_le_bytes(guards),
        })
    }

    /// The guard of a record that this try of the write makes: no other write, and no other try, ever has it.
    pub(crate) fn guard(&self, attempt: usize) -> u64 {
        let counted = u64::from(self.writes) * GUARDS + attempt as u64;
        self.guards.wrapping_add(counted)
    }

    pub(crate) fn write_id(&self) -> String {
        format!("{}.{}", self.nonce, self.writes)
    }

    /// Whether the record is as this handle wrote it last.
    pub(crate) fn wrote_last(&self, head: &Head) -> bool {
        head.writes.last().is_some_and(|id| self.is_mine(id))
    }

    fn is_mine(&self, write_id: &str) -> bool {
        write_id
            .strip_prefix(self.nonce.as_str())
            .is_some_and(|rest| rest.starts_with('.'))
    }

    pub(crate) fn wrote(&self, head: &Head) -> bool {
        head.writes.iter().any(|id| self.is_mine(id))
    }
}
