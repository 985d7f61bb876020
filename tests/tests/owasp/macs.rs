//! What is checked of a token, in which order, and until when it is good.

use tessera::TokenFormat;

use crate::client::Answer;
use crate::independent::base64url;
use crate::site::{AUDIENCE, ISSUER, Site};
use crate::tokens::{HEADER, bytes, claims, compact, jwt, key, with_another_mac};

/// What the service says of a token.
#[track_caller]
fn told(site: &Site, token: &str) -> String {
    site.browser().get("/arrival", token).text
}

/// ASVS 5.0, 9.1.1: the mac is validated before the contents are accepted. ASVS 4, 3.5.3.
///
/// Each of these payloads is refused for what it is, where its mac is right: only who holds the key can make one. Where the mac
/// is wrong, that is all that is told of any of them, so nobody else has the payload read.
#[test]
fn the_mac_is_checked_before_anything_is_parsed() {
    let site = Site::of(TokenFormat::Compact);
    let live = site.browser().login("alice");
    let short = base64url(&bytes(&live, 2)[1..]);
    let good = live.split('.').nth(2).unwrap();
    for payload in [
        "",
        "A",
        "****",
        "not base64url",
        "A===",
        &short,
        &good[..good.len() - 1],
        &format!("{good}AAAA"),
        &good.replace(|_: char| true, "/"),
    ] {
        let signed = compact(payload);
        assert_eq!(told(&site, &signed), "token-malformed", "{payload}");
        for bit in [0, 100, 255] {
            let wrong = with_another_mac(&signed, bit);
            assert_eq!(told(&site, &wrong), "token-mac-wrong", "{payload}");
        }
    }

    let site = Site::of(TokenFormat::Jwt);
    let live = site.browser().login("alice");
    let good = String::from_utf8(bytes(&live, 1)).unwrap();
    for (payload, reason) in [
        ("", "token-malformed"),
        ("{", "token-malformed"),
        ("{}", "token-malformed"),
        ("[]", "token-malformed"),
        ("null", "token-malformed"),
        (&"[".repeat(1000), "token-malformed"),
        (&good.replace("\"sid\"", "\"sid\":1,\"sid\""), "token-malformed"),
        (
            &good.replace(ISSUER, "https://other.example"),
            "token-issuer-wrong",
        ),
        (&good.replace(AUDIENCE, "other"), "token-audience-wrong"),
        (&good.replace("\"exp\":", "\"exp\":1,\"was\":"), "expired"),
    ] {
        let signed = jwt(HEADER, payload);
        assert_eq!(told(&site, &signed), reason, "{payload}");
        for bit in [0, 100, 255] {
            let wrong = with_another_mac(&signed, bit);
            assert_eq!(told(&site, &wrong), "token-mac-wrong", "{payload}");
        }
    }
    assert_eq!(
        told(&site, &jwt(HEADER, &good)),
        "live",
        "the payloads are what was refused"
    );
}

/// ASVS 5.0, 9.1.2: algorithms on an allowlist, without `none`; and 9.1.3: no key or place of one from the token. RFC 8725,
/// sections 2.1 and 3.1.
///
/// All are signed with the right key, so that nothing is wrong with them but what their header says.
#[test]
fn the_algorithm_is_pinned() {
    let site = Site::of(TokenFormat::Jwt);
    let live = site.browser().login("alice");
    let payload = String::from_utf8(bytes(&live, 1)).unwrap();
    assert_eq!(told(&site, &jwt(HEADER, &payload)), "live");
    for algorithm in [
        "none", "None", "NONE", "", "hs256", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "dir",
    ] {
        let header = HEADER.replace("HS256", algorithm);
        let signed = jwt(&header, &payload);
        assert_eq!(told(&site, &signed), "token-header-refused", "{algorithm}");
        // As libraries were once made to accept it: with no mac at all.
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        assert_eq!(
            told(&site, &format!("{unsigned}.")),
            "token-malformed",
            "{algorithm}"
        );
    }
    for more in [
        r#","jwk":{"kty":"oct","k":"AAAA"}}"#,
        r#","jku":"https://evil.example/keys"}"#,
        r#","x5u":"https://evil.example/keys"}"#,
        r#","alg":"none"}"#,
        r#","crit":["exp"]}"#,
    ] {
        let header = format!("{}{more}", HEADER.trim_end_matches('}'));
        assert_eq!(
            told(&site, &jwt(&header, &payload)),
            "token-header-refused",
            "{header}"
        );
    }
    // Nor is the form of token chosen by the token.
    let other = Site::of(TokenFormat::Compact);
    assert_eq!(told(&other, &live), "token-malformed");
    assert_eq!(told(&site, &other.browser().login("alice")), "token-malformed");
}

/// ASVS 5.0, 9.2.1: accepted only within its span of validity, by `nbf` and `exp`. RFC 7519, sections 4.1.4 and 4.1.5: not
/// before the one, and not on or after the other.
///
/// Where the clocks of the hosts may not differ, to the millisecond; where they may, by so much and no more.
#[test]
fn a_token_is_good_from_its_not_before_until_its_expiry() {
    let site = Site::of(TokenFormat::Jwt);
    let live = site.browser().login("alice");
    let ends = claims(&live)["exp"].as_u64().unwrap();
    let begins = claims(&live)["iat"].as_u64().unwrap();
    let payload = String::from_utf8(bytes(&live, 1)).unwrap();
    let (from, until) = (begins + 60, begins + 120);
    assert!(until < ends);
    let span = format!("\"nbf\":{from},\"exp\":{until},\"was\":");
    let token = jwt(HEADER, &payload.replace("\"exp\":", &span));
    site.wait_millis(59_999);
    assert_eq!(told(&site, &token), "token-not-yet-valid");
    site.browser()
        .get("/me", &token)
        .refused(401, "token-not-yet-valid");
    site.wait_millis(1);
    assert_eq!(told(&site, &token), "live");
    site.wait_millis(59_999);
    assert_eq!(told(&site, &token), "live");
    site.wait_millis(1);
    assert_eq!(told(&site, &token), "expired");
    assert_eq!(told(&site, &live), "live", "the session lives");
    // The engine's own, which carries no `nbf`, ends at its `exp` too.
    site.wait_millis((ends - until) * 1000 - 1);
    assert_eq!(told(&site, &live), "live");
    site.wait_millis(1);
    assert_eq!(told(&site, &live), "expired");
}

/// The same of compact tokens, which carry the moment of their issue and the session's absolute end.
#[test]
fn a_compact_token_from_the_future_is_not_good_yet() {
    const SKEW: u64 = 5_000;
    for skew in [0, SKEW] {
        let site = Site::with(|sessions| {
            sessions.policy(|policy| {
                (policy.issuer, policy.audience) = (ISSUER.into(), AUDIENCE.into());
                policy.clock_skew = std::time::Duration::from_millis(skew);
            })
        });
        let live = site.browser().login("alice");
        let issued = |later: u64| {
            let mut payload = bytes(&live, 2);
            let at = crate::fixture::START + later;
            payload[26..32].copy_from_slice(&at.to_be_bytes()[2..]);
            compact(&base64url(&payload))
        };
        assert_eq!(told(&site, &issued(skew)), "live");
        assert_eq!(told(&site, &issued(skew + 1)), "token-not-yet-valid");
        site.wait_millis(1);
        assert_eq!(told(&site, &issued(skew + 1)), "live");
    }
}

/// All of an answer but the second in which it was made.
fn all_but_the_date(answer: Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers;
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
    (answer.status, headers, answer.text)
}

/// ASVS 5.0, 11.2.4: no comparison of secrets ends early. What the *time* of a refusal tells is measured by
/// `cargo xtask timing`, with its figures in `SECURITY.md`; no assertion here is about time.
///
/// What the answer itself tells: the same, to the last byte, whichever bit of the mac is wrong, or all of them.
#[test]
fn a_refusal_does_not_tell_where_a_mac_is_wrong() {
    for format in [TokenFormat::Compact, TokenFormat::Jwt] {
        let site = Site::of(format);
        let mut browser = site.browser();
        let live = browser.login("alice");
        let (signed, _) = live.rsplit_once('.').unwrap();
        let all_wrong = format!("{signed}.{}", base64url(&[0; 32]));
        let refused = all_but_the_date(browser.get("/me", &all_wrong));
        assert!(
            refused.0 == 401 && refused.2.contains("token-mac-wrong"),
            "{refused:?}"
        );
        for bit in 0..256 {
            let answer = browser.get("/me", &with_another_mac(&live, bit));
            assert_eq!(all_but_the_date(answer), refused, "bit {bit}");
        }
        assert_eq!(browser.subject(&live).as_deref(), Some("alice"));
    }
    // The key of the one form is none of the other's.
    assert_ne!(key("compact"), key("jwt"));
}
