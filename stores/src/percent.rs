//! Percent-encoding, as in URLs.

/// Decodes a text in which each `%` with two hexadecimal digits stands for a byte.
#[cfg(any(feature = "redis", feature = "sql"))]
pub(super) fn decoded(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "has a % that is not followed by two hexadecimal digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit().ok_or(WRONG)?, digit().ok_or(WRONG)?);
        // Two hexadecimal digits fit in a byte.
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 after percent-decoding")
}

/// Encodes everything except ASCII letters and digits.
#[cfg(any(feature = "sql", feature = "sqlite"))]
pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
