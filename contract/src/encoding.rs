//! Base64url without padding (RFC 4648, section 5), canonical only: each sequence of bytes has exactly one text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes bytes as base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 4).div_ceil(3));
    encode_onto(bytes, &mut text);
    text
}

/// Appends bytes to a text as base64url without padding.
///
/// Encodes in pieces that fit a buffer, because the library's own functions for strings add 4 KB of code that prints errors.
pub fn encode_onto(bytes: &[u8], text: &mut String) {
    let mut buffer = [0; 128];
    for piece in bytes.chunks(96) {
        // 96 bytes make 128 characters, and base64 is ASCII.
        let length = URL_SAFE_NO_PAD.encode_slice(piece, &mut buffer).unwrap_or(0);
        text.push_str(core::str::from_utf8(&buffer[..length]).unwrap_or_default());
    }
}

/// Decodes base64url; `None` for padding, foreign characters, an invalid length, or bits set past the end.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; base64::decoded_len_estimate(text.len())];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// Decodes exactly `N` bytes of base64url; `None` also for any other length.
pub fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Checked first, so that a long text is not decoded.
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_sequence_has_one_text() {
        for length in 0..400_u32 {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 37) as u8).collect();
            assert_eq!(decode(&encode(&bytes)).as_deref(), Some(&bytes[..]));
        }
        assert_eq!(decode_exact::<1>("AA"), Some([0]));
        for refused in ["AB", "AA=", "AA==", "A", "A+", "A/", "A A", "\u{e9}A", "AAA", ""] {
            assert_eq!(decode_exact::<1>(refused), None, "{refused}");
        }
    }
}
