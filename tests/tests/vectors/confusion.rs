//! One thing shown for another: forms of token, subkeys, issuers and audiences, CSRF tokens, key ids.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tessera::store::MemoryStore;
use tessera::{SessionsBuilder, TokenFormat};

use super::independent::{base64url, compact, hmac, jws, sign, subkey};
use super::login::{AUDIENCE, HEADER, ISSUER, KEY_ID, Login, SECRET, at_once, builder, judge};
use super::tally::Tally;

#[test]
fn tokens_made_by_other_code_are_the_engine_s_own_to_the_byte() {
    let mut tally = Tally::of("tokens made anew");
    let jwt = Login::new(TokenFormat::Jwt);
    tally.expect("jwt", &jwt.token, &jwt.jws(HEADER, &jwt.payload()));
    let login = Login::new(TokenFormat::Compact);
    let made = compact(KEY_ID, &login.bytes(2), &login.key("compact"));
    tally.expect("compact", &login.token, &made);
    tally.finish(2);
}

#[test]
fn an_engine_accepts_its_own_form_of_token_only() {
    let mut tally = Tally::of("the other form of token");
    let (jwt, opaque) = (Login::new(TokenFormat::Jwt), Login::new(TokenFormat::Compact));
    for (name, login, token) in [
        ("a compact token for a JWT", &jwt, &opaque.token),
        ("a JWT for a compact token", &opaque, &jwt.token),
        ("a JWT after the prefix", &opaque, &format!("ts1.{}", jwt.token)),
        // Three segments, as a JWT has; but the key id, as base64url, is bytes that are no text.
        (
            "a compact token without its prefix",
            &jwt,
            &opaque.token["ts1.".len()..].to_owned(),
        ),
    ] {
        tally.expect(name, "Malformed", &login.judge(token));
    }
    tally.finish(4);
}

#[test]
fn a_subkey_signs_nothing_but_what_it_is_for() {
    let mut tally = Tally::of("subkeys for other purposes");
    let (jwt, opaque) = (Login::new(TokenFormat::Jwt), Login::new(TokenFormat::Compact));
    // What a gateway is given.
    let exported = opaque.sessions.jwt_key(KEY_ID).unwrap();
    for (name, key, compact_answer, jwt_answer) in [
        ("compact", opaque.key("compact"), "accepted", "WrongMac"),
        ("jwt", opaque.key("jwt"), "WrongMac", "accepted"),
        ("exported", exported, "WrongMac", "accepted"),
        ("csrf", opaque.key("csrf"), "WrongMac", "WrongMac"),
        ("the secret", SECRET.to_vec(), "WrongMac", "WrongMac"),
    ] {
        let token = compact(KEY_ID, &opaque.bytes(2), &key);
        tally.expect(&format!("{name}, compact"), compact_answer, &opaque.judge(&token));
        let token = jws(HEADER, &jwt.payload(), &key);
        tally.expect(&format!("{name}, jwt"), jwt_answer, &jwt.judge(&token));
    }
    tally.finish(5 * 2);
}

/// A CSRF token is a mask and a mac under it. The page shows it; with it nobody makes a token.
#[test]
fn a_csrf_token_is_no_token_and_no_part_of_one() {
    let mut tally = Tally::of("CSRF tokens shown as tokens");
    for format in [TokenFormat::Jwt, TokenFormat::Compact] {
        let login = Login::new(format);
        let csrf = login.session.csrf_token().unwrap();
        login.session.check_csrf_token(&csrf).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&csrf).unwrap();
        let (mask, masked) = bytes.split_at(32);
        let mac: Vec<u8> = mask.iter().zip(masked).map(|(a, b)| a ^ b).collect();
        let (signed, own) = login.token.rsplit_once('.').unwrap();
        for (name, token, wanted) in [
            ("itself", csrf.clone(), "Malformed"),
            ("with a prefix", format!("ts1.{KEY_ID}.{csrf}"), "Malformed"),
            ("as the mac", format!("{signed}.{csrf}"), "Malformed"),
            ("its mac", format!("{signed}.{}", base64url(&mac)), "WrongMac"),
            ("its mask", format!("{signed}.{}", base64url(mask)), "WrongMac"),
        ] {
            tally.expect(name, wanted, &login.judge(&token));
        }
        // Nor the other way round: a token, its mac, and a mac of zeros under two masks.
        let whole = &login.token;
        for token in [
            whole,
            own,
            &base64url(&[0; 64]),
            &base64url(&[mask, mask].concat()),
        ] {
            let answer = login.session.check_csrf_token(token);
            let answer = answer.map_or_else(|error| error.to_string(), |()| "accepted".into());
            tally.expect("as a CSRF token", "the CSRF token is refused", &answer);
        }
        tally.expect("control", "accepted", &login.judge(&login.token));
    }
    tally.finish(2 * (5 + 4 + 1));
}

#[test]
fn a_token_of_another_issuer_audience_or_secret_has_a_wrong_mac() {
    let mut tally = Tally::of("other issuers, audiences and secrets");
    let jwt = Login::new(TokenFormat::Jwt);
    let opaque = Login::new(TokenFormat::Compact);
    let mut other_secret = SECRET;
    other_secret[31] ^= 1;
    let longer = [&SECRET[..], &[0]].concat();
    let whole = format!("{ISSUER}{AUDIENCE}");
    for (name, secret, issuer, audience) in [
        ("another issuer", &SECRET[..], "https://other.example", AUDIENCE),
        ("another audience", &SECRET, ISSUER, "payments"),
        ("exchanged", &SECRET, AUDIENCE, ISSUER),
        (
            "the same letters, parted elsewhere",
            &SECRET,
            &whole[..whole.len() - 1],
            "s",
        ),
        ("nothing", &SECRET, "", ""),
        ("another bit of the secret", &other_secret, ISSUER, AUDIENCE),
        ("a zero more in the secret", &longer, ISSUER, AUDIENCE),
    ] {
        let token = jws(HEADER, &jwt.payload(), &subkey(secret, "jwt", issuer, audience));
        tally.expect(name, "WrongMac", &jwt.judge(&token));
        let key = subkey(secret, "compact", issuer, audience);
        let token = compact(KEY_ID, &opaque.bytes(2), &key);
        tally.expect(name, "WrongMac", &opaque.judge(&token));
    }
    tally.finish(7 * 2);
}

/// Not forged here: minted by an engine of the same secret that is configured for others.
#[test]
fn engines_for_other_issuers_and_audiences_refuse_each_other_s_tokens() {
    let mut tally = Tally::of("engines for others");
    let renamed = |format, issuer: &'static str, audience: &'static str| -> SessionsBuilder {
        builder(format).signing_key(KEY_ID, SECRET).policy(|policy| {
            policy.issuer = issuer.into();
            policy.audience = audience.into();
        })
    };
    for format in [TokenFormat::Jwt, TokenFormat::Compact] {
        let ours = Login::new(format);
        for (issuer, audience) in [("https://other.example", AUDIENCE), (ISSUER, "payments")] {
            let theirs = renamed(format, issuer, audience)
                .build(MemoryStore::new())
                .unwrap();
            let session = theirs.create();
            let token = at_once(session.authenticate("alice")).unwrap().token.unwrap();
            tally.expect("theirs, at home", "accepted", &judge(&theirs, &token));
            tally.expect("theirs", "WrongMac", &ours.judge(&token));
            tally.expect("ours", "WrongMac", &judge(&theirs, &ours.token));
        }
    }
    tally.finish(2 * 2 * 3);
}

/// The id says which key of the ring is asked; no other is tried.
#[test]
fn a_key_id_cannot_be_exchanged_for_another_of_the_ring() {
    let mut tally = Tally::of("key ids exchanged within the ring");
    let second = [8; 32];
    for (format, purpose) in [(TokenFormat::Jwt, "jwt"), (TokenFormat::Compact, "compact")] {
        let ring = builder(format)
            .signing_key(KEY_ID, SECRET)
            .signing_key("second", second);
        let sessions = ring.build(MemoryStore::new()).unwrap();
        let session = sessions.create();
        let token = at_once(session.authenticate("alice")).unwrap().token.unwrap();
        let (signed, _) = token.rsplit_once('.').unwrap();
        let renamed = match format {
            TokenFormat::Jwt => {
                let header = base64url(HEADER.replace("test", "second").as_bytes());
                format!("{header}.{}", signed.split_once('.').unwrap().1)
            }
            TokenFormat::Compact => signed.replacen("test", "second", 1),
        };
        let (first, second) = (
            subkey(&SECRET, purpose, ISSUER, AUDIENCE),
            subkey(&second, purpose, ISSUER, AUDIENCE),
        );
        tally.expect("the first", "accepted", &judge(&sessions, &sign(signed, &first)));
        tally.expect(
            "the second",
            "accepted",
            &judge(&sessions, &sign(&renamed, &second)),
        );
        tally.expect("exchanged", "WrongMac", &judge(&sessions, &sign(signed, &second)));
        tally.expect(
            "exchanged",
            "WrongMac",
            &judge(&sessions, &sign(&renamed, &first)),
        );
        let kept = format!("{renamed}.{}", base64url(&hmac(&first, signed.as_bytes())));
        tally.expect("renamed only", "WrongMac", &judge(&sessions, &kept));
    }
    tally.finish(2 * 5);
}
