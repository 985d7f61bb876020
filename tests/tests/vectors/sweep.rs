//! Every small damage to a token, one after the other: none may leave it acceptable.

use std::collections::BTreeMap;

use tessera::TokenFormat;

use super::independent::{ALPHABET, base64url, sign};
use super::login::{HEADER, Login};
use super::tally::Tally;

/// What no segment may hold, and the dot.
const FOREIGN: &[u8] = b".=+/ \n\0~";

/// What the answer to one changed character must be, where it does not depend on what the header says then.
fn wanted(format: TokenFormat, segment: usize, character: u8, spare: bool) -> Option<&'static str> {
    let in_alphabet = ALPHABET.contains(&character);
    let last = match format {
        TokenFormat::Jwt => 2,
        TokenFormat::Compact => 3,
    };
    match (character, segment == last, segment == last - 1) {
        (b'.', ..) => Some("Malformed"),
        (_, true, _) if spare || !in_alphabet => Some("Malformed"),
        (_, true, _) | (_, _, true) => Some("WrongMac"),
        _ if format == TokenFormat::Compact && segment == 0 => Some("Malformed"),
        _ if format == TokenFormat::Compact && in_alphabet => Some("UnknownKey"),
        _ if format == TokenFormat::Compact || !in_alphabet => Some("Malformed"),
        _ => None,
    }
}

/// Each character exchanged for each other, between the dots of a token.
fn exchange_all(format: TokenFormat, tally: &mut Tally) -> BTreeMap<String, usize> {
    let login = Login::new(format);
    let mut answers = BTreeMap::new();
    tally.expect("control", "accepted", &login.judge(&login.token));
    for (place, there) in login.token.bytes().enumerate() {
        if there == b'.' {
            continue;
        }
        let segment = login.token[..place].matches('.').count();
        // 32 bytes leave two bits of the last character unused: all of them are 0.
        let value = |character: u8| ALPHABET.iter().position(|other| *other == character);
        for character in ALPHABET.iter().chain(FOREIGN).copied().filter(|c| *c != there) {
            let spare = place + 1 == login.token.len()
                && value(character).is_some_and(|value| !value.is_multiple_of(4));
            let mut bytes = login.token.clone().into_bytes();
            bytes[place] = character;
            let answer = login.judge(std::str::from_utf8(&bytes).unwrap());
            let name = format!("byte {place} made {:?}", char::from(character));
            match wanted(format, segment, character, spare) {
                Some(wanted) => tally.expect(&name, wanted, &answer),
                None => {
                    assert!(
                        ["Malformed", "HeaderRefused", "UnknownKey", "WrongMac"].contains(&&*answer),
                        "{name}: {answer}"
                    );
                    tally.expect(&name, &answer, &answer);
                }
            }
            *answers.entry(answer).or_default() += 1;
        }
    }
    tally.expect("control, still", "accepted", &login.judge(&login.token));
    answers
}

#[test]
fn no_token_is_accepted_with_one_character_exchanged() {
    for (what, format, dots) in [
        ("JWT, one character exchanged", TokenFormat::Jwt, 2),
        ("compact token, one character exchanged", TokenFormat::Compact, 3),
    ] {
        let mut tally = Tally::of(what);
        let answers = exchange_all(format, &mut tally);
        println!("{what}: {answers:?}");
        assert!(!answers.contains_key("accepted"));
        let length = Login::new(format).token.len();
        tally.finish((length - dots) * (64 + FOREIGN.len() - 1) + 2);
    }
}

#[test]
fn no_token_is_accepted_cut_short_lengthened_or_with_a_character_missing_or_twice() {
    let mut tally = Tally::of("cut short, lengthened, a character missing, twice or in the other case");
    let mut count = 0;
    for format in [TokenFormat::Jwt, TokenFormat::Compact] {
        let login = Login::new(format);
        let token = &login.token;
        for place in 0..token.len() {
            let (before, after) = token.split_at(place);
            let (character, rest) = after.split_at(1);
            let mut damaged = vec![
                before.to_owned(),
                after[1..].to_owned(),
                format!("{before}{rest}"),
                format!("{before}{character}{character}{rest}"),
            ];
            if character.as_bytes()[0].is_ascii_alphabetic() {
                let other = char::from(character.as_bytes()[0] ^ 0x20);
                damaged.push(format!("{before}{other}{rest}"));
            }
            for text in damaged {
                let answer = login.judge(&text);
                // Which part is found wanting first depends on the place; that it is refused as a token does not.
                let refused = ["Malformed", "HeaderRefused", "UnknownKey", "WrongMac"].contains(&&*answer);
                tally.expect(&text, "refused", if refused { "refused" } else { &answer });
                count += 1;
            }
        }
    }
    assert!(count > 1500, "most of the places are missing");
    tally.finish(count);
}

#[test]
fn each_bit_of_the_mac_counts() {
    let mut tally = Tally::of("each bit of a mac");
    for format in [TokenFormat::Jwt, TokenFormat::Compact] {
        let login = Login::new(format);
        let (signed, _) = login.token.rsplit_once('.').unwrap();
        let mac = login.bytes(login.token.matches('.').count());
        for bit in 0..256 {
            let mut mac = mac.clone();
            mac[bit / 8] ^= 1 << (bit % 8);
            let answer = login.judge(&format!("{signed}.{}", base64url(&mac)));
            tally.expect(&format!("bit {bit}"), "WrongMac", &answer);
        }
    }
    tally.finish(2 * 256);
}

/// The length is looked at before anything else, and what is within it is read to its end.
#[test]
fn a_token_may_be_4096_bytes_long() {
    let mut tally = Tally::of("long tokens");
    let login = Login::new(TokenFormat::Jwt);
    let of_length = |length: usize| {
        (0..length)
            .map(|filling| {
                let payload = login.payload_with("x", Some(&format!("\"{}\"", "x".repeat(filling))));
                login.jws(HEADER, &payload)
            })
            .find(|token| token.len() >= length)
            .unwrap()
    };
    let (fits, over) = (of_length(4096), of_length(4097));
    // Not every length can be met: three bytes are four characters.
    assert!(fits.len() <= 4097 && over.len() > 4096);
    let longest = if fits.len() == 4096 { fits } else { of_length(4095) };
    assert!((4095..=4096).contains(&longest.len()));
    tally.expect("longest", "accepted", &login.judge(&longest));
    tally.expect("one more", "TooLong", &login.judge(&over));
    tally.expect("dots", "TooLong", &login.judge(&".".repeat(4097)));
    tally.expect("dots that fit", "Malformed", &login.judge(&".".repeat(4096)));
    let signed = "A".repeat(4096 - 44);
    let answer = login.judge(&sign(&signed, &login.key("jwt")));
    tally.expect("one segment and a mac", "Malformed", &answer);
    tally.finish(5);
}
