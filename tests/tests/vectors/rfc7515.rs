//! The example of RFC 7515, appendix A.1, which is that of RFC 7519, section 3.1; and other published tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use tessera::TokenFormat;
use tessera_guest::keys;

use super::independent::{base64url, hmac, jws, sign};
use super::login::{HEADER, Login};
use super::tally::Tally;

const HEADER_A1: &str = "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}";
const PAYLOAD_A1: &str = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
const SIGNED_A1: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
    .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const MAC_A1: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const KEY_A1: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// RFC 7515, appendix A.3: ES256, whose signature has 64 bytes.
const A3: &str = "eyJhbGciOiJFUzI1NiJ9\
    .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
    .DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515, appendix A.5, and RFC 7519, section 6.1: without a signature.
const A5: &str = "eyJhbGciOiJub25lIn0\
    .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
/// RFC 7515, appendix E: `crit` with an extension that nobody knows.
const E: &str = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNv\
    bS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.";

fn key() -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(KEY_A1).unwrap()
}

/// Of the component, only its own headers reach the mac; the construction is proved with the engine's code, natively.
#[test]
fn the_signing_input_and_mac_of_appendix_a1_are_worked_out() {
    let mut tally = Tally::of("RFC 7515 A.1, step by step, natively");
    let (header, payload) = SIGNED_A1.split_once('.').unwrap();
    for encode in [base64url, tessera_guest::encoding::encode] {
        tally.expect("header", header, &encode(HEADER_A1.as_bytes()));
        tally.expect("payload", payload, &encode(PAYLOAD_A1.as_bytes()));
    }
    let signer = Hmac::<Sha256>::new_from_slice(&key()).unwrap();
    let mac = keys::sign(&signer, &[SIGNED_A1.as_bytes()]);
    tally.expect("mac, the engine's", MAC_A1, &base64url(&mac));
    tally.expect(
        "mac, this test's",
        MAC_A1,
        &base64url(&hmac(&key(), SIGNED_A1.as_bytes())),
    );
    let whole = jws(HEADER_A1, PAYLOAD_A1, &key());
    tally.expect("token", &format!("{SIGNED_A1}.{MAC_A1}"), &whole);
    assert!(keys::verify(&signer, &[SIGNED_A1.as_bytes()], &mac));
    tally.finish(7);
}

#[test]
fn published_tokens_are_refused_even_under_their_own_key() {
    let mut tally = Tally::of("published tokens, as they are");
    let login = Login::under(TokenFormat::Jwt, &key());
    tally.expect("control", "accepted", &login.judge(&login.token));
    // Whole in form and mac; its type is another, and it names no key.
    let a1 = format!("{SIGNED_A1}.{MAC_A1}");
    tally.expect("RFC 7515 A.1, RFC 7519 3.1", "HeaderRefused", &login.judge(&a1));
    for (name, token) in [
        ("RFC 7515 A.3", A3),
        ("RFC 7515 A.5, RFC 7519 6.1", A5),
        ("RFC 7515 E", E),
    ] {
        tally.expect(name, "Malformed", &login.judge(token));
    }
    // Nor with a mac of 32 bytes, right under the key for JWTs: it is the header that is refused.
    for (name, token) in [("A.3", A3), ("A.5", A5), ("E", E)] {
        let (signed, _) = token.rsplit_once('.').unwrap();
        let token = sign(signed, &login.key("jwt"));
        tally.expect(name, "HeaderRefused", &login.judge(&token));
    }
    tally.finish(1 + 1 + 3 + 3);
}

/// From the RFC's token to one of ours, one difference at a time: each is what the refusal is for.
#[test]
fn the_example_becomes_acceptable_step_by_step() {
    let mut tally = Tally::of("RFC 7515 A.1, changed step by step");
    let login = Login::under(TokenFormat::Jwt, &key());
    let (ours, payload) = (login.key("jwt"), login.payload());
    // The RFC breaks its lines with CR LF and a space; so do these.
    let broken = |text: &str| text.replace(",\"", ",\r\n \"");
    let with_root = broken(&login.payload_with("http://example.com/is_root", Some("true")));
    let steps: [(&str, String, &str, &[u8], &str); 8] = [
        (
            "another mac",
            HEADER_A1.into(),
            PAYLOAD_A1,
            &ours,
            "HeaderRefused",
        ),
        (
            "our type, no key named",
            HEADER_A1.replace("JWT", "tessera+jwt"),
            PAYLOAD_A1,
            &ours,
            "HeaderRefused",
        ),
        (
            "a key named that is not in the ring",
            HEADER.replace("test", "joe"),
            PAYLOAD_A1,
            &ours,
            "UnknownKey",
        ),
        (
            "our header, signed with the secret itself",
            HEADER.into(),
            PAYLOAD_A1,
            &key(),
            "WrongMac",
        ),
        (
            "our header and key, the RFC's claims",
            HEADER.into(),
            PAYLOAD_A1,
            &ours,
            "Malformed",
        ),
        (
            "our claims, signed with the secret itself",
            HEADER.into(),
            &payload,
            &key(),
            "WrongMac",
        ),
        ("our claims", HEADER.into(), &payload, &ours, "accepted"),
        (
            "our claims and the RFC's own, with its line breaks",
            broken(r#"{"typ":"tessera+jwt","alg":"HS256","kid":"test"}"#),
            &with_root,
            &ours,
            "accepted",
        ),
    ];
    for (name, header, payload, key, wanted) in steps {
        tally.expect(name, wanted, &login.judge(&jws(&header, payload, key)));
    }
    assert!(with_root.contains("\r\n \"http://example.com/is_root\":true"));
    tally.finish(8);
}
