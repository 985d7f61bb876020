//! Compact tokens: `ts1.<key id>.<payload>.<mac>`.
//!
//! The payload has 38 bytes, with all numbers big-endian: session id (16), generation counter (4), the generation's timestamp
//! (6), the token's time of issue (6), the session's absolute end (6).
//! The MAC is HMAC-SHA256 over everything before its dot.
//! The prefix lets secret scanners find leaked tokens.

use crate::encoding;
use crate::error::Kind;
use crate::generation::Generation;
use crate::id::SessionId;
use crate::keys::{self, Key, KeyRing};

use super::form::{Claims, Minted, Token};

const PREFIX: &str = "ts1.";
const PAYLOAD_BYTES: usize = 38;

pub(super) fn mint(claims: &Claims<'_>, key: &Key) -> Minted {
    let mut payload = [0; PAYLOAD_BYTES];
    payload[..16].copy_from_slice(&claims.id.0);
    payload[16..20].copy_from_slice(&claims.generation.counter.to_be_bytes());
    put_moment(&mut payload[20..26], claims.generation.raised_at);
    put_moment(&mut payload[26..32], claims.now);
    put_moment(&mut payload[32..38], claims.ends_at);

    let mut text = String::with_capacity(PREFIX.len() + key.id.len() + 96);
    text.push_str(PREFIX);
    text.push_str(&key.id);
    text.push('.');
    encoding::encode_onto(&payload, &mut text);
    let mac = keys::sign(&key.compact, &[text.as_bytes()]);
    text.push('.');
    encoding::encode_onto(&mac, &mut text);
    Minted {
        text,
        issued_at: claims.now,
        expires_at: claims.ends_at,
    }
}

/// Parses a token. The MAC is checked before the payload is decoded.
pub(super) fn read(token: &str, ring: &KeyRing) -> Result<Token, Kind> {
    let rest = token.strip_prefix(PREFIX).ok_or(Kind::TokenMalformed)?;
    let (key_id, rest) = rest.split_once('.').ok_or(Kind::TokenMalformed)?;
    let (payload, mac) = rest.split_once('.').ok_or(Kind::TokenMalformed)?;
    if !keys::is_key_id(key_id) {
        return Err(Kind::TokenMalformed);
    }
    // A further dot fails here, because it is not a character of base64url.
    let mac = encoding::decode_exact::<32>(mac).ok_or(Kind::TokenMalformed)?;
    let key = ring.find(key_id).ok_or(Kind::TokenKeyUnknown)?;
    let signed = PREFIX.len() + key_id.len() + 1 + payload.len();
    if !keys::verify(&key.compact, &[&token.as_bytes()[..signed]], &mac) {
        return Err(Kind::TokenMacWrong);
    }
    let payload = encoding::decode_exact::<PAYLOAD_BYTES>(payload).ok_or(Kind::TokenMalformed)?;
    let (id, numbers) = payload.split_at(16);
    let mut session = [0; 16];
    session.copy_from_slice(id);
    let issued_at = number(&numbers[10..16]);
    Ok(Token {
        id: SessionId(session),
        generation: Generation {
            counter: number(&numbers[..4]) as u32,
            raised_at: number(&numbers[4..10]),
        },
        issued_at,
        not_before: issued_at,
        expires_at: number(&numbers[16..22]),
        subject: None,
        data: Vec::new(),
    })
}

/// Writes a timestamp in six bytes, which hold every time that the engine accepts from a clock. A later end is clamped.
fn put_moment(onto: &mut [u8], moment: u64) {
    let moment = moment.min(crate::call::MAXIMUM_TIMESTAMP_MS);
    onto.copy_from_slice(&moment.to_be_bytes()[2..]);
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
