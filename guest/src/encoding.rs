//! Base64url without padding, canonical only (RFC 4648, section 5): one text for each sequence of bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Writes bytes as base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Writes bytes as base64url without padding at the end of a text.
pub fn encode_onto(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Reads base64url; `None` for padding, foreign characters, a wrong length, or bits set past the end.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads exactly `N` bytes of base64url.
pub fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    // An exact length first: decode_slice would accept any that fits.
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let mut bytes = [0; N];
    let length = URL_SAFE_NO_PAD.decode_slice_unchecked(text, &mut bytes).ok()?;
    (length == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_sequence_has_one_text() {
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)).as_deref(), Some(&bytes[..]));
        }
        assert_eq!(decode_exact::<1>("AA"), Some([0]));
        for refused in ["AB", "AA=", "AA==", "A", "A+", "A/", "A A", "\u{e9}A", "AAA", ""] {
            assert_eq!(decode_exact::<1>(refused), None, "{refused}");
        }
    }
}
