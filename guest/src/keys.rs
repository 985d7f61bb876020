//! The key ring: the first key signs, all keys verify.
//!
//! Secrets never sign directly. HKDF-SHA256 (RFC 5869) derives a subkey from each for every purpose, issuer and audience, so
//! that a disclosed subkey is valid for nothing else.

use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Kind};
use crate::json::decimal;

/// A MAC with a finished key schedule, which a clone does not repeat.
pub type Signer = Hmac<Sha256>;

/// The maximum length of a key id, in bytes.
pub const MAXIMUM_KEY_ID_BYTES: usize = 32;
const SECRET_BYTES: core::ops::RangeInclusive<usize> = 32..=1024;
const MAXIMUM_KEYS: usize = 64;

/// A configured key. Its secret is wiped from memory when it is dropped.
pub struct SigningKey {
    /// `[A-Za-z0-9_-]{1,32}`.
    pub id: String,
    /// 32 to 1024 bytes.
    pub secret: Vec<u8>,
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// One key of the ring, with its subkeys.
pub struct Key {
    /// The key id, which every token signed with the key contains.
    pub id: String,
    /// Signs compact tokens.
    pub compact: Signer,
    /// Signs JWTs.
    pub jwt: Signer,
    /// Signs tokens against cross-site request forgery.
    pub csrf: Signer,
    jwt_key: Zeroizing<[u8; 32]>,
}

impl Key {
    /// Returns the subkey that signs JWTs, for a gateway.
    pub fn jwt_key(&self) -> &[u8; 32] {
        &self.jwt_key
    }

    fn derive(key: &SigningKey, issuer: &str, audience: &str) -> Self {
        let extracted = Hkdf::<Sha256>::new(Some(b"tessera/v1"), &key.secret);
        let subkey = |purpose: &str| {
            let mut info = Vec::new();
            for part in [purpose, issuer, audience] {
                // Lengths first, so that no two triples have the same bytes.
                info.extend_from_slice(&(part.len() as u32).to_be_bytes());
                info.extend_from_slice(part.as_bytes());
            }
            let mut bytes = Zeroizing::new([0; 32]);
            // HKDF-SHA256 fails only above 8160 bytes.
            let expanded = extracted.expand(&info, &mut *bytes);
            debug_assert!(expanded.is_ok());
            bytes
        };
        let jwt_key = subkey("jwt");
        Self {
            id: key.id.clone(),
            compact: signer(&subkey("compact")),
            jwt: signer(&jwt_key),
            csrf: signer(&subkey("csrf")),
            jwt_key,
        }
    }
}

fn signer(key: &[u8; 32]) -> Signer {
    // HMAC pads a key of at most a block with zeros; 32 bytes always fit.
    let mut block = hmac::digest::Key::<Signer>::default();
    block[..32].copy_from_slice(key);
    let signer = Signer::new(&block);
    block.zeroize();
    signer
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The keys of an engine.
#[derive(Debug)]
pub struct KeyRing {
    signing: usize,
    keys: Vec<Key>,
}

impl KeyRing {
    /// Checks the keys and derives their subkeys.
    ///
    /// # Errors
    /// `InvalidKey`, about the key by its position in the list.
    pub fn new(keys: &[SigningKey], issuer: &str, audience: &str) -> Result<Self, Error> {
        let unfit = |index: usize, part: &str, reason: &str| {
            Err(Error::about(
                Kind::InvalidKey,
                &["keys[", &decimal(index as u64), "]", part].concat(),
                reason,
            ))
        };
        if keys.is_empty() {
            return Err(Error::about(
                Kind::InvalidKey,
                "keys",
                "must contain at least one key",
            ));
        }
        if keys.len() > MAXIMUM_KEYS {
            return Err(Error::about(Kind::InvalidKey, "keys", "must be at most 64"));
        }
        for (index, key) in keys.iter().enumerate() {
            if !is_key_id(&key.id) {
                return unfit(index, ".id", "must match [A-Za-z0-9_-]{1,32}");
            }
            if keys[..index].iter().any(|other| other.id == key.id) {
                return unfit(index, ".id", "is not unique");
            }
            if !SECRET_BYTES.contains(&key.secret.len()) {
                return unfit(index, ".secret", "must be 32 to 1024 bytes long");
            }
        }
        let keys = keys
            .iter()
            .map(|key| Key::derive(key, issuer, audience))
            .collect();
        Ok(Self { signing: 0, keys })
    }

    /// Returns the key that signs.
    pub fn signing(&self) -> &Key {
        &self.keys[self.signing]
    }

    /// Returns the key with this id.
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Returns all keys, the signing key first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}

/// Whether a text is a valid key id.
pub fn is_key_id(text: &str) -> bool {
    (1..=MAXIMUM_KEY_ID_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Computes the MAC over the concatenation of `parts`.
pub fn sign(signer: &Signer, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = signer.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Verifies the MAC over the concatenation of `parts`, in constant time.
pub fn verify(signer: &Signer, parts: &[&[u8]], mac: &[u8; 32]) -> bool {
    let mut expected = signer.clone();
    for part in parts {
        expected.update(part);
    }
    expected.verify_slice(mac).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, length: usize) -> SigningKey {
        SigningKey {
            id: id.into(),
            secret: vec![7; length],
        }
    }

    #[test]
    fn key_ids_and_secrets_are_bounded_on_both_sides() {
        for (keys, fits) in [
            (vec![key("a", 32)], true),
            (vec![key("a", 31)], false),
            (vec![key("a", 1024)], true),
            (vec![key("a", 1025)], false),
            (vec![key(&"k".repeat(32), 32)], true),
            (vec![key(&"k".repeat(33), 32)], false),
            (vec![key("", 32)], false),
            (vec![key("a.b", 32)], false),
            (vec![key("a", 32), key("a", 40)], false),
            (vec![key("a", 32), key("b", 40)], true),
            (vec![], false),
            ((0..64).map(|i| key(&format!("k{i}"), 32)).collect(), true),
            ((0..65).map(|i| key(&format!("k{i}"), 32)).collect(), false),
        ] {
            assert_eq!(KeyRing::new(&keys, "", "").is_ok(), fits, "{keys:?}");
        }
    }

    #[test]
    fn subkeys_differ_by_purpose_issuer_and_audience() {
        let macs = |issuer: &str, audience: &str| {
            let ring = KeyRing::new(&[key("a", 32)], issuer, audience).unwrap();
            [&ring.signing().compact, &ring.signing().jwt, &ring.signing().csrf]
                .map(|signer| sign(signer, &[b"x"]))
        };
        let mut all: Vec<_> = [("", ""), ("a", "b"), ("ab", ""), ("", "ab")]
            .iter()
            .flat_map(|(i, a)| macs(i, a))
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 12);
    }

    #[test]
    fn no_secret_stands_in_debug_output() {
        let key = SigningKey {
            id: "a".into(),
            secret: b"0123456789abcdef0123456789abcdef".to_vec(),
        };
        let ring = KeyRing::new(std::slice::from_ref(&key), "", "").unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { id: \"a\", .. }");
        assert!(!format!("{ring:?}").contains("48"), "{ring:?}");
    }

    /// RFC 4231, test cases 1, 2 and 4 (keys of at most 32 bytes, as subkeys are).
    #[test]
    fn the_mac_is_hmac_sha256() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[
                    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                ],
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
        ];
        for (secret, data, expected) in cases {
            let mut padded = [0; 32];
            padded[..secret.len()].copy_from_slice(secret);
            let mac = sign(&signer(&padded), &[data]);
            let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
            assert!(verify(&signer(&padded), &[&data[..1], &data[1..]], &mac));
        }
    }
}
