//! Strings as JSON, in one canonical form: two equal texts are equal bytes.

/// Writes a string with its quotes.
pub fn push_string(text: &str, onto: &mut String) {
    onto.push('"');
    push_string_body(text, onto);
    onto.push('"');
}

/// Writes a string without its quotes.
pub fn push_string_body(text: &str, onto: &mut String) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            continue;
        }
        onto.push_str(super::slice(text, plain, at));
        plain = at + 1;
        match byte {
            b'"' => onto.push_str("\\\""),
            b'\\' => onto.push_str("\\\\"),
            b'\n' => onto.push_str("\\n"),
            b'\r' => onto.push_str("\\r"),
            b'\t' => onto.push_str("\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                onto.push_str("\\u00");
                onto.push(char::from(HEX[usize::from(control >> 4)]));
                onto.push(char::from(HEX[usize::from(control & 15)]));
            }
        }
    }
    onto.push_str(super::slice(text, plain, text.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_written_string_is_read_back(text in "\\PC{0,12}|[\\x00-\\x7f]{0,12}") {
            let mut written = String::new();
            push_string(&text, &mut written);
            let read: String = serde_json::from_str(&written).unwrap();
            proptest::prop_assert_eq!(&read, &text);
            let ours = crate::json::Scanner::new(&written).text().unwrap().into_owned();
            proptest::prop_assert_eq!(&ours, &text);
        }
    }
}
