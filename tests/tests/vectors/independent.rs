//! HMAC, HKDF, base64url and both forms of token, written anew from their documents.
//!
//! Of what the engine is built from, only SHA-256 itself is shared. `hmac_native.rs` holds this code to the published vectors
//! as well, so that it can judge the engine.

use sha2::{Digest as _, Sha256};

/// RFC 2104 with SHA-256.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message);
    let outer = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner.finalize());
    outer.finalize().into()
}

/// RFC 5869 with SHA-256; `None` for more than it can give.
pub(crate) fn hkdf(salt: &[u8], secret: &[u8], info: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > 255 * 32 {
        return None;
    }
    // A salt that is not there is 32 zeros, which HMAC pads an empty one to.
    let extracted = hmac(salt, secret);
    let (mut bytes, mut block) = (Vec::new(), Vec::new());
    for number in 1..=length.div_ceil(32) {
        block = hmac(&extracted, &[&block, info, &[number as u8]].concat()).to_vec();
        bytes.extend_from_slice(&block);
    }
    bytes.truncate(length);
    Some(bytes)
}

/// The subkey of a secret, as `guest/src/keys.rs` describes it: what it is for, then for whom, each after its length.
pub(crate) fn subkey(secret: &[u8], purpose: &str, issuer: &str, audience: &str) -> Vec<u8> {
    let mut info = Vec::new();
    for part in [purpose, issuer, audience] {
        info.extend_from_slice(&(part.len() as u32).to_be_bytes());
        info.extend_from_slice(part.as_bytes());
    }
    hkdf(b"tessera/v1", secret, &info, 32).expect("32 bytes are not too many")
}

pub(crate) const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// RFC 4648, section 5, without padding: six bits a character, from the left.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for character in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * character)) as usize & 63]));
        }
    }
    text
}

/// RFC 7515, section 7.1, with HMAC-SHA256.
pub(crate) fn jws(header: &str, payload: &str, key: &[u8]) -> String {
    sign(
        &format!(
            "{}.{}",
            base64url(header.as_bytes()),
            base64url(payload.as_bytes())
        ),
        key,
    )
}

/// Any text, a dot, and its mac: what both forms of token end with.
pub(crate) fn sign(text: &str, key: &[u8]) -> String {
    format!("{text}.{}", base64url(&hmac(key, text.as_bytes())))
}

/// `guest/src/token/compact.rs`, with a payload of any bytes.
pub(crate) fn compact(key_id: &str, payload: &[u8], key: &[u8]) -> String {
    sign(&format!("ts1.{key_id}.{}", base64url(payload)), key)
}
