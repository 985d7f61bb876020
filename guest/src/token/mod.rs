//! Tokens: what a client holds. The policy says which of two forms is made and accepted, never the token.

mod compact;
mod jwt;

use sha2::{Digest, Sha256};

use crate::encoding;
use crate::error::{Error, Kind};
use crate::generation::Generation;
use crate::keys::KeyRing;
use crate::moments::Moments;
use crate::policy::{Policy, TokenFormat};

/// Names a session: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// What names the session where its id must not stand.
    pub fn reference(&self) -> Reference {
        let digest = Sha256::new()
            .chain_update(b"tessera reference\0")
            .chain_update(self.steady())
            .finalize();
        let mut reference = [0; Reference::BYTES];
        reference.copy_from_slice(&digest[..Reference::BYTES]);
        Reference(reference)
    }

    /// Where the session lies once the record of this version was renewed, if it has to move: whoever renews that record moves
    /// it there. What stays the same is nine bytes, twelve characters of a key.
    #[must_use]
    pub fn moved(mut self, version: u64) -> Self {
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
pub struct Reference(pub [u8; Self::BYTES]);

impl Reference {
    /// Its length.
    pub const BYTES: usize = 16;

    /// In base64url.
    pub fn text(&self) -> String {
        encoding::encode(&self.0)
    }
}

/// What a token says, its mac and dates checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose record it names.
    pub id: SessionId,
    /// Which of the session's generations it is.
    pub generation: Generation,
    /// When it was made.
    pub issued_at: u64,
    /// From when on it is accepted.
    pub not_before: u64,
    /// From when on it is refused.
    pub expires_at: u64,
    /// JWT only: whom it stands for.
    pub subject: Option<String>,
    /// JWT only: the `data` claim.
    pub data: Vec<(String, String)>,
}

/// Reads and checks a token: length, form, key, mac; then its dates.
///
/// # Errors
/// `InvalidToken`, `Expired`.
pub fn verify(token: &str, policy: &Policy, ring: &KeyRing, moments: &Moments) -> Result<Token, Error> {
    if token.len() > policy.maximum_token_bytes as usize {
        return Err(Kind::TokenTooLong.into());
    }
    let read = match policy.token_format {
        TokenFormat::Compact => compact::read(token, ring)?,
        TokenFormat::Jwt => jwt::read(token, ring, policy)?,
    };
    // The absolute end in a compact token is the record's own and exact; only a JWT's `exp` is tolerated past it.
    let leeway = match policy.token_format {
        TokenFormat::Compact => 0,
        TokenFormat::Jwt => policy.clock_skew_ms,
    };
    if !moments.is_past(read.not_before.saturating_sub(policy.clock_skew_ms)) {
        return Err(Error::not_yet_valid(moments.until(read.not_before)));
    }
    if moments.is_past(read.expires_at.saturating_add(leeway)) {
        return Err(Kind::Expired.into());
    }
    Ok(read)
}

/// Makes a token and answers it with the moment it expires.
///
/// # Errors
/// `SubjectRequired` for a JWT without a subject, `LimitExceeded` if it would be longer than the policy accepts.
pub fn mint(claims: &Claims<'_>, policy: &Policy, ring: &KeyRing) -> Result<Minted, Error> {
    let minted = match policy.token_format {
        TokenFormat::Compact => compact::mint(claims, ring.signing()),
        TokenFormat::Jwt => jwt::mint(claims, policy, ring.signing())?,
    };
    if minted.text.len() > policy.maximum_token_bytes as usize {
        return Err(Error::limit("maximum-token-bytes", policy.maximum_token_bytes));
    }
    Ok(minted)
}

/// What a token is made from.
pub struct Claims<'a> {
    /// Whose record it names.
    pub id: SessionId,
    /// Which generation it is.
    pub generation: Generation,
    /// When it is made.
    pub now: u64,
    /// The session's absolute end.
    pub ends_at: u64,
    /// Whom the session stands for.
    pub subject: Option<&'a str>,
    /// The `data` claim of a JWT.
    pub data: &'a [(String, String)],
}

/// A new token.
pub struct Minted {
    /// What the client gets.
    pub text: String,
    /// What it says of its own issue and end.
    pub issued_at: u64,
    /// From when on it is refused.
    pub expires_at: u64,
}
