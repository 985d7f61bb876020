//! Canonical JSON: no white space, one notation of strings and numbers, members in their original order.

use std::borrow::Cow;
use std::collections::BinaryHeap;

use super::{Fault, MAXIMUM_DEPTH, Scanner, push_string, read_float, slice};

/// Reads one value and appends its canonical text. Equal values with equal order of members have equal bytes.
///
/// # Errors
/// If the text is not JSON, nests deeper than [`MAXIMUM_DEPTH`], or has a duplicate name in an object or a number beyond the
/// range of a float. The appended text is incomplete then; discard it.
pub fn push_canonical(text: &str, scanner: &mut Scanner<'_>, onto: &mut String) -> Result<(), Fault> {
    nested(text, scanner, onto, 0)
}

fn nested(text: &str, scanner: &mut Scanner<'_>, onto: &mut String, depth: usize) -> Result<(), Fault> {
    match scanner.peek() {
        Some(b'"') => {
            push_string(&scanner.text()?, onto);
            Ok(())
        }
        Some(b'{' | b'[') if depth == MAXIMUM_DEPTH => scanner.fault("nested deeper than 64 levels"),
        Some(b'{') => object(text, scanner, onto, depth + 1),
        Some(b'[') => array(text, scanner, onto, depth + 1),
        Some(b'-' | b'0'..=b'9') => number(text, scanner, onto),
        _ => {
            let span = scanner.value(super::Names::Trusted)?;
            onto.push_str(slice(text, span.start, span.end));
            Ok(())
        }
    }
}

fn array(text: &str, scanner: &mut Scanner<'_>, onto: &mut String, depth: usize) -> Result<(), Fault> {
    scanner.expect(b'[')?;
    onto.push('[');
    if !scanner.accept(b']') {
        loop {
            nested(text, scanner, onto, depth)?;
            if !scanner.accept(b',') {
                scanner.expect(b']')?;
                break;
            }
            onto.push(',');
        }
    }
    onto.push(']');
    Ok(())
}

fn object(text: &str, scanner: &mut Scanner<'_>, onto: &mut String, depth: usize) -> Result<(), Fault> {
    scanner.expect(b'{')?;
    onto.push('{');
    if !scanner.accept(b'}') {
        let mut seen: BinaryHeap<Cow<'_, str>> = BinaryHeap::new();
        loop {
            if scanner.peek() != Some(b'"') {
                return scanner.fault("expected a name");
            }
            let name = scanner.text()?;
            push_string(&name, onto);
            seen.push(name);
            scanner.expect(b':')?;
            onto.push(':');
            nested(text, scanner, onto, depth)?;
            if !scanner.accept(b',') {
                scanner.expect(b'}')?;
                break;
            }
            onto.push(',');
        }
        super::scanner::check_unique(scanner, seen)?;
    }
    onto.push('}');
    Ok(())
}

fn number(text: &str, scanner: &mut Scanner<'_>, onto: &mut String) -> Result<(), Fault> {
    let span = scanner.number()?;
    let digits = slice(text, span.start, span.end);
    if !digits.contains(['.', 'e', 'E']) {
        // JSON has no other redundant notation of an integer.
        onto.push_str(if digits == "-0" { "0" } else { digits });
        return Ok(());
    }
    match read_float(digits) {
        Some(float) => {
            onto.push_str(ryu::Buffer::new().format_finite(float));
            Ok(())
        }
        None => Err(Fault {
            at: span.start,
            reason: "a number exceeds the range of a float",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, Fault> {
        let (mut scanner, mut written) = (Scanner::new(text), String::new());
        push_canonical(text, &mut scanner, &mut written)?;
        scanner.end()?;
        Ok(written)
    }

    #[test]
    fn one_value_has_one_text() {
        for (text, written) in [
            (
                " { \"b\" : [ 1 , 2.50 ] , \"a\" : null } ",
                r#"{"b":[1,2.5],"a":null}"#,
            ),
            (r#""\u0061\/\u00e9\u0007""#, "\"a/\u{e9}\\u0007\""),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1e2", "100.0"),
            ("1E-7", "1e-7"),
            ("18446744073709551616", "18446744073709551616"),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(written), "{text}");
            assert_eq!(canonical(written).as_deref(), Ok(written), "{text}");
        }
        for text in [
            "1e400",
            "[1e309]",
            &format!("[1{}]", "0".repeat(309)),
            r#"{"a":1,"\u0061":2}"#,
            "[1,]",
            "",
            &"[".repeat(65),
        ] {
            assert!(canonical(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_what_was_read(text in r#"[\[\]{}:,"\\u0-9aeE+.\- tfn]{0,24}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            if let Ok(written) = canonical(&text) {
                let ours = serde_json::from_str::<serde_json::Value>(&written).ok();
                proptest::prop_assert_eq!(ours, theirs.ok());
            }
        }
    }
}
