//! Keys that make and check tokens.

use std::fmt;

use zeroize::Zeroizing;

use crate::bindings::wit;

/// A key that makes and checks tokens. Its bytes are wiped when it is dropped and never stand in `Debug`.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    secret: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    /// Makes a key from its id, `[A-Za-z0-9_-]{1,32}`, and 32 to 1024 secret bytes from a secure random source.
    /// Both are checked when the sessions are built.
    pub fn new(id: impl Into<String>, secret: impl Into<Vec<u8>>) -> Self {
        Self {
            id: id.into(),
            secret: Zeroizing::new(secret.into()),
        }
    }

    /// Its id, which stands in every token that it signs.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its secret, to be written where only the service can read it.
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
