//! Tokens: what a client holds. The policy says which of two forms is made and accepted, never the token.

mod compact;
mod form;
mod jwt;

pub use form::{Claims, Minted, Token};

use crate::error::{Error, Kind};
use crate::keys::KeyRing;
use crate::moments::Moments;
use crate::policy::{Policy, TokenFormat};

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
