//! The id of a session, and its public id for logs and pages.

use sha2::{Digest, Sha256};

use crate::encoding;

/// The id of a session: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// Returns the public id, which identifies the session where its id must not appear.
    pub fn public_id(&self) -> PublicId {
        let digest = Sha256::new()
            .chain_update(b"tessera reference\0")
            .chain_update(self.steady())
            .finalize();
        let mut public_id = [0; PublicId::BYTES];
        public_id.copy_from_slice(&digest[..PublicId::BYTES]);
        PublicId(public_id)
    }

    /// Returns the id to which a renewal of the record with this version moves the session, over a store without
    /// compare-and-swap.
    ///
    /// Concurrent renewals of one record move it to the same id. The first nine bytes, twelve characters of a key, are kept.
    #[must_use]
    pub fn relocated(mut self, version: u64) -> Self {
        let digest = Sha256::new()
            .chain_update(b"tessera moved\0")
            .chain_update(self.0)
            .chain_update(version.to_be_bytes())
            .finalize();
        self.0[Self::STAYS..].copy_from_slice(&digest[..16 - Self::STAYS]);
        self
    }

    const STAYS: usize = 9;

    /// Returns the bytes of the id that only a login changes.
    #[must_use]
    pub fn steady(&self) -> &[u8] {
        &self.0[..Self::STAYS]
    }
}

// An id is part of a credential and must not reach a log.
impl core::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// A hash of the constant bytes of a session's id, safe for logs and pages.
///
/// 128 bits of SHA-256, one-way because the id is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicId(pub [u8; Self::BYTES]);

impl PublicId {
    /// The length in bytes.
    pub const BYTES: usize = 16;

    /// Returns the public id in base64url.
    pub fn text(&self) -> String {
        encoding::encode(&self.0)
    }
}
