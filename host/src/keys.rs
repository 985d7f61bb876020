//! Keys that sign and verify tokens.

use std::fmt;

use zeroize::Zeroizing;

use crate::bindings::wit;

/// A key that signs and verifies tokens. Its secret is wiped when it is dropped, and `Debug` omits it.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    secret: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    /// Creates a key from its id, `[A-Za-z0-9_-]{1,32}`, and 32 to 1024 bytes from a cryptographically secure source.
    /// [`SessionsBuilder::build`](crate::SessionsBuilder::build) checks both.
    pub fn new(id: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        Self {
            id: id.into(),
            secret: Zeroizing::new(secret.into()),
        }
    }

    /// The key's id, which every token that it signs contains.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key's secret. Store it where only the service can read it.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    pub(crate) fn to_wit(&self) -> wit::SigningKey {
        wit::SigningKey {
            id: self.id.clone(),
            secret: self.secret.to_vec(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
