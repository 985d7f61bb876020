//! Claims of a JWT, each under a right mac: types that are wrong, claims that are missing, twice, or not for us.

use tessera::TokenFormat;

use super::independent::{base64url, jws, sign};
use super::login::{HEADER, Login, NOW_S};
use super::tally::Tally;

const NAMES: [&str; 8] = ["iss", "aud", "sub", "sid", "gen", "iat", "exp", "data"];

/// What no claim that is a moment may be.
const NO_MOMENT: &[&str] = &[
    r#""1767225700""#,
    "-1",
    "-0",
    "1767225700.0",
    "1767225700.5",
    "1e9",
    "1.7672257e9",
    "1E10",
    // 2⁶⁴ seconds, and 2⁶⁴ milliseconds.
    "18446744073709551616",
    "18446744073709552",
    "999999999999999999999999999999",
    "01767225700",
    "+1767225700",
    "0x69",
    "NaN",
    "Infinity",
    "true",
    "null",
    "[]",
    "[1767225700]",
    "{}",
    "",
];

/// A claim, and a text that is malformed for it.
const MALFORMED: &[(&str, &str)] = &[
    ("iss", "null"),
    ("iss", "1"),
    ("iss", r#"["https://issuer.example"]"#),
    ("iss", r#"{"iss":"https://issuer.example"}"#),
    ("aud", "null"),
    ("aud", "true"),
    // RFC 7519, section 4.1.3, allows a list; our tokens are for one audience.
    ("aud", r#"["orders"]"#),
    ("aud", r#"["orders","other"]"#),
    ("aud", "[]"),
    ("sub", "null"),
    ("sub", "1"),
    ("sub", r#"["alice"]"#),
    ("sub", r#""\ud800""#),
    ("sid", "null"),
    ("sid", "1"),
    ("sid", r#""""#),
    ("sid", r#""AAAAAAAAAAAAAAAAAAAAA""#),
    ("sid", r#""AAAAAAAAAAAAAAAAAAAAAAA""#),
    ("sid", r#""AAAAAAAAAAAAAAAAAAAAAB""#),
    ("sid", r#""AAAAAAAAAAAAAAAAAAAAAA==""#),
    ("sid", r#""AAAAAAAAAAAAAAAAAAAA+A""#),
    ("sid", r#""AAAAAAAAAAAAAAAAAAAA A""#),
    ("gen", "null"),
    ("gen", "1.5"),
    ("gen", r#""""#),
    ("gen", r#"".""#),
    ("gen", r#""1""#),
    ("gen", r#""1.""#),
    ("gen", r#"".1""#),
    ("gen", r#""01.1""#),
    ("gen", r#""1.01""#),
    ("gen", r#""+1.1""#),
    ("gen", r#""-1.1""#),
    ("gen", r#"" 1.1""#),
    ("gen", r#""1.1.1""#),
    ("gen", r#""1.1e3""#),
    ("gen", r#""4294967296.1""#),
    ("gen", r#""1.18446744073709551616""#),
    ("gen", r#""\uff11.1""#),
    ("data", "null"),
    ("data", "[]"),
    ("data", r#""x""#),
    ("data", r#"{"a":1}"#),
    ("data", r#"{"a":null}"#),
    ("data", r#"{"a":{}}"#),
    ("data", r#"{"a":"b","a":"c"}"#),
    // Of claims that are not known, too: what is twice says two things.
    ("x", r#"{"a":1,"a":1}"#),
    ("x", r#"[{"a":1,"\u0061":2}]"#),
];

/// A payload that is no object of claims; `{}` stands for the right one.
const NO_CLAIMS: &[&str] = &[
    "",
    " ",
    "null",
    "true",
    "1",
    "\"text\"",
    "[]",
    "[{}]",
    "{}x",
    "{}}",
    "{}{}",
    "{},",
    "{}\0",
    "\u{feff}{}",
    "/**/{}",
    "{}//",
    "x{}",
    "\"{}\"",
];

fn judge(login: &Login, payload: &str) -> String {
    login.judge(&login.jws(HEADER, payload))
}

#[test]
fn what_a_claim_cannot_be_is_malformed() {
    let mut tally = Tally::of("claims of a wrong type or form");
    let login = Login::new(TokenFormat::Jwt);
    tally.expect("control", "accepted", &judge(&login, &login.payload()));
    let moments = ["iat", "exp", "nbf"].into_iter().flat_map(|name| {
        let texts = NO_MOMENT.iter();
        texts.map(move |text| (name, *text))
    });
    for (name, text) in moments.chain(MALFORMED.iter().copied()) {
        let payload = login.payload_with(name, Some(text));
        tally.expect(&format!("{name}: {text}"), "Malformed", &judge(&login, &payload));
    }
    assert!(NO_MOMENT.len() > 20 && MALFORMED.len() > 40);
    tally.finish(1 + 3 * NO_MOMENT.len() + MALFORMED.len());
}

#[test]
fn claims_that_are_missing_or_stand_twice_are_malformed() {
    let mut tally = Tally::of("claims missing or twice");
    let login = Login::new(TokenFormat::Jwt);
    for (place, name) in NAMES.into_iter().enumerate() {
        let wanted = if name == "data" { "accepted" } else { "Malformed" };
        let payload = login.payload_with(name, None);
        tally.expect(&format!("no {name}"), wanted, &judge(&login, &payload));

        let text = &login.claims()[place].1;
        let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        for again in [name, &escaped] {
            // First or last: neither of the two may win.
            let (payload, inner) = (login.payload(), format!("\"{again}\":{text}"));
            let first = payload.replacen('{', &format!("{{{inner},"), 1);
            let last = format!("{},{inner}}}", payload.strip_suffix('}').unwrap());
            tally.expect(&format!("{again} first"), "Malformed", &judge(&login, &first));
            tally.expect(&format!("{again} last"), "Malformed", &judge(&login, &last));
        }
    }
    tally.finish(8 + 8 * 4);
}

#[test]
fn a_payload_that_is_no_object_of_claims_is_malformed() {
    let mut tally = Tally::of("payloads that are no claims");
    let login = Login::new(TokenFormat::Jwt);
    let payload = login.payload();
    let mut payloads: Vec<_> = NO_CLAIMS
        .iter()
        .map(|text| text.replace("{}", &payload))
        .collect();
    payloads.extend([
        "{}".to_owned(),
        payload.replacen(',', ",,", 1),
        payload.replace("}}", "},}"),
        payload.replace('"', "'"),
        payload[..payload.len() - 1].to_owned(),
        payload.replace("alice", "al\nice"),
        login.payload_with("x", Some(&nested(64))),
        "[".repeat(1000),
    ]);
    for payload in &payloads {
        tally.expect(payload, "Malformed", &judge(&login, payload));
    }
    let bytes = [payload.as_bytes(), b"\xff"].concat();
    let signed = format!("{}.{}", base64url(HEADER.as_bytes()), base64url(&bytes));
    tally.expect(
        "no UTF-8",
        "Malformed",
        &login.judge(&sign(&signed, &login.key("jwt"))),
    );
    tally.finish(NO_CLAIMS.len() + 8 + 1);
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// The subkey already binds both: who can sign these holds the very key of our issuer and audience.
#[test]
fn another_issuer_or_audience_is_named() {
    let mut tally = Tally::of("issuers and audiences that are not ours");
    let login = Login::new(TokenFormat::Jwt);
    for (name, texts, wanted) in [
        (
            "iss",
            [
                "",
                "joe",
                "https://issuer.example/",
                "HTTPS://issuer.example",
                "https://issuer.example ",
                "https://issuer.example\\u0000",
                "https://issuer.example.attacker.example",
            ],
            "WrongIssuer",
        ),
        (
            "aud",
            ["", "Orders", "orders ", " orders", "orders,other", "order", "*"],
            "WrongAudience",
        ),
    ] {
        for text in texts {
            let payload = login.payload_with(name, Some(&format!("\"{text}\"")));
            tally.expect(&format!("{name}: {text}"), wanted, &judge(&login, &payload));
        }
    }
    tally.finish(2 * 7);
}

/// The clocks may differ by five seconds; the end itself is no longer in time.
#[test]
fn dates_decide_to_the_second() {
    let mut tally = Tally::of("dates");
    let login = Login::new(TokenFormat::Jwt);
    for (name, moment, wanted) in [
        ("exp", NOW_S, "accepted"),
        ("exp", NOW_S - 4, "accepted"),
        ("exp", NOW_S - 5, "Expired"),
        ("exp", NOW_S - 6, "Expired"),
        ("exp", 1_300_819_380, "Expired"),
        ("exp", 0, "Expired"),
        ("iat", NOW_S, "accepted"),
        ("iat", NOW_S + 5, "accepted"),
        ("iat", NOW_S + 6, "NotYetValid { ahead: 6s }"),
        // Milliseconds where seconds belong.
        ("iat", NOW_S * 1000, "NotYetValid { ahead: 1765458374400s }"),
        ("nbf", 0, "accepted"),
        ("nbf", NOW_S + 5, "accepted"),
        ("nbf", NOW_S + 6, "NotYetValid { ahead: 6s }"),
        (
            "nbf",
            18_446_744_073_709_551,
            "NotYetValid { ahead: 18446742306483951s }",
        ),
    ] {
        let payload = login.payload_with(name, Some(&moment.to_string()));
        tally.expect(&format!("{name}: {moment}"), wanted, &judge(&login, &payload));
    }
    tally.finish(14);
}

#[test]
fn another_text_of_good_claims_is_accepted() {
    let mut tally = Tally::of("other texts of good claims");
    let login = Login::new(TokenFormat::Jwt);
    let payload = login.payload();
    let mut claims = login.claims();
    claims.reverse();
    let members: Vec<_> = claims
        .iter()
        .map(|(name, text)| format!(" \"{name}\"\t:\n{text}\r"))
        .collect();
    for payload in [
        format!("{{{}}}", members.join(",")),
        payload.replace("\"iss\"", "\"\\u0069ss\""),
        payload.replace("orders", "order\\u0073"),
        login.payload_with("jti", Some("\"1\"")),
        login.payload_with("x", Some(&nested(63))),
    ] {
        let token = jws(HEADER, &payload, &login.key("jwt"));
        tally.expect(&payload, "accepted", &login.judge(&token));
    }
    tally.finish(5);
}
