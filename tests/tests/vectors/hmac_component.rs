//! Macs through the component: a published key is the signing secret, tokens are made by other code, and damaged as the cases are.
//!
//! The published message cannot be a token's signing input, so it stands in a claim that the engine passes over, and the mac of
//! each case is not compared but what was done to it is done to the token's.

use std::collections::BTreeSet;

use tessera::store::MemoryStore;
use tessera::{ConfigurationError, TokenFormat};

use super::independent::{base64url, hmac};
use super::login::{HEADER, KEY_ID, Login, builder};
use super::tally::Tally;
use super::{macs, rfc4231};

/// Both forms of token of one session under a secret.
struct Pair {
    jwt: Login,
    compact: Login,
}

impl Pair {
    fn under(secret: &[u8]) -> Self {
        Self {
            jwt: Login::under(TokenFormat::Jwt, secret),
            compact: Login::under(TokenFormat::Compact, secret),
        }
    }

    /// The engine that judges, what it signs, and the right mac of it.
    fn signed(&self, message: &[u8]) -> [(&'static str, &Login, String, [u8; 32]); 2] {
        let claim = format!("\"{}\"", base64url(message));
        let payload = self.jwt.payload_with("message", Some(&claim));
        let jwt = format!(
            "{}.{}",
            base64url(HEADER.as_bytes()),
            base64url(payload.as_bytes())
        );
        let compact = format!("ts1.{KEY_ID}.{}", self.compact.segment(2));
        [("jwt", &self.jwt, jwt), ("compact", &self.compact, compact)].map(|(form, login, signed)| {
            let mac = hmac(&login.key(form), signed.as_bytes());
            (form, login, signed, mac)
        })
    }
}

fn token(signed: &str, mac: &[u8]) -> String {
    format!("{signed}.{}", base64url(mac))
}

#[test]
fn keys_of_rfc_4231_that_are_long_enough_make_tokens() {
    let mut tally = Tally::of("RFC 4231, keys of 131 bytes, through the component");
    for case in rfc4231::cases().iter().filter(|case| case.key.len() >= 32) {
        let pair = Pair::under(&case.key);
        for (form, login, signed, mac) in pair.signed(&case.message) {
            let name = format!("case {}, {form}", case.number);
            tally.expect(&name, "accepted", &login.judge(&token(&signed, &mac)));
            // The published mac is right for another text, and under the secret itself.
            let published = hmac(&case.key, &case.message);
            tally.expect(&name, "WrongMac", &login.judge(&token(&signed, &published)));
            // As case 5 is cut.
            tally.expect(&name, "Malformed", &login.judge(&token(&signed, &mac[..16])));
        }
    }
    tally.finish(2 * 2 * 3);
}

#[test]
fn tokens_under_wycheproof_s_keys_are_accepted_and_refused_as_its_macs_are() {
    let (mut accepted, mut refused) = (
        Tally::of("Wycheproof, right macs through the component"),
        Tally::of("Wycheproof, damaged or cut macs through the component"),
    );
    for case in macs::cases().iter().filter(|case| case.key.len() >= 32) {
        let pair = Pair::under(&case.key);
        for (form, login, signed, mac) in pair.signed(&case.message) {
            let name = format!("case {} ({}), {form}", case.number, case.comment);
            accepted.expect(&name, "accepted", &login.judge(&token(&signed, &mac)));
            let damaged = case.damage(mac);
            // Half of the cases cut the mac to 128 bits; that is refused by its length, were it right or not.
            if damaged.len() < 32 {
                refused.expect(&name, "Malformed", &login.judge(&token(&signed, &damaged)));
            }
            // And the same damage to a whole mac.
            if !case.valid {
                let whole = [&damaged[..], &mac[damaged.len()..]].concat();
                refused.expect(&name, "WrongMac", &login.judge(&token(&signed, &whole)));
            }
        }
    }
    accepted.finish(2 * 168);
    refused.finish(2 * (84 + 108));
}

#[test]
fn published_keys_that_are_too_short_are_no_secrets() {
    let mut tally = Tally::of("published keys of fewer than 32 bytes are refused");
    let mut keys: BTreeSet<_> = macs::cases().into_iter().map(|case| case.key).collect();
    keys.extend(rfc4231::cases().into_iter().map(|case| case.key));
    for key in keys.iter().filter(|key| key.len() < 32) {
        let built = builder(TokenFormat::Compact)
            .signing_key(KEY_ID, key.clone())
            .build(MemoryStore::new());
        let answer = match built {
            Err(ConfigurationError::InvalidKey { key, .. }) => key,
            other => format!("{other:?}"),
        };
        tally.expect(&format!("{} bytes", key.len()), "keys[0].secret", &answer);
    }
    tally.finish(6 + 5);
}

/// The key that a gateway is given is the one worked out here.
#[test]
fn the_exported_key_is_the_subkey_for_jwts() {
    let mut tally = Tally::of("exported keys");
    let keys: BTreeSet<_> = macs::cases().into_iter().map(|case| case.key).collect();
    for key in keys.iter().filter(|key| key.len() >= 32) {
        for format in [TokenFormat::Jwt, TokenFormat::Compact] {
            let login = Login::under(format, key);
            let exported = login.sessions.jwt_key(KEY_ID).unwrap();
            tally.expect("exported", &base64url(&login.key("jwt")), &base64url(&exported));
        }
    }
    tally.finish(2 * 61);
}
