//! Both forms of token taken apart, and made anew by code that is not the engine's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::independent::{base64url, jws, sign, subkey};
use crate::site::{AUDIENCE, ISSUER, KEY_ID, SECRET};

/// The header that the engine gives its JWTs.
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"tessera+jwt","kid":"k"}"#;

/// The bytes of one part of a token, between dots.
#[track_caller]
pub(crate) fn bytes(token: &str, part: usize) -> Vec<u8> {
    let part = token.split('.').nth(part).expect("a part");
    URL_SAFE_NO_PAD.decode(part).expect("base64url")
}

/// The session id in a compact token: the first 16 bytes of its payload.
#[track_caller]
pub(crate) fn id(token: &str) -> [u8; 16] {
    assert!(token.starts_with("ts1."), "a compact token");
    bytes(token, 2)[..16].try_into().expect("16 bytes")
}

/// The claims of a JWT.
#[track_caller]
pub(crate) fn claims(token: &str) -> Value {
    serde_json::from_slice(&bytes(token, 1)).expect("JSON")
}

/// The session id in a JWT.
#[track_caller]
pub(crate) fn id_of_jwt(token: &str) -> [u8; 16] {
    let id = claims(token)["sid"].as_str().expect("an id").to_owned();
    let id = URL_SAFE_NO_PAD.decode(id).expect("base64url");
    id.try_into().expect("16 bytes")
}

/// What signs tokens of a form at a site of [`Site::of`](crate::site::Site::of).
pub(crate) fn key(purpose: &str) -> Vec<u8> {
    subkey(&SECRET, purpose, ISSUER, AUDIENCE)
}

/// A compact token, rightly signed, with this text for its payload.
pub(crate) fn compact(payload: &str) -> String {
    sign(&format!("ts1.{KEY_ID}.{payload}"), &key("compact"))
}

/// A JWT, rightly signed, with these texts for its header and its payload.
pub(crate) fn jwt(header: &str, payload: &str) -> String {
    jws(header, payload, &key("jwt"))
}

/// The same token with one bit of its mac turned over.
pub(crate) fn with_another_mac(token: &str, bit: usize) -> String {
    let (signed, mac) = token.rsplit_once('.').expect("a mac");
    let mut mac = URL_SAFE_NO_PAD.decode(mac).expect("base64url");
    mac[bit / 8] ^= 1 << (bit % 8);
    format!("{signed}.{}", base64url(&mac))
}
