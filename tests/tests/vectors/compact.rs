//! Compact tokens under a right mac, and their text.

use tessera::TokenFormat;

use super::forms::with_spare_bits;
use super::independent::{base64url, compact, hmac, sign};
use super::login::{KEY_ID, Login, NOW_S};
use super::tally::Tally;

/// The payload with a moment (six bytes, milliseconds) written over.
fn with_moment(payload: &[u8], at: usize, moment: u64) -> Vec<u8> {
    let mut payload = payload.to_vec();
    payload[at..at + 6].copy_from_slice(&moment.to_be_bytes()[2..]);
    payload
}

#[test]
fn a_compact_token_has_one_form() {
    let mut tally = Tally::of("compact tokens of another form");
    let login = Login::new(TokenFormat::Compact);
    let [p, m] = [2, 3].map(|number| login.segment(number));
    tally.expect("control", "accepted", &login.judge(&login.token));
    for token in [
        "",
        "ts1",
        "ts1.",
        "ts1..",
        "ts1...",
        &format!("ts1.test.{p}"),
        &format!("ts1.test.{p}."),
        &format!("ts1.test.{p}.{m}."),
        &format!("ts1.test.{p}.{m}.{m}"),
        &format!("ts1.test.{p}.{m}="),
        &format!("ts1.test.{p}.{m}\n"),
        &format!(" ts1.test.{p}.{m}"),
        &format!("TS1.test.{p}.{m}"),
        &format!("ts2.test.{p}.{m}"),
        &format!("ts1,test.{p}.{m}"),
        &format!("ts1.ts1.test.{p}.{m}"),
        &format!(".ts1.test.{p}.{m}"),
        &format!("test.{p}.{m}"),
        &format!("ts1..{p}.{m}"),
        &format!("ts1.../../dev/null.{p}.{m}"),
        &format!("ts1.' OR 1=1--.{p}.{m}"),
        &format!("ts1.te\0st.{p}.{m}"),
        &format!("ts1.t\u{e9}st.{p}.{m}"),
        &format!("ts1.{}.{p}.{m}", "k".repeat(33)),
        &format!("ts1.{p}.test.{m}0"),
        &format!("ts1.test.{m}.{p}"),
    ] {
        tally.expect(token, "Malformed", &login.judge(token));
    }
    for id in ["Test", "tes", "test2", "none", &"k".repeat(32)] {
        let token = format!("ts1.{id}.{p}.{m}");
        tally.expect(&token, "UnknownKey", &login.judge(&token));
    }
    tally.finish(1 + 26 + 5);
}

#[test]
fn a_payload_has_one_length_and_one_text_under_a_right_mac() {
    let mut tally = Tally::of("compact payloads of another length or text, rightly signed");
    let login = Login::new(TokenFormat::Compact);
    let (payload, key) = (login.bytes(2), login.key("compact"));
    for length in (0..38).chain([39, 40, 64, 128]) {
        let bytes: Vec<u8> = payload.iter().copied().cycle().take(length).collect();
        let token = compact(KEY_ID, &bytes, &key);
        tally.expect(&format!("{length} bytes"), "Malformed", &login.judge(&token));
    }
    let text = base64url(&payload);
    let others = with_spare_bits(&text);
    assert_eq!(others.len(), 3);
    for other in others.iter().map(String::as_str).chain([
        &*format!("{text}="),
        &format!(" {text}"),
        &format!("{text}\n"),
        &text.replacen(|_| true, "+", 1),
        &text.replacen(|_| true, "/", 1),
    ]) {
        let token = sign(&format!("ts1.{KEY_ID}.{other}"), &key);
        tally.expect(other, "Malformed", &login.judge(&token));
    }
    tally.finish(42 + 3 + 5);
}

#[test]
fn a_compact_mac_is_whole() {
    let mut tally = Tally::of("compact macs of another length or text");
    let login = Login::new(TokenFormat::Compact);
    let (signed, mac) = login.token.rsplit_once('.').unwrap();
    let right = hmac(&login.key("compact"), signed.as_bytes());
    for length in (0..32).chain([33, 48, 64]) {
        let mac: Vec<u8> = right.iter().copied().cycle().take(length).collect();
        let answer = login.judge(&format!("{signed}.{}", base64url(&mac)));
        tally.expect(&format!("{length} bytes"), "Malformed", &answer);
    }
    for other in with_spare_bits(mac) {
        tally.expect(
            "spare bits",
            "Malformed",
            &login.judge(&format!("{signed}.{other}")),
        );
    }
    for mac in [[0; 32], [0xff; 32]] {
        let answer = login.judge(&format!("{signed}.{}", base64url(&mac)));
        tally.expect("zeros or ones", "WrongMac", &answer);
    }
    tally.finish(35 + 3 + 2);
}

/// The skew tolerates a token of the future, never one past the session's absolute end.
#[test]
fn dates_decide_to_the_millisecond() {
    let mut tally = Tally::of("compact dates");
    let login = Login::new(TokenFormat::Compact);
    let (payload, now) = (login.bytes(2), NOW_S * 1000);
    let (issued, ends) = (26, 32);
    for (name, at, moment, wanted) in [
        ("issued now", issued, now, "accepted"),
        ("issued within the skew", issued, now + 5000, "accepted"),
        (
            "issued beyond it",
            issued,
            now + 5001,
            "NotYetValid { ahead: 5.001s }",
        ),
        (
            "issued at the end of time",
            issued,
            (1 << 48) - 1,
            "NotYetValid { ahead: 279707751110.655s }",
        ),
        ("ends next", ends, now + 1, "accepted"),
        ("ends now", ends, now, "Expired"),
        ("ended", ends, now - 1, "Expired"),
        ("ended in 1970", ends, 0, "Expired"),
    ] {
        let token = compact(KEY_ID, &with_moment(&payload, at, moment), &login.key("compact"));
        tally.expect(name, wanted, &login.judge(&token));
    }
    tally.finish(8);
}
