//! Slices of a text, and the unescaping of strings.

use std::borrow::Cow;

/// Returns the part of a text between two bytes.
///
/// Unlike indexing, it adds no code that prints the text in a panic.
/// It never panics for a scanner's positions, which are before or after a whole character.
pub fn slice(text: &str, start: usize, end: usize) -> &str {
    match text.get(start..end) {
        Some(part) => part,
        None => panic!("a span ends within a character"),
    }
}

pub(super) fn hex(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

/// Unescapes the body of a checked string.
pub fn unescape(body: &str) -> Cow<'_, str> {
    let Some(first) = body.find('\\') else {
        return Cow::Borrowed(body);
    };
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    let mut next = Some(first);
    while let Some(at) = next {
        text.push_str(slice(rest, 0, at));
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        let mut length = 2;
        text.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (decoded, read) = unescape_unit(&rest.as_bytes()[at..]);
                length = read;
                decoded
            }
            other => char::from(other),
        });
        rest = slice(rest, at + length, rest.len());
        next = rest.find('\\');
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Decodes `\uXXXX` or a surrogate pair, which the scanner has checked, and returns the number of bytes read.
fn unescape_unit(bytes: &[u8]) -> (char, usize) {
    let unit = |from: usize| bytes.get(from..from + 4).and_then(hex).unwrap_or(0xfffd);
    let high = unit(2);
    if !(0xd800..0xdc00).contains(&high) {
        return (
            char::from_u32(high.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
            6,
        );
    }
    let (high, low) = (u32::from(high), u32::from(unit(8)));
    let point = 0x10000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
    (char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
}
