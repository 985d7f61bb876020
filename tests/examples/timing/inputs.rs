//! Random numbers, and tokens whose mac is correct only in its first bytes.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

pub(crate) const MAC_BYTES: usize = 32;
/// The length of 32 bytes in base64url.
const MAC_CHARACTERS: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Steele, Lea and Flood's SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }
}

/// Returns a mac that is correct in its first `agrees` bytes, wrong in the next one, and random after it.
///
/// All classes are made by the same steps, so that they differ only in their contents.
pub(crate) fn nearly(right: &[u8; MAC_BYTES], agrees: usize, random: &mut Random) -> [u8; MAC_BYTES] {
    let mut mac = random.bytes();
    let wrong = 1 + random.below(255) as u8;
    for (at, byte) in mac.iter_mut().enumerate() {
        if at < agrees {
            *byte = right[at];
        } else if at == agrees {
            *byte = right[at] ^ wrong;
        }
    }
    mac
}

/// A token in two parts: the signed text with its final dot, and the mac.
pub(crate) struct Signed {
    signed: String,
    pub(crate) mac: [u8; MAC_BYTES],
}

impl Signed {
    pub(crate) fn split(token: &str) -> Option<Self> {
        let at = token.len().checked_sub(MAC_CHARACTERS)?;
        let mac = BASE64_URL_SAFE_NO_PAD.decode(&token[at..]).ok()?;
        Some(Self {
            signed: token[..at].to_owned(),
            mac: mac.try_into().ok()?,
        })
    }

    pub(crate) fn with(&self, mac: &[u8]) -> String {
        format!("{}{}", self.signed, BASE64_URL_SAFE_NO_PAD.encode(mac))
    }
}

/// Returns the text with another character at one position.
pub(crate) fn with_other(text: &str, at: usize, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let was = bytes[at];
    while bytes[at] == was {
        bytes[at] = ALPHABET[random.below(ALPHABET.len())];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the text with other characters at the end: of the four that the memo uses, all but the last one, whose low bits
/// are padding.
pub(crate) fn with_other_tail(text: &str, random: &mut Random) -> String {
    (2..5).fold(text.to_owned(), |text, from_end| {
        with_other(&text, text.len() - from_end, random)
    })
}
