//! Canonical JSON strings and numbers: equal values have equal bytes.

use super::plain::plain_run;
use super::text::slice;

/// Appends a string with its quotes.
pub fn push_string(text: &str, onto: &mut String) {
    onto.push('"');
    push_string_body(text, onto);
    onto.push('"');
}

/// Appends a string without its quotes.
pub fn push_string_body(text: &str, onto: &mut String) {
    let mut rest = text;
    loop {
        let run = plain_run(rest.as_bytes());
        onto.push_str(slice(rest, 0, run));
        let Some(byte) = rest.as_bytes().get(run) else {
            return;
        };
        rest = slice(rest, run + 1, rest.len());
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
}

/// Appends an unsigned integer.
pub fn push_unsigned(mut number: u64, onto: &mut String) {
    // No number of 64 bits has more than 20 digits.
    let (mut digits, mut at) = ([b'0'; 20], 20);
    loop {
        // Nine digits at a time: a 32-bit division by a constant compiles to a multiplication, a 64-bit one does not.
        let (mut nine, rest) = ((number % 1_000_000_000) as u32, number / 1_000_000_000);
        let ends = at;
        while nine > 0 || at == 20 {
            at -= 1;
            digits[at] = b'0' + (nine % 10) as u8;
            nine /= 10;
        }
        number = rest;
        if number == 0 {
            break;
        }
        at = ends - 9;
    }
    // The digits are ASCII.
    onto.push_str(core::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Returns the text of an unsigned integer.
///
/// The standard library's formatting would be a thirtieth of the component.
pub fn decimal(number: u64) -> String {
    let mut text = String::new();
    push_unsigned(number, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_number_is_read_back() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let around = powers.flat_map(|power| [power - 1, power, power + 1, power / 5 * 8]);
        for number in around.chain([1_767_225_600_000, u64::MAX - 1, u64::MAX]) {
            let mut written = String::new();
            push_unsigned(number, &mut written);
            assert_eq!(written, number.to_string());
            assert_eq!(crate::json::Scanner::new(&written).unsigned(), Ok(number));
        }
        for refused in [
            "",
            "-1",
            "01",
            "00",
            "1.0",
            "1e7",
            "1E7",
            "18446744073709551616",
            "99999999999999999999",
            "100000000000000000000",
        ] {
            assert!(
                crate::json::Scanner::new(refused).unsigned().is_err(),
                "{refused}"
            );
        }
    }

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
