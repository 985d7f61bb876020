//! Tokens against cross-site request forgery (CSRF): a MAC over the session and its last authentication.
//!
//! Each token has a new random mask, so that compression over TLS reveals nothing of the MAC (BREACH).

use crate::encoding;
use crate::error::{Error, Kind};
use crate::generation::Generation;
use crate::id::SessionId;
use crate::keys::{self, KeyRing, Signer};

fn mac(signer: &Signer, id: SessionId, login_generation: Generation) -> [u8; 32] {
    keys::sign(
        signer,
        &[
            id.steady(),
            &login_generation.counter.to_be_bytes(),
            &login_generation.raised_at.to_be_bytes(),
        ],
    )
}

fn exclusive_or(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    core::array::from_fn(|index| a[index] ^ b[index])
}

/// Creates a token: the mask, and the masked MAC, in base64url.
pub fn make(
    ring: &KeyRing,
    id: SessionId,
    login_generation: Generation,
    mask: [u8; 32],
) -> Result<String, Error> {
    let masked = exclusive_or(&mac(&ring.signing().csrf, id, login_generation), &mask);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&mask);
    bytes[32..].copy_from_slice(&masked);
    Ok(encoding::encode(&bytes))
}

/// Checks a token in constant time, with every key of the ring, because a page may have been served before the keys changed.
///
/// # Errors
/// `InvalidCsrfToken` if the token is malformed, or its MAC matches under no key.
pub fn check(ring: &KeyRing, id: SessionId, login_generation: Generation, token: &str) -> Result<(), Error> {
    use subtle::ConstantTimeEq as _;
    let bytes: [u8; 64] = encoding::decode_exact(token).ok_or(Kind::InvalidCsrfToken)?;
    let (mut mask, mut masked) = ([0; 32], [0; 32]);
    mask.copy_from_slice(&bytes[..32]);
    masked.copy_from_slice(&bytes[32..]);
    let shown = exclusive_or(&mask, &masked);
    let fits = ring.iter().fold(subtle::Choice::from(0), |fits, key| {
        fits | mac(&key.csrf, id, login_generation)[..].ct_eq(&shown)
    });
    if fits.into() {
        Ok(())
    } else {
        Err(Kind::InvalidCsrfToken.into())
    }
}
