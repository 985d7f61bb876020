//! The identity of a writer, which distinguishes a session's own writes from others, even if a reply was lost.

use sha2::{Digest, Sha256};

use crate::encoding;
use crate::error::{Error, Kind};
use crate::id::SessionId;
use crate::json;
use crate::record::Head;

/// The random bytes that a host's session draws before its first write, and the number of writes that it began before this one.
pub(crate) struct WriterId {
    writer: [u8; Self::WRITER_BYTES],
    attempt: u32,
    write_id: String,
}

impl WriterId {
    /// 16 bytes for the id of a draft, and 6 bytes for the prefix of all write ids.
    pub(crate) const WRITER_BYTES: usize = 22;

    /// Creates the id of one write from the host's arguments.
    ///
    /// # Errors
    /// `InvalidArgument` if the writer is not 22 bytes.
    pub(crate) fn new(writer: &[u8], attempt: u32) -> Result<Self, Error> {
        let writer: [u8; Self::WRITER_BYTES] = writer
            .try_into()
            .map_err(|_| Error::about(Kind::InvalidArgument, "writer", "must be 22 random bytes"))?;
        let mut write_id = encoding::encode(&writer[16..]);
        write_id.push('.');
        json::push_unsigned(attempt.into(), &mut write_id);
        Ok(Self {
            writer,
            attempt,
            write_id,
        })
    }

    /// Returns the session id of a draft.
    ///
    /// It is the same for a repeated save, so that the repeat finds the record that the first may have written.
    pub(crate) fn id(&self) -> SessionId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.writer[..16]);
        SessionId(id)
    }

    /// Returns the guard of the record that this attempt of the write creates.
    ///
    /// 64 bits of a hash, so that no other write and no other attempt has the same guard.
    pub(crate) fn guard(&self, attempt: usize) -> u64 {
        let digest = Sha256::new()
            .chain_update(b"tessera guard\0")
            .chain_update(self.writer)
            .chain_update(self.attempt.to_be_bytes())
            .chain_update((attempt as u32).to_be_bytes())
            .finalize();
        let mut guard = [0; 8];
        guard.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(guard)
    }

    /// Returns the id of this write, which the written record contains.
    pub(crate) fn write_id(&self) -> &str {
        &self.write_id
    }

    /// Whether the last write of the record is one of this writer's.
    pub(crate) fn wrote_last(&self, head: &Head) -> bool {
        head.writes.iter().last().is_some_and(|id| self.is_mine(id))
    }

    /// Whether a write is one of this writer's. The part before the dot identifies the writer, the part after it the write.
    fn is_mine(&self, write_id: &str) -> bool {
        let writer = |id| str::split_once(id, '.').map(|(writer, _)| writer);
        writer(write_id) == writer(&self.write_id)
    }

    pub(crate) fn wrote(&self, head: &Head) -> bool {
        head.writes.iter().any(|id| self.is_mine(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_of_each_write_of_each_writer_has_a_guard_of_its_own() {
        let mut guards = Vec::new();
        for writer in [[1; 22], [2; 22]] {
            for attempt in 0..3 {
                let writer_id = WriterId::new(&writer, attempt).unwrap();
                guards.extend((0..3).map(|number| writer_id.guard(number)));
            }
        }
        let count = guards.len();
        guards.sort_unstable();
        guards.dedup();
        assert_eq!((guards.len(), count), (18, 18));
    }

    #[test]
    fn a_writer_is_22_bytes_and_makes_the_id_of_its_draft() {
        for length in [0, 16, 21, 23, 44] {
            assert!(WriterId::new(&vec![1; length], 0).is_err_and(|error| error.is(Kind::InvalidArgument)));
        }
        let writer: [u8; 22] = core::array::from_fn(|index| index as u8);
        for attempt in [0, 7] {
            let id = WriterId::new(&writer, attempt).unwrap().id();
            assert!(id.0[..] == writer[..16]);
        }
    }
}
