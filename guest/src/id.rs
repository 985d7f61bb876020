//! The id of a session, and the public id that stands for it in logs and pages.

use sha2::{Digest, Sha256};

use crate::encoding;

/// Names a session: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// What names the session where its id must not stand.
    pub fn public_id(&self) -> PublicId {
        let digest = Sha256::new()
            .chain_update(b"tessera reference\0")
            .chain_update(self.steady())
            .finalize();
        let mut public_id = [0; PublicId::BYTES];
        public_id.copy_from_slice(&digest[..PublicId::BYTES]);
        PublicId(public_id)
    }

    /// Where the session lies once the record of this version was renewed, if it has to move: whoever renews that record moves
    /// it there. What stays the same is nine bytes, twelve characters of a key.
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

    /// What stays the same for as long as nobody logs in.
    #[must_use]
    pub fn steady(&self) -> &[u8] {
        &self.0[..Self::STAYS]
    }
}

// An id is half of a login; it never reaches a log.
impl core::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// A hash of what stays of a session's id, fit for logs and pages: 128 bits of SHA-256, one-way because the id is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicId(pub [u8; Self::BYTES]);

impl PublicId {
    /// Its length.
    pub const BYTES: usize = 16;

    /// In base64url.
    pub fn text(&self) -> String {
        encoding::encode(&self.0)
    }
}
