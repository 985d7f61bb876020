//! Headers of a JWT: algorithms, types, key ids and parameters that are not the one accepted, each under a right mac.
//!
//! Only who holds a key can make these: a header that is refused here is so because of what it says.

use tessera::TokenFormat;

use super::independent::{base64url, sign};
use super::login::{HEADER, Login};
use super::tally::Tally;

const REFUSED: &[&str] = &[
    // Another algorithm, or none.
    r#"{"alg":"HS384","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS512","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"RS256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"PS256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"ES256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"EdDSA","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"dir","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"none","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"None","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"nOnE","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"NONE","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"hs256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256 ","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256\u0000","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":null,"typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":256,"typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":["HS256"],"typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":{"alg":"HS256"},"typ":"tessera+jwt","kid":"test"}"#,
    r#"{"typ":"tessera+jwt","kid":"test"}"#,
    r#"{"ALG":"HS256","typ":"tessera+jwt","kid":"test"}"#,
    // Another type: RFC 8725, section 3.11. RFC 7515 would compare it without regard to case; we make one text only.
    r#"{"alg":"HS256","typ":"JWT","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"at+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"Tessera+JWT","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"application/tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"","kid":"test"}"#,
    r#"{"alg":"HS256","typ":null,"kid":"test"}"#,
    r#"{"alg":"HS256","kid":"test"}"#,
    // No key id, or what cannot be one.
    r#"{"alg":"HS256","typ":"tessera+jwt"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":""}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":null}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":0}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":["test"]}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"../../../../dev/null"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"C:\\keys\\test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"x' UNION SELECT 'key';--"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test;id"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"$(id)"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"https://keys.example/test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test\u0000"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test\n"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"te\u017ft"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"}"#,
    // Parameters that bring a key along, or change what is signed.
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","crit":["exp"]}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","crit":[]}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","b64":false}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","b64":true}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","b64":false,"crit":["b64"]}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","jku":"https://keys.example/jwks"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","jwk":{"kty":"oct","k":"AAAA"}}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","x5u":"https://keys.example/chain"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","x5c":["AAAA"]}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","x5t":"AAAA"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","x5t#S256":"AAAA"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","cty":"JWT"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","zip":"DEF"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","enc":"A128GCM"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","exp":"1"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","":""}"#,
    // A name twice, the same or escaped, the good one first or last.
    r#"{"alg":"HS256","alg":"HS256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"none","alg":"HS256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","alg":"none","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","\u0061lg":"HS256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"\u0061lg":"none","alg":"HS256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"JWT","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"other","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","\u006bid":"other"}"#,
    // Escaped names and values mean what they mean unescaped.
    r#"{"alg":"\u006eone","typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test","\u0063rit":["exp"]}"#,
    // More than a header, or less.
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test"}x"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test"}}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test"}{}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test"},"#,
    "{\"alg\":\"HS256\",\"typ\":\"tessera+jwt\",\"kid\":\"test\"}\0",
    "\u{feff}{\"alg\":\"HS256\",\"typ\":\"tessera+jwt\",\"kid\":\"test\"}",
    r#"[{"alg":"HS256","typ":"tessera+jwt","kid":"test"}]"#,
    r#""{\"alg\":\"HS256\",\"typ\":\"tessera+jwt\",\"kid\":\"test\"}""#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test""#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"test",}"#,
    r#"{"alg":"HS256" "typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256",,"typ":"tessera+jwt","kid":"test"}"#,
    r#"{alg:"HS256","typ":"tessera+jwt","kid":"test"}"#,
    r#"{'alg':'HS256','typ':'tessera+jwt','kid':'test'}"#,
    r#"{"alg":"HS256",/**/"typ":"tessera+jwt","kid":"test"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"\x74est"}"#,
    r#"{"alg":"HS256","typ":"tessera+jwt","kid":"\ud800"}"#,
    "{\"alg\":\"HS256\",\"typ\":\"tessera+jwt\",\"kid\":\"te\nst\"}",
    "{\"alg\":\"HS256\",\u{a0}\"typ\":\"tessera+jwt\",\"kid\":\"test\"}",
    "{}",
    "[]",
    "null",
    "1",
    "\"\"",
    "{",
    " ",
    "",
];

#[test]
fn no_other_header_is_accepted_under_a_right_mac() {
    let mut tally = Tally::of("headers refused under a right mac");
    let login = Login::new(TokenFormat::Jwt);
    let payload = login.payload();
    for header in REFUSED {
        let token = login.jws(header, &payload);
        tally.expect(header, "HeaderRefused", &login.judge(&token));
        // What is unsigned is refused by its form, whatever it says.
        let (signed, _) = token.rsplit_once('.').unwrap();
        tally.expect(header, "Malformed", &login.judge(&format!("{signed}.")));
    }
    tally.expect("control", "accepted", &login.judge(&login.jws(HEADER, &payload)));
    assert!(REFUSED.len() > 90, "most of the list is missing");
    tally.finish(2 * REFUSED.len() + 1);
}

#[test]
fn headers_too_deep_or_too_long_are_refused() {
    let mut tally = Tally::of("headers too deep, too long, or no text");
    let login = Login::new(TokenFormat::Jwt);
    let payload = login.payload();
    let padded = |length: usize| format!("{HEADER:length$}");
    assert_eq!(padded(255).len(), 255);
    for (name, header, wanted) in [
        ("a parameter 100 deep", deep(100, HEADER), "HeaderRefused"),
        ("a parameter 20 deep", deep(20, HEADER), "HeaderRefused"),
        ("unclosed, 200 deep", "[".repeat(200), "HeaderRefused"),
        ("257 bytes", padded(257), "HeaderRefused"),
        ("2048 bytes", padded(2048), "HeaderRefused"),
        ("255 bytes", padded(255), "accepted"),
    ] {
        tally.expect(name, wanted, &login.judge(&login.jws(&header, &payload)));
    }
    // Bytes that are no UTF-8 are no text at all.
    let mut bytes = HEADER.as_bytes().to_vec();
    bytes[8] = 0xff;
    let signed = format!("{}.{}", base64url(&bytes), base64url(payload.as_bytes()));
    let answer = login.judge(&sign(&signed, &login.key("jwt")));
    tally.expect("no UTF-8", "Malformed", &answer);
    tally.finish(7);
}

/// A header with one parameter more, of arrays in arrays.
fn deep(levels: usize, header: &str) -> String {
    let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    header.replacen('{', &format!("{{\"x\":{nested},"), 1)
}

#[test]
fn a_key_that_is_not_in_the_ring_is_unknown() {
    let mut tally = Tally::of("key ids that are not in the ring");
    let login = Login::new(TokenFormat::Jwt);
    for id in [
        "other",
        "Test",
        "tes",
        "test2",
        "-",
        "_",
        "0",
        "none",
        "k".repeat(32).as_str(),
    ] {
        let header = HEADER.replace("\"test\"", &format!("\"{id}\""));
        tally.expect(
            id,
            "UnknownKey",
            &login.judge(&login.jws(&header, &login.payload())),
        );
    }
    tally.finish(9);
}

/// The same header to every reader of JSON (RFC 8259); the mac is over the text as it stands.
#[test]
fn another_text_of_the_same_header_is_accepted_under_its_own_mac_only() {
    let mut tally = Tally::of("other texts of the same header");
    let login = Login::new(TokenFormat::Jwt);
    let (_, mac) = login.token.rsplit_once('.').unwrap();
    for header in [
        r#"{"kid":"test","typ":"tessera+jwt","alg":"HS256"}"#,
        r#"{"\u0061lg":"HS256","typ":"tessera+jwt","kid":"test"}"#,
        r#"{"alg":"\u0048S256","typ":"tessera\u002bjwt","kid":"t\u0065st"}"#,
        "{ \"alg\" : \"HS256\" , \"typ\":\"tessera+jwt\",\r\n\t\"kid\":\"test\" }",
        " {\"alg\":\"HS256\",\"typ\":\"tessera+jwt\",\"kid\":\"test\"}\n",
    ] {
        let token = login.jws(header, &login.payload());
        tally.expect(header, "accepted", &login.judge(&token));
        let (signed, _) = token.rsplit_once('.').unwrap();
        tally.expect(header, "WrongMac", &login.judge(&format!("{signed}.{mac}")));
    }
    tally.finish(2 * 5);
}
