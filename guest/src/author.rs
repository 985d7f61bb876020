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
}

impl Author {
    /// Draws the names that a handle writes under: with an id, if it is a draft.
    pub(crate) fn draw(call: &Call<'_>, id: Option<SessionId>) -> Result<Self, Error> {
        let (id, nonce) = match id {
            Some(id) => (id, call.random::<6>()?),
            None => {
                let bytes = call.random::<22>()?;
                let (mut id, mut nonce) = ([0; 16], [0; 6]);
                id.copy_from_slice(&bytes[..16]);
                nonce.copy_from_slice(&bytes[16..]);
                (SessionId(id), nonce)
            }
        };
        Ok(Self {
            id,
            nonce: encoding::encode(&nonce),
            writes: 0,
        })
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
