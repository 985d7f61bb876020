//! JSON Web Tokens (RFC 7519) in JWS compact serialisation (RFC 7515), with HS256 (RFC 7518) only.
//!
//! A strict, bounded scanner reads the header before the MAC is checked. The payload is read only after the check.

use crate::encoding;
use crate::error::{Error, Kind};
use crate::generation::Generation;
use crate::id::SessionId;
use crate::json::{self, Names, Scanner};
use crate::keys::{self, Key, KeyRing};
use crate::policy::Policy;

use super::form::{Claims, Minted, Token};

const TYPE: &str = "tessera+jwt";
const ALGORITHM: &str = "HS256";
/// The maximum length of a decoded header. The engine's own headers have at most 77 bytes.
const MAXIMUM_HEADER_BYTES: usize = 256;

pub(super) fn mint(claims: &Claims<'_>, policy: &Policy, key: &Key) -> Result<Minted, Error> {
    let subject = claims.subject.ok_or(Kind::SubjectRequired)?;
    let issued = claims.now / 1000;
    let expires = claims
        .now
        .saturating_add(policy.token_lifetime_ms)
        .min(claims.ends_at)
        / 1000;

    let header = [
        "{\"alg\":\"",
        ALGORITHM,
        "\",\"typ\":\"",
        TYPE,
        "\",\"kid\":\"",
        &key.id,
        "\"}",
    ]
    .concat();
    let mut payload = String::from("{\"iss\":");
    json::push_string(&policy.issuer, &mut payload);
    payload.push_str(",\"aud\":");
    json::push_string(&policy.audience, &mut payload);
    payload.push_str(",\"sub\":");
    json::push_string(subject, &mut payload);
    payload.push_str(",\"sid\":\"");
    encoding::encode_onto(&claims.id.0, &mut payload);
    let Generation { counter, raised_at } = claims.generation;
    for (before, number) in [
        ("\",\"gen\":\"", counter.into()),
        (".", raised_at),
        ("\",\"iat\":", issued),
        (",\"exp\":", expires),
    ] {
        payload.push_str(before);
        json::push_unsigned(number, &mut payload);
    }
    payload.push_str(",\"data\":{");
    for (index, (name, text)) in claims.data.iter().enumerate() {
        if index > 0 {
            payload.push(',');
        }
        json::push_string(name, &mut payload);
        payload.push(':');
        json::push_string(text, &mut payload);
    }
    payload.push_str("}}");

    let mut text = encoding::encode(header.as_bytes());
    text.push('.');
    encoding::encode_onto(payload.as_bytes(), &mut text);
    let mac = keys::sign(&key.jwt, &[text.as_bytes()]);
    text.push('.');
    encoding::encode_onto(&mac, &mut text);
    Ok(Minted {
        text,
        issued_at: issued * 1000,
        expires_at: expires * 1000,
    })
}

pub(super) fn read(token: &str, ring: &KeyRing, policy: &Policy) -> Result<Token, Kind> {
    let mut segments = token.split('.');
    let (Some(header), Some(payload), Some(mac), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(Kind::TokenMalformed);
    };
    let mac = encoding::decode_exact::<32>(mac).ok_or(Kind::TokenMalformed)?;
    if header.len() > MAXIMUM_HEADER_BYTES * 4 / 3 {
        return Err(Kind::TokenHeaderRefused);
    }
    let key_id = read_header(&decode_text(header).ok_or(Kind::TokenMalformed)?)?;
    let key = ring.find(&key_id).ok_or(Kind::TokenKeyUnknown)?;
    if !keys::verify(
        &key.jwt,
        &[&token.as_bytes()[..header.len() + 1 + payload.len()]],
        &mac,
    ) {
        return Err(Kind::TokenMacWrong);
    }
    let payload = decode_text(payload).ok_or(Kind::TokenMalformed)?;
    let claims = read_payload(&payload).ok_or(Kind::TokenMalformed)?;
    if claims.issuer != policy.issuer {
        return Err(Kind::TokenIssuerWrong);
    }
    if claims.audience != policy.audience {
        return Err(Kind::TokenAudienceWrong);
    }
    Ok(claims.token)
}

fn decode_text(segment: &str) -> Option<String> {
    String::from_utf8(encoding::decode(segment)?).ok()
}

/// Checks a header and returns its key id.
///
/// `alg` and `typ` are compared with fixed values, and never select an algorithm.
/// Any other parameter (`crit`, `jwk`, …) is refused.
fn read_header(header: &str) -> Result<String, Kind> {
    let mut scanner = Scanner::new(header);
    let mut key_id = None;
    let (mut algorithm, mut kind) = (false, false);
    let parameters = each_member(&mut scanner, |name, scanner| {
        let text = scanner.text().ok()?;
        match name {
            "alg" => (!core::mem::replace(&mut algorithm, true) && text == ALGORITHM).then_some(()),
            "typ" => (!core::mem::replace(&mut kind, true) && text == TYPE).then_some(()),
            "kid" => key_id.replace(text.into_owned()).is_none().then_some(()),
            _ => None,
        }
    });
    if parameters.is_none() || scanner.end().is_err() || !algorithm || !kind {
        return Err(Kind::TokenHeaderRefused);
    }
    match key_id {
        Some(id) if keys::is_key_id(&id) => Ok(id),
        _ => Err(Kind::TokenHeaderRefused),
    }
}

struct Payload {
    issuer: String,
    audience: String,
    token: Token,
}

/// Reads the claims of a payload whose MAC was verified. Unknown claims are ignored; duplicate claims are refused.
fn read_payload(payload: &str) -> Option<Payload> {
    json::check(payload).ok()?;
    let mut scanner = Scanner::new(payload);
    let (mut issuer, mut audience, mut subject, mut id, mut generation) = (None, None, None, None, None);
    let (mut issued, mut expires, mut not_before) = (None, None, None);
    let mut data = Vec::new();
    each_member(&mut scanner, |name, scanner| {
        match name {
            "iss" => issuer = Some(scanner.text().ok()?.into_owned()),
            "aud" => audience = Some(scanner.text().ok()?.into_owned()),
            "sub" => subject = Some(scanner.text().ok()?.into_owned()),
            "sid" => id = Some(SessionId(encoding::decode_exact(&scanner.text().ok()?)?)),
            "gen" => generation = Some(read_generation(&scanner.text().ok()?)?),
            "iat" => issued = Some(scanner.unsigned().ok()?.checked_mul(1000)?),
            "exp" => expires = Some(scanner.unsigned().ok()?.checked_mul(1000)?),
            "nbf" => not_before = Some(scanner.unsigned().ok()?.checked_mul(1000)?),
            "data" => each_member(scanner, |name, scanner| {
                data.push((name.to_owned(), scanner.text().ok()?.into_owned()));
                Some(())
            })?,
            _ => {
                scanner.value(Names::Trusted).ok()?;
            }
        }
        Some(())
    })?;
    let issued_at = issued?;
    Some(Payload {
        issuer: issuer?,
        audience: audience?,
        token: Token {
            id: id?,
            generation: generation?,
            issued_at,
            not_before: not_before.map_or(issued_at, |moment: u64| moment.max(issued_at)),
            expires_at: expires?,
            subject: Some(subject?),
            data,
        },
    })
}

fn read_generation(text: &str) -> Option<Generation> {
    let (counter, raised_at) = text.split_once('.')?;
    Some(Generation {
        counter: canonical(counter)?,
        raised_at: canonical(raised_at)?,
    })
}

/// Parses a number without a sign or leading zeros, so that each number has exactly one text.
fn canonical<N: core::str::FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Calls `member` with each name of an object; `member` reads the value.
fn each_member<'a>(
    scanner: &mut Scanner<'a>,
    mut member: impl FnMut(&str, &mut Scanner<'a>) -> Option<()>,
) -> Option<()> {
    scanner.expect(b'{').ok()?;
    if scanner.accept(b'}') {
        return Some(());
    }
    loop {
        let name = scanner.text().ok()?;
        scanner.expect(b':').ok()?;
        member(&name, scanner)?;
        if !scanner.accept(b',') {
            return scanner.expect(b'}').ok();
        }
    }
}
