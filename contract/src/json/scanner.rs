//! A strict scanner: RFC 8259, UTF-8, no unpaired surrogates, bounded depth.

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::float::is_finite;
use super::number;
use super::plain::{begins_with, plain_run};
use super::text::{hex, slice, unescape};
use super::writer::decimal;

/// The maximum depth of nested arrays and objects.
pub const MAXIMUM_DEPTH: usize = 64;

/// An error in a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The byte offset at which reading stopped.
    pub at: usize,
    /// A description.
    pub reason: &'static str,
}

impl Fault {
    /// Returns the position and the description as one text.
    pub fn to_text(&self) -> String {
        ["at byte ", &decimal(self.at as u64), ": ", self.reason].concat()
    }
}

/// Whether the names of an object are checked for duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Refuse duplicates: for texts from outside.
    Unique,
    /// Do not check: for texts that were checked when they were accepted.
    Trusted,
}

/// Reads a JSON text from left to right.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// Checks that a text is exactly one JSON value with unique names, and returns it without the surrounding white space.
///
/// # Errors
/// The first error in the text.
pub fn check(text: &str) -> Result<&str, Fault> {
    let mut scanner = Scanner::new(text);
    let span = scanner.value(Names::Unique)?;
    scanner.end()?;
    Ok(slice(text, span.start, span.end))
}

impl<'a> Scanner<'a> {
    /// Creates a scanner at the first byte of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the part of the text between two positions of the scanner.
    pub fn slice(&self, span: &Range<usize>) -> &'a str {
        slice(self.text, span.start, span.end)
    }

    /// Returns the byte offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    pub(super) fn fault<T>(&self, reason: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.at, reason })
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips white space, which a record does not contain.
    #[inline(always)]
    fn space(&mut self) {
        if self.byte().is_some_and(|byte| byte <= b' ') {
            self.skip_space();
        }
    }

    #[cold]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// Returns the next byte that is not white space, without reading it.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        self.space();
        self.byte()
    }

    /// Reads `byte` if it is next after white space, and returns whether it was.
    pub fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    /// Reads `byte` after white space.
    ///
    /// # Errors
    /// If another byte is next.
    pub fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.accept(byte) {
            Ok(())
        } else {
            self.fault("unexpected character")
        }
    }

    /// Reads exactly this text, without skipping white space.
    ///
    /// # Errors
    /// If another text is next.
    pub fn literal(&mut self, literal: &str) -> Result<(), Fault> {
        if begins_with(&self.text.as_bytes()[self.at..], literal.as_bytes()) {
            self.at += literal.len();
            Ok(())
        } else {
            self.fault("unexpected text")
        }
    }

    /// Checks that only white space follows.
    ///
    /// # Errors
    /// If anything else follows.
    pub fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fault("trailing characters"),
        }
    }

    /// Reads one value and returns its position.
    ///
    /// # Errors
    /// If no valid value is next, or it nests deeper than [`MAXIMUM_DEPTH`].
    pub fn value(&mut self, names: Names) -> Result<Range<usize>, Fault> {
        self.space();
        let start = self.at;
        self.nested(names, 0)?;
        Ok(start..self.at)
    }

    fn nested(&mut self, names: Names, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{' | b'[') if depth == MAXIMUM_DEPTH => self.fault("nested deeper than 64 levels"),
            Some(b'{') => self.object(names, depth + 1),
            Some(b'[') => self.array(names, depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(_) => self.fault("expected a JSON value"),
            None => self.fault("the text ends where a value was expected"),
        }
    }

    fn array(&mut self, names: Names, depth: usize) -> Result<(), Fault> {
        self.expect(b'[')?;
        if self.accept(b']') {
            return Ok(());
        }
        loop {
            self.nested(names, depth)?;
            if !self.accept(b',') {
                return self.expect(b']');
            }
        }
    }

    fn object(&mut self, names: Names, depth: usize) -> Result<(), Fault> {
        self.expect(b'{')?;
        if self.accept(b'}') {
            return Ok(());
        }
        // A heap, because the code of a sort would enlarge the component.
        let mut seen: BinaryHeap<Cow<'a, str>> = BinaryHeap::new();
        loop {
            if self.peek() != Some(b'"') {
                return self.fault("expected a name");
            }
            let name = self.string()?;
            if names == Names::Unique {
                seen.push(unescape(slice(self.text, name.start, name.end)));
            }
            self.expect(b':')?;
            self.nested(names, depth)?;
            if !self.accept(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        check_unique(self, seen)
    }

    /// Reads a string and returns the position of its body, without quotes.
    ///
    /// # Errors
    /// If no valid string is next.
    pub fn string(&mut self) -> Result<Range<usize>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain_run(&self.text.as_bytes()[self.at..]);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fault("unescaped control character in a string"),
                None => return self.fault("the text ends within a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                0xdc00..=0xdfff => self.fault("unpaired low surrogate"),
                0xd800..=0xdbff => {
                    if self.byte() != Some(b'\\') || self.text.as_bytes().get(self.at + 1) != Some(&b'u') {
                        return self.fault("unpaired high surrogate");
                    }
                    self.at += 1;
                    match self.unit()? {
                        0xdc00..=0xdfff => Ok(()),
                        _ => self.fault("unpaired high surrogate"),
                    }
                }
                _ => Ok(()),
            },
            _ => self.fault("unknown escape"),
        }
    }

    /// Reads `uXXXX`.
    fn unit(&mut self) -> Result<u16, Fault> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
        let Some(unit) = digits.and_then(hex) else {
            return self.fault("\\u needs four hexadecimal digits");
        };
        self.at += 5;
        Ok(unit)
    }

    /// Reads a number and returns its position.
    ///
    /// # Errors
    /// If no number is next, or it exceeds the range of a float, because a reader would make it infinite.
    pub fn number(&mut self) -> Result<Range<usize>, Fault> {
        self.space();
        let start = self.at;
        let (end, read) = number::scan(self.text.as_bytes(), start);
        self.at = end;
        if let Err(reason) = read {
            return self.fault(reason);
        }
        if !is_finite(slice(self.text, start, end)) {
            return Err(Fault {
                at: start,
                reason: "a number exceeds the range of a float",
            });
        }
        Ok(start..end)
    }

    /// Reads an integer from 0 to 2^64−1.
    ///
    /// # Errors
    /// If anything else is next.
    pub fn unsigned(&mut self) -> Result<u64, Fault> {
        const GREATEST: &[u8] = b"18446744073709551615";
        self.space();
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = &rest[..length];
        // JSON has no leading zeros. Of two numbers of equal length, the greater one has the greater text.
        let is_too_great = length > GREATEST.len() || (length == GREATEST.len() && digits > GREATEST);
        let is_float = matches!(rest.get(length), Some(b'.' | b'e' | b'E'));
        if length == 0 || is_too_great || is_float || (length > 1 && digits[0] == b'0') {
            return self.fault("expected an integer from 0 to 2^64−1");
        }
        self.at += length;
        // Wrapping, because a check of each step needs a 128-bit multiplication.
        let append = |number: u64, digit: &u8| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        Ok(digits.iter().fold(0, append))
    }

    /// Reads a string and returns its unescaped text.
    ///
    /// # Errors
    /// If no valid string is next.
    pub fn text(&mut self) -> Result<Cow<'a, str>, Fault> {
        let span = self.string()?;
        Ok(unescape(slice(self.text, span.start, span.end)))
    }
}

/// Refuses a duplicate name.
pub(super) fn check_unique(scanner: &Scanner<'_>, mut names: BinaryHeap<Cow<'_, str>>) -> Result<(), Fault> {
    let mut before = names.pop();
    while let Some(name) = names.pop() {
        if before.as_ref() == Some(&name) {
            return scanner.fault("duplicate name in an object");
        }
        before = Some(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rfc_8259_allows_is_read() {
        for text in [
            "0",
            "-0",
            "1.5e+10",
            "-0.0E-3",
            "true",
            "false",
            "null",
            "\"\"",
            "[]",
            "{}",
            " [1 , 2]\r\n\t",
            r#"{"a":{"a":[{}]},"b":"\ud83d\ude00 \u0000\/"}"#,
            "\"\u{7f}\u{10ffff}\"",
        ] {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_rfc_8259_forbids_is_refused() {
        for text in [
            "",
            " ",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "0x1",
            "00",
            "-01",
            "tru",
            "True",
            "nul",
            "'a'",
            "\"",
            "\"\n\"",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{a:1}",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            "1 2",
            "[1]]",
            r#""\x""#,
            r#""\u12""#,
            r#""\u12g4""#,
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\udc00""#,
            r#""\ud800x""#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"k":1,"k":1}}]"#,
            "\u{feff}1",
            "NaN",
            "Infinity",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_64_is_read_and_65_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(&nested(64)).is_ok());
        assert_eq!(
            check(&nested(65)).unwrap_err().reason,
            "nested deeper than 64 levels"
        );
    }

    #[test]
    fn unescape_agrees_with_serde_json() {
        for body in [
            r"a\nb",
            r"\u00e9\ud83d\ude00!",
            r#"\"\\\/\b\f\n\r\t"#,
            "plain",
            r"\u0000",
            "",
        ] {
            let expected: String = serde_json::from_str(&format!("\"{body}\"")).unwrap();
            assert_eq!(unescape(body), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn accepts_exactly_what_serde_json_accepts_up_to_names_and_depth(text in r#"[\[\]{}:,"\\u0-9aeE+.\- tfn]{0,24}"#) {
            let ours = check(&text);
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match (&ours, &theirs) {
                (Err(fault), Ok(_)) => proptest::prop_assert!(fault.reason.contains("duplicate"), "{}", fault.reason),
                (Ok(_), Err(error)) => proptest::prop_assert!(false, "{error}"),
                _ => {}
            }
        }
    }
}
