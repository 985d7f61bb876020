//! The text of a JWT: its segments, its encoding, its mac.

use sha2::{Digest as _, Sha256, Sha512};
use tessera::TokenFormat;

use super::independent::{ALPHABET, base64url, hkdf, hmac, jws, sign};
use super::login::{HEADER, KEY_ID, Login, SECRET};
use super::tally::Tally;

/// The other texts of the same bytes: every value of the bits past their end. None if there are no such bits.
pub(crate) fn with_spare_bits(text: &str) -> Vec<String> {
    let bits = [0, 0, 4, 2][text.len() % 4];
    let (rest, last) = text.split_at(text.len() - 1);
    let value = ALPHABET
        .iter()
        .position(|character| *character == last.as_bytes()[0]);
    let value = value.unwrap();
    assert_eq!(value & ((1 << bits) - 1), 0, "the text is not canonical itself");
    (1..1 << bits)
        .map(|spare| format!("{rest}{}", char::from(ALPHABET[value | spare])))
        .collect()
}

/// The standard alphabet; different from base64url where either has a character that the other has not.
fn standard(text: &str) -> String {
    text.replace('-', "+").replace('_', "/")
}

#[test]
fn a_token_has_three_segments_and_nothing_around_them() {
    let mut tally = Tally::of("segments and what stands around them");
    let login = Login::new(TokenFormat::Jwt);
    let [h, p, m] = [0, 1, 2].map(|number| login.segment(number));
    tally.expect("control", "accepted", &login.judge(&login.token));
    let flattened = format!(r#"{{"payload":"{p}","protected":"{h}","signature":"{m}"}}"#);
    let general = format!(r#"{{"payload":"{p}","signatures":[{{"protected":"{h}","signature":"{m}"}}]}}"#);
    for (name, token) in [
        ("nothing", String::new()),
        ("one segment", h.to_owned()),
        ("two segments", format!("{h}.{p}")),
        ("no header segment", format!("{p}.{m}")),
        ("only dots", "..".to_owned()),
        ("more dots", ".".repeat(64)),
        ("a dot before", format!(".{h}.{p}.{m}")),
        ("a dot after", format!("{h}.{p}.{m}.")),
        ("a dot twice", format!("{h}..{p}.{m}")),
        ("four segments", format!("{h}.{p}.{m}.{m}")),
        ("five segments, as of a JWE", format!("{h}.{p}.{p}.{p}.{m}")),
        ("two tokens", format!("{h}.{p}.{m}.{h}.{p}.{m}")),
        ("two tokens, a comma", format!("{h}.{p}.{m},{h}.{p}.{m}")),
        ("the flattened JSON serialisation", flattened),
        ("the general JSON serialisation", general),
        ("exchanged, mac first", format!("{m}.{h}.{p}")),
        ("exchanged, header last", format!("{p}.{m}.{h}")),
        ("a scheme before", format!("Bearer {h}.{p}.{m}")),
        ("quoted", format!("\"{h}.{p}.{m}\"")),
        ("dots escaped", format!("{h}%2E{p}%2E{m}")),
        ("other dots", format!("{h}\u{ff0e}{p}\u{ff0e}{m}")),
        ("a byte order mark before", format!("\u{feff}{h}.{p}.{m}")),
        ("another character after", format!("{h}.{p}.{m}\u{e9}")),
        ("no mac", format!("{h}.{p}.")),
    ] {
        tally.expect(name, "Malformed", &login.judge(&token));
    }
    for (name, token) in [
        ("no header", format!(".{p}.{m}")),
        ("claims in the header's place", format!("{p}.{h}.{m}")),
    ] {
        tally.expect(name, "HeaderRefused", &login.judge(&token));
    }
    // RFC 7515, appendix F: the payload is somewhere else; with the mac of the whole, and with one of what is there.
    tally.expect("detached", "WrongMac", &login.judge(&format!("{h}..{m}")));
    let detached = sign(&format!("{h}."), &login.key("jwt"));
    tally.expect("detached, signed", "Malformed", &login.judge(&detached));
    tally.finish(1 + 24 + 2 + 2);
}

#[test]
fn white_space_and_foreign_characters_are_refused_in_every_segment() {
    let mut tally = Tally::of("white space and foreign characters");
    let login = Login::new(TokenFormat::Jwt);
    let foreign = [
        " ", "\n", "\r\n", "\t", "\0", "\u{a0}", "\u{200b}", "=", "==", "%3D", "+", "/", "!", ",",
    ];
    for character in foreign {
        for (segment, signed_anew) in [(0, true), (1, true), (1, false), (2, false)] {
            for place in ["start", "middle", "end"] {
                let mut segments = [0, 1, 2].map(|number| login.segment(number).to_owned());
                let text = &mut segments[segment];
                let at = match place {
                    "start" => 0,
                    "middle" => text.len() / 2,
                    _ => text.len(),
                };
                text.insert_str(at, character);
                let [h, p, m] = &segments;
                let token = if signed_anew {
                    sign(&format!("{h}.{p}"), &login.key("jwt"))
                } else {
                    format!("{h}.{p}.{m}")
                };
                // A payload is not even decoded before its mac is right.
                let wanted = if segment == 1 && !signed_anew {
                    "WrongMac"
                } else {
                    "Malformed"
                };
                let name = format!("{character:?} at the {place} of segment {segment}");
                tally.expect(&name, wanted, &login.judge(&token));
            }
        }
    }
    tally.finish(14 * 4 * 3);
}

#[test]
fn every_segment_has_one_text_only() {
    let mut tally = Tally::of("other texts of the same bytes");
    let login = Login::new(TokenFormat::Jwt);
    let key = login.key("jwt");
    let mut counts = [0; 3];
    // White space makes a header and payload of each length, and so of each number of spare bits.
    for length in 0..3 {
        let header = format!("{HEADER}{}", " ".repeat(length));
        // The last characters are `+` and `/` in the standard alphabet.
        let payload = login.payload_with("x", Some(&format!("\"??>>{}\u{3ff}\"", "~".repeat(length))));
        let (header, payload) = (base64url(header.as_bytes()), base64url(payload.as_bytes()));
        let token = sign(&format!("{header}.{payload}"), &key);
        tally.expect("control", "accepted", &login.judge(&token));
        let (signed, mac) = token.rsplit_once('.').unwrap();
        for other in with_spare_bits(&header) {
            let token = sign(&format!("{other}.{payload}"), &key);
            tally.expect("header", "Malformed", &login.judge(&token));
            counts[0] += 1;
        }
        for other in with_spare_bits(&payload) {
            let token = sign(&format!("{header}.{other}"), &key);
            tally.expect("payload", "Malformed", &login.judge(&token));
            counts[1] += 1;
        }
        for other in with_spare_bits(mac) {
            tally.expect("mac", "Malformed", &login.judge(&format!("{signed}.{other}")));
            counts[2] += 1;
        }
        let other = standard(&payload);
        assert_ne!(other, payload);
        let answer = login.judge(&sign(&format!("{header}.{other}"), &key));
        tally.expect("payload, standard alphabet", "Malformed", &answer);
    }
    // One payload of each length leaves 0, 2 and 4 bits: 0, 3 and 15 other texts. A mac always leaves 2.
    assert_eq!(counts, [18, 18, 9]);
    let (signed, mac) = (0..)
        .map(|number| login.jws(HEADER, &login.payload_with("x", Some(&number.to_string()))))
        .find_map(|token| {
            let (signed, mac) = token.rsplit_once('.')?;
            (standard(mac) != mac).then(|| (signed.to_owned(), mac.to_owned()))
        })
        .unwrap();
    let answer = login.judge(&format!("{signed}.{}", standard(&mac)));
    tally.expect("mac, standard alphabet", "Malformed", &answer);
    tally.finish(3 + 45 + 3 + 1);
}

#[test]
fn a_mac_is_whole_and_of_this_text_under_this_key() {
    let mut tally = Tally::of("macs of other lengths, texts, keys and functions");
    let login = Login::new(TokenFormat::Jwt);
    let (signed, _) = login.token.rsplit_once('.').unwrap();
    let key = login.key("jwt");
    let right = hmac(&key, signed.as_bytes());
    let judge = |mac: &[u8]| login.judge(&format!("{signed}.{}", base64url(mac)));
    tally.expect("control", "accepted", &judge(&right));

    for length in (0..32).chain([33, 48, 64, 128]) {
        let mac: Vec<u8> = right.iter().copied().cycle().take(length).collect();
        tally.expect(&format!("{length} bytes"), "Malformed", &judge(&mac));
    }
    // As long as the algorithms' that it names elsewhere: HS512 under the very key.
    let long = hmac512(&key, signed.as_bytes());
    tally.expect("HMAC-SHA512", "Malformed", &judge(&long));

    let (header, payload) = signed.split_once('.').unwrap();
    let extracted = hmac(b"tessera/v1", &SECRET);
    let hexadecimal: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = |parts: &[&[u8]]| -> [u8; 32] { Sha256::digest(parts.concat()).into() };
    let text = signed.as_bytes();
    for (name, mac) in [
        ("zeros", [0; 32]),
        ("ones", [0xff; 32]),
        ("backwards", std::array::from_fn(|at| right[31 - at])),
        ("of the payload", hmac(&key, payload.as_bytes())),
        ("of the header", hmac(&key, header.as_bytes())),
        ("of nothing", hmac(&key, b"")),
        (
            "of both without a dot",
            hmac(&key, format!("{header}{payload}").as_bytes()),
        ),
        (
            "of both exchanged",
            hmac(&key, format!("{payload}.{header}").as_bytes()),
        ),
        (
            "of both decoded",
            hmac(&key, format!("{HEADER}.{}", login.payload()).as_bytes()),
        ),
        ("of the whole token", hmac(&key, login.token.as_bytes())),
        ("of its mac", hmac(&key, &right)),
        ("under no key", hmac(b"", text)),
        ("under zeros", hmac(&[0; 32], text)),
        ("under the secret itself", hmac(&SECRET, text)),
        ("under what HKDF extracts", hmac(&extracted, text)),
        ("under the key's id", hmac(KEY_ID.as_bytes(), text)),
        ("under the key in hexadecimal", hmac(hexadecimal.as_bytes(), text)),
        (
            "under the key in base64url",
            hmac(base64url(&key).as_bytes(), text),
        ),
        (
            "under the subkey for compact tokens",
            hmac(&login.key("compact"), text),
        ),
        ("under the subkey against forgery", hmac(&login.key("csrf"), text)),
        ("under a subkey for nothing", hmac(&login.key(""), text)),
        (
            "under HKDF without salt",
            hmac(&hkdf(b"", &SECRET, b"jwt", 32).unwrap(), text),
        ),
        ("a hash", hash(&[text])),
        ("a hash, the key before", hash(&[&key, text])),
        ("a hash, the key after", hash(&[text, &key])),
        ("half of HMAC-SHA512", long[..32].try_into().unwrap()),
    ] {
        tally.expect(name, "WrongMac", &judge(&mac));
    }
    // A mac of another token of the same session.
    let other = jws(HEADER, &login.payload_with("jti", Some("1")), &key);
    let (_, mac) = other.rsplit_once('.').unwrap();
    tally.expect(
        "another token's",
        "WrongMac",
        &login.judge(&format!("{signed}.{mac}")),
    );
    tally.finish(1 + 36 + 1 + 26 + 1);
}

/// RFC 2104 with SHA-512, for keys of at most a block.
fn hmac512(key: &[u8], message: &[u8]) -> [u8; 64] {
    let mut block = [0; 128];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha512::digest([&block.map(|byte| byte ^ 0x36)[..], message].concat());
    Sha512::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner].concat()).into()
}
