//! Tokens, which clients hold. The policy decides which of two formats is issued and accepted, never the token itself.

mod compact;
mod form;
mod jwt;

pub use form::{Claims, Minted, Token};

use crate::error::{Error, Kind};
use crate::keys::KeyRing;
use crate::moments::Moments;
use crate::policy::{Policy, TokenFormat};

/// Checks a token: its length, format, key and MAC, then its dates.
///
/// # Errors
/// The kinds `Token…`, `Expired`.
pub fn verify(token: &str, policy: &Policy, ring: &KeyRing, moments: &Moments) -> Result<Token, Error> {
    if token.len() > policy.maximum_token_bytes as usize {
        return Err(Kind::TokenTooLong.into());
    }
    let read = match policy.token_format {
        TokenFormat::Compact => compact::read(token, ring)?,
        TokenFormat::Jwt => jwt::read(token, ring, policy)?,
    };
    // A compact token contains the exact absolute end of the record. Only a JWT's `exp` has a tolerance.
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

/// Issues a token.
///
/// # Errors
/// `SubjectRequired` for a JWT without a subject, `LimitExceeded` if the token would be longer than the policy accepts.
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
