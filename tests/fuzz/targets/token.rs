//! Tokens: what is accepted was signed with a key of the ring and says what a naive reading of it says.
//!
//! The first character of an input says what is done with the rest: `v` verifies it, `c` signs it as the payload of a
//! compact token, `j` signs its lines as header and payload of a JWT, `m` mints from the numbers and texts in it.

#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;
use tessera_fuzz::naive;
use tessera_guest::error::Kind;
use tessera_guest::generation::Generation;
use tessera_guest::keys::{KeyRing, SigningKey};
use tessera_guest::moments::Moments;
use tessera_guest::policy::{Policy, TokenFormat};
use tessera_guest::id::SessionId;
use tessera_guest::token::{self, Claims, Token};

const NOW: u64 = 1_767_225_600_000;
const SECRETS: [(&str, [u8; 32]); 2] = [("k1", [1; 32]), ("k-2", [2; 32])];

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let keys = SECRETS.map(|(id, secret)| SigningKey {
        id: id.into(),
        secret: secret.into(),
    });
    KeyRing::new(&keys, "iss", "aud").unwrap()
});

fn policy(token_format: TokenFormat) -> Policy {
    Policy {
        token_format,
        issuer: "iss".into(),
        audience: "aud".into(),
        ..Policy::default()
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(text) = tessera_fuzz::text(data) else {
        return;
    };
    let mut rest = text.chars();
    match rest.next() {
        Some('v') => {
            check(rest.as_str(), TokenFormat::Compact);
            check(rest.as_str(), TokenFormat::Jwt);
        }
        Some('c') => {
            let signed = format!("ts1.k1.{}", rest.as_str());
            check(&sign(signed, "compact"), TokenFormat::Compact);
        }
        Some('j') => {
            let (header, payload) = rest.as_str().split_once('\n').unwrap_or((rest.as_str(), ""));
            let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
            check(&sign(format!("{header}.{payload}"), "jwt"), TokenFormat::Jwt);
        }
        Some('m') => mint(rest.as_str()),
        _ => {}
    }
});

/// The mac as RFC 2104 and RFC 5869 have it, from the secret on.
fn mac(key_id: &str, purpose: &str, signed: &str) -> Option<Vec<u8>> {
    let (_, secret) = SECRETS.iter().find(|(id, _)| *id == key_id)?;
    let hmac = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let mut info = Vec::new();
    for part in [purpose, "iss", "aud"] {
        info.extend((part.len() as u32).to_be_bytes());
        info.extend(part.as_bytes());
    }
    let extracted = hmac(b"tessera/v1", &[secret]);
    let subkey = hmac(&extracted, &[&info, &[1]]);
    Some(hmac(&subkey, &[signed.as_bytes()]))
}

fn sign(signed: String, purpose: &str) -> String {
    let mac = URL_SAFE_NO_PAD.encode(mac("k1", purpose, &signed).unwrap());
    format!("{signed}.{mac}")
}

fn decode(segment: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(segment).ok()
}

/// The engine's answer is the naive one, and stays so up to the moment that it names.
fn check(text: &str, format: TokenFormat) {
    let policy = policy(format);
    let read = match format {
        TokenFormat::Compact => naive_compact(text),
        TokenFormat::Jwt => naive_jwt(text),
    };
    let leeway = match format {
        TokenFormat::Compact => 0,
        TokenFormat::Jwt => policy.clock_skew_ms,
    };
    let expected = |now: u64| {
        read.as_ref().filter(|token| {
            text.len() <= 4096
                && token.not_before <= now + policy.clock_skew_ms
                && token.expires_at.saturating_add(leeway) > now
        })
    };
    let moments = Moments::at(NOW);
    let verified = token::verify(text, &policy, &RING, &moments);
    assert_eq!(verified.as_ref().ok(), expected(NOW));
    let last = moments.holds_until().saturating_sub(1).min(NOW << 1);
    if last > NOW {
        let again = token::verify(text, &policy, &RING, &Moments::at(last));
        assert_eq!(again.ok().as_ref(), expected(last));
        assert_eq!(expected(NOW), expected(last));
    }
}

fn naive_compact(text: &str) -> Option<Token> {
    let parts: Vec<&str> = text.split('.').collect();
    let ["ts1", key_id, payload, shown] = parts[..] else {
        return None;
    };
    let signed = text.rsplit_once('.')?.0;
    if decode(shown)? != mac(key_id, "compact", signed)? {
        return None;
    }
    let payload: [u8; 38] = decode(payload)?.try_into().ok()?;
    let number = |from: usize, to: usize| {
        let mut bytes = [0; 8];
        bytes[8 - (to - from)..].copy_from_slice(&payload[from..to]);
        u64::from_be_bytes(bytes)
    };
    Some(Token {
        id: SessionId(payload[..16].try_into().unwrap()),
        generation: Generation {
            counter: number(16, 20) as u32,
            raised_at: number(20, 26),
        },
        issued_at: number(26, 32),
        not_before: number(26, 32),
        expires_at: number(32, 38),
        subject: None,
        data: Vec::new(),
    })
}

fn naive_jwt(text: &str) -> Option<Token> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, shown] = parts[..] else {
        return None;
    };
    if header.len() > 341 {
        return None;
    }
    let header = String::from_utf8(decode(header)?).ok()?;
    let header = naive::members(naive::read(&header, true)?.value)?
        .into_iter()
        .map(|(name, value)| Some((name, serde_json::from_str::<String>(value).ok()?)))
        .collect::<Option<Vec<_>>>()?;
    let parameter = |wanted: &str| Some(&header.iter().find(|(name, _)| name == wanted)?.1);
    if header.len() != 3 || parameter("alg")? != "HS256" || parameter("typ")? != "tessera+jwt" {
        return None;
    }
    if decode(shown)? != mac(parameter("kid")?, "jwt", text.rsplit_once('.')?.0)? {
        return None;
    }
    let payload = String::from_utf8(decode(payload)?).ok()?;
    naive_claims(naive::read(&payload, true)?.value)
}

fn naive_claims(payload: &str) -> Option<Token> {
    let members = naive::members(payload)?;
    let claim = |wanted: &str| Some(members.iter().find(|(name, _)| name == wanted)?.1);
    let text = |name: &str| serde_json::from_str::<String>(claim(name)?).ok();
    let moment = |name: &str| serde_json::from_str::<u64>(claim(name)?).ok()?.checked_mul(1000);
    if text("iss")? != "iss" || text("aud")? != "aud" {
        return None;
    }
    let (counter, raised_at) = text("gen")?.split_once('.').map(|(counter, raised_at)| {
        let parsed = (counter.parse::<u32>().ok()?, raised_at.parse::<u64>().ok()?);
        (parsed.0.to_string() == counter && parsed.1.to_string() == raised_at).then_some(parsed)
    })??;
    let issued_at = moment("iat")?;
    let not_before = match claim("nbf") {
        Some(_) => moment("nbf")?.max(issued_at),
        None => issued_at,
    };
    let data = match claim("data") {
        Some(data) => naive::members(data)?
            .into_iter()
            .map(|(name, value)| Some((name, serde_json::from_str(value).ok()?)))
            .collect::<Option<Vec<_>>>()?,
        None => Vec::new(),
    };
    Some(Token {
        id: SessionId(decode(&text("sid")?)?.try_into().ok()?),
        generation: Generation { counter, raised_at },
        issued_at,
        not_before,
        expires_at: moment("exp")?,
        subject: Some(text("sub")?),
        data,
    })
}

/// Mints in both formats from: counter, raised, now, ends, place and byte of a mutation, all on the first line;
/// then a subject and pairs of names and texts, a line each.
fn mint(input: &str) {
    let mut lines = input.split('\n');
    let numbers: Vec<u64> = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(|number| number.parse().unwrap_or(0))
        .collect();
    let [counter, raised_at, now, ends_at, place, byte] = numbers[..] else {
        return;
    };
    let now = now.min(tessera_guest::call::MAXIMUM_TIMESTAMP_MS);
    let (raised_at, ends_at) = (raised_at & ((1 << 48) - 1), ends_at & ((1 << 48) - 1));
    let subject = lines.next();
    let mut data: Vec<(String, String)> = Vec::new();
    while let (Some(name), Some(text)) = (lines.next(), lines.next()) {
        data.push((name.into(), text.into()));
    }
    // A policy names each field once.
    let names: BTreeSet<&String> = data.iter().map(|(name, _)| name).collect();
    if names.len() != data.len() {
        return;
    }
    let claims = Claims {
        id: SessionId(std::array::from_fn(|index| {
            (place >> (index % 8)) as u8 ^ byte as u8
        })),
        generation: Generation {
            counter: counter as u32,
            raised_at,
        },
        now,
        ends_at,
        subject,
        data: &data,
    };
    for format in [TokenFormat::Compact, TokenFormat::Jwt] {
        mint_one(&claims, format, place as usize, byte as u8);
    }
}

fn mint_one(claims: &Claims<'_>, format: TokenFormat, place: usize, byte: u8) {
    let policy = policy(format);
    let is_jwt = format == TokenFormat::Jwt;
    let minted = match token::mint(claims, &policy, &RING) {
        Ok(minted) => minted,
        Err(error) if error.is(Kind::SubjectRequired) => {
            return assert!(is_jwt && claims.subject.is_none());
        }
        Err(error) => {
            let bytes: usize = claims
                .data
                .iter()
                .map(|(name, text)| name.len() + text.len() + 6)
                .sum();
            assert!(error.is(Kind::LimitExceeded) && is_jwt);
            return assert!((claims.subject.map_or(0, str::len) + bytes) * 8 + 512 > 4096);
        }
    };
    let (issued_at, expires_at) = match is_jwt {
        true => (
            claims.now / 1000 * 1000,
            claims.ends_at.min(claims.now + policy.token_lifetime_ms) / 1000 * 1000,
        ),
        false => (claims.now, claims.ends_at),
    };
    assert_eq!((minted.issued_at, minted.expires_at), (issued_at, expires_at));
    let expected = Token {
        id: claims.id,
        generation: claims.generation,
        issued_at,
        not_before: issued_at,
        expires_at,
        subject: claims.subject.filter(|_| is_jwt).map(str::to_owned),
        data: if is_jwt { claims.data.to_vec() } else { Vec::new() },
    };
    let leeway = if is_jwt { policy.clock_skew_ms } else { 0 };
    let verify = |text: &str| token::verify(text, &policy, &RING, &Moments::at(claims.now));
    let verified = verify(&minted.text);
    if expires_at + leeway > claims.now {
        assert_eq!(verified.unwrap(), expected);
    } else {
        assert!(verified.unwrap_err().is(Kind::Expired));
    }
    // One byte is another, or is gone, or is there once more.
    let mut bytes = minted.text.clone().into_bytes();
    let place = place % bytes.len();
    let byte = byte & 0x7f;
    if bytes[place] == byte {
        bytes.remove(place);
    } else if byte == b'+' {
        bytes.insert(place, bytes[place]);
    } else {
        bytes[place] = byte;
    }
    let forged = String::from_utf8(bytes).unwrap();
    if forged != minted.text {
        // Nothing of it is believed, its dates neither.
        assert!(!verify(&forged).unwrap_err().is(Kind::Expired));
    }
}
