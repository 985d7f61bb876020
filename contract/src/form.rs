//! The encoding of a session's fields, in a record and in the engine's interface.
//!
//! Most values are plain JSON. Values that plain JSON cannot represent are encoded as `{"$t":[kind, content]}`: bytes, integers
//! that a reader with floats would round, and JSON that would be mistaken for another kind of value.

use core::fmt;
use std::borrow::Cow;

use crate::Value;
use crate::encoding;
use crate::index::Index;
use crate::json::{self, Fault, Names, Scanner};

/// The greatest integer that every JSON reader represents exactly.
const MAXIMUM_PLAIN_INTEGER: u64 = (1 << 53) - 1;

/// The only reserved name.
const TAG: &str = "$t";

const UNKNOWN_TAG: &str = "`$t` must be one of [\"int\", text], [\"bytes\", base64url] and [\"json\", value]; send an object \
                           of your own with that name as {\"$t\":[\"json\", object]}";

/// The reason for which a change of a field is refused. No text in it contains a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The name is invalid, for this reason.
    Name(&'static str),
    /// The value is invalid, for this reason.
    Value(Cow<'static, str>),
    /// A limit was exceeded: its name in `wit/policy.wit`, and the maximum.
    Limit(&'static str, u32),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(reason) => write!(f, "name {reason}"),
            Self::Value(reason) => write!(f, "invalid value: {reason}"),
            Self::Limit(limit, maximum) => write!(f, "{limit} is at most {maximum}"),
        }
    }
}

impl std::error::Error for Unfit {}

fn unfit(reason: &'static str) -> Unfit {
    Unfit::Value(Cow::Borrowed(reason))
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        Self::Value(fault.to_text().into())
    }
}

/// The limits of fields; each is described in `wit/policy.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/policy.wit")]
pub struct FieldLimits {
    pub maximum_name_bytes: u32,
    pub maximum_value_bytes: u32,
    pub maximum_record_bytes: u32,
    pub maximum_fields: u32,
}

/// Checks the name of a field: 1 to `maximum` bytes, no control characters.
///
/// # Errors
/// [`Unfit::Name`] if the name is empty or contains a control character, [`Unfit::Limit`] if it is too long.
pub fn check_name(name: &str, maximum: u32) -> Result<(), Unfit> {
    if name.is_empty() {
        return Err(Unfit::Name("must not be empty"));
    }
    if name.len() > maximum as usize {
        return Err(Unfit::Limit("maximum-name-bytes", maximum));
    }
    if name.chars().any(char::is_control) {
        return Err(Unfit::Name("must hold no control characters"));
    }
    Ok(())
}

/// Escapes a name as in a record, without quotes.
pub fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    json::push_string_body(name, &mut escaped);
    escaped
}

/// Encodes a value as in a record.
///
/// # Errors
/// [`Unfit::Value`] for a float that is not finite and for JSON that is not well-formed.
pub fn encode(value: &Value) -> Result<String, Unfit> {
    let mut text = String::new();
    match value {
        Value::Null => text.push_str("null"),
        Value::Boolean(true) => text.push_str("true"),
        Value::Boolean(false) => text.push_str("false"),
        Value::Integer(number) if number.unsigned_abs() <= MAXIMUM_PLAIN_INTEGER => {
            push_integer(*number, &mut text)
        }
        Value::Integer(number) => {
            text.push_str("{\"$t\":[\"int\",\"");
            push_integer(*number, &mut text);
            text.push_str("\"]}");
        }
        // The shortest text that reads back the same, always with a point or an exponent.
        Value::Float(number) if number.is_finite() => {
            text.push_str(ryu::Buffer::new().format_finite(*number))
        }
        Value::Float(_) => return Err(unfit("a float must be finite")),
        Value::Text(content) => json::push_string(content, &mut text),
        Value::Bytes(bytes) => {
            text.push_str("{\"$t\":[\"bytes\",\"");
            encoding::encode_onto(bytes, &mut text);
            text.push_str("\"]}");
        }
        Value::Json(content) => return tagged_if_needed(&canonical_json(content)?),
    }
    Ok(text)
}

fn push_integer(number: i64, onto: &mut String) {
    if number < 0 {
        onto.push('-');
    }
    json::push_unsigned(number.unsigned_abs(), onto);
}

/// Checks that a text is one JSON value, and returns its canonical text.
fn canonical_json(content: &str) -> Result<String, Fault> {
    let (mut scanner, mut text) = (Scanner::new(content), String::with_capacity(content.len()));
    json::push_canonical(content, &mut scanner, &mut text)?;
    scanner.end()?;
    Ok(text)
}

/// Tags canonical JSON that would be mistaken for another kind of value.
fn tagged_if_needed(content: &str) -> Result<String, Unfit> {
    let needs_tag = match content.as_bytes().first() {
        Some(b'[') => false,
        Some(b'{') => has_member(content, TAG)?,
        _ => true,
    };
    if !needs_tag {
        return Ok(content.to_owned());
    }
    let tagged = ["{\"$t\":[\"json\",", content, "]}"].concat();
    // A tag adds two levels. The depth is checked again, so that every accepted value can be read back.
    Scanner::new(&tagged).value(Names::Trusted)?;
    Ok(tagged)
}

/// Parses one value from outside, in any JSON notation, and encodes it as in a record.
///
/// # Errors
/// [`Unfit::Value`] if it is not JSON, has an unknown tag, or is an integer beyond 64 bits.
pub fn canonical(text: &str) -> Result<String, Unfit> {
    let content = canonical_json(text)?;
    match content.as_bytes().first() {
        Some(b'{') if content.contains(TAG) && has_member(&content, TAG)? => {
            encode(&decode_tagged(&content).ok_or(unfit(UNKNOWN_TAG))?)
        }
        Some(b'-' | b'0'..=b'9') if !content.contains(['.', 'e', 'E']) => match content.parse() {
            Ok(number) => encode(&Value::Integer(number)),
            Err(_) => Err(unfit(
                "an integer exceeds the signed 64-bit range; send it as text, or as a float with a point",
            )),
        },
        _ => Ok(content),
    }
}

fn has_member(object: &str, wanted: &str) -> Result<bool, Fault> {
    let mut scanner = Scanner::new(object);
    scanner.expect(b'{')?;
    if scanner.accept(b'}') {
        return Ok(false);
    }
    loop {
        let name = scanner.text()?;
        if name == wanted {
            return Ok(true);
        }
        scanner.expect(b':')?;
        scanner.value(Names::Trusted)?;
        if !scanner.accept(b',') {
            return Ok(false);
        }
    }
}

/// Decodes a value of a record; `None` if the text is not one that [`encode`] writes.
pub fn decode(text: &str) -> Option<Value> {
    Some(match text.as_bytes().first()? {
        b'n' => Value::Null,
        b't' => Value::Boolean(true),
        b'f' => Value::Boolean(false),
        b'"' => Value::Text(Scanner::new(text).text().ok()?.into_owned()),
        b'[' => Value::Json(text.into()),
        b'{' if text.starts_with("{\"$t\":") => decode_tagged(text)?,
        b'{' => Value::Json(text.into()),
        _ if text.contains(['.', 'e', 'E']) => Value::Float(json::read_float(text)?),
        _ => Value::Integer(text.parse().ok()?),
    })
}

/// Decodes the members of an object of fields, in their order. A member whose value has no known encoding is omitted.
///
/// # Errors
/// If the text is not an object whose names are ordered and unique.
pub fn members(text: &str) -> Result<Vec<(String, Value)>, Fault> {
    let index = Index::read(text, &mut Scanner::new(text))?;
    let member = |(name, raw)| Some((json::unescape(name).into_owned(), decode(raw)?));
    Ok(index.raw_fields(text).filter_map(member).collect())
}

fn decode_tagged(text: &str) -> Option<Value> {
    let mut scanner = Scanner::new(text);
    scanner.literal("{\"$t\":[").ok()?;
    let kind = scanner.text().ok()?;
    scanner.expect(b',').ok()?;
    let value = match &*kind {
        "int" => {
            let digits = scanner.text().ok()?;
            let number: i64 = digits.parse().ok()?;
            let mut text = String::new();
            push_integer(number, &mut text);
            // Each number has exactly one text.
            (text == digits).then_some(Value::Integer(number))?
        }
        "bytes" => Value::Bytes(encoding::decode(&scanner.text().ok()?)?),
        "json" => {
            let span = scanner.value(Names::Trusted).ok()?;
            Value::Json(json::slice(text, span.start, span.end).into())
        }
        _ => return None,
    };
    scanner.literal("]}").ok()?;
    scanner.end().ok()?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_has_the_form_the_record_documents() {
        let cases = [
            (Value::Null, "null"),
            (Value::Boolean(true), "true"),
            (Value::Integer(-7), "-7"),
            (Value::Integer(9007199254740991), "9007199254740991"),
            (
                Value::Integer(9007199254740992),
                r#"{"$t":["int","9007199254740992"]}"#,
            ),
            (
                Value::Integer(i64::MIN),
                r#"{"$t":["int","-9223372036854775808"]}"#,
            ),
            (Value::Float(1.0), "1.0"),
            (Value::Float(-0.0), "-0.0"),
            (Value::Float(1e300), "1e300"),
            (Value::Text("a\"\u{0}".into()), r#""a\"\u0000""#),
            (Value::Bytes(vec![0, 255]), r#"{"$t":["bytes","AP8"]}"#),
            (Value::Json("[1,2]".into()), "[1,2]"),
            (Value::Json(r#"{"a":1}"#.into()), r#"{"a":1}"#),
            (Value::Json("5".into()), r#"{"$t":["json",5]}"#),
            (
                Value::Json(r#"{"a":1,"$t":2}"#.into()),
                r#"{"$t":["json",{"a":1,"$t":2}]}"#,
            ),
        ];
        for (value, text) in cases {
            assert_eq!(encode(&value).unwrap(), text);
            assert_eq!(decode(text).unwrap(), value);
            assert_eq!(canonical(text).unwrap(), text);
        }
    }

    #[test]
    fn floats_that_are_not_finite_are_refused() {
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(encode(&Value::Float(float)), Err(Unfit::Value(_))));
        }
        assert!(decode("1e999").is_none() && canonical("1e999").is_err() && canonical("[[-1e999]]").is_err());
    }

    #[test]
    fn a_tag_takes_two_of_the_levels_that_a_value_may_have() {
        let nested = |depth: usize| Value::Json(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        let tagged = |depth: usize| {
            let depth = depth - 1;
            Value::Json(format!("{{\"$t\":{}{}}}", "[".repeat(depth), "]".repeat(depth)))
        };
        for value in [nested(64), tagged(62)] {
            let text = encode(&value).unwrap();
            assert_eq!(decode(&text), Some(value));
            assert_eq!(canonical(&text).as_deref(), Ok(text.as_str()));
        }
        for value in [nested(65), tagged(63), tagged(64)] {
            assert!(matches!(encode(&value), Err(Unfit::Value(_))));
        }
    }

    #[test]
    fn unknown_tags_are_corrupt_and_never_guessed() {
        for text in [
            r#"{"$t":["date","x"]}"#,
            r#"{"$t":1}"#,
            r#"{"$t":["int","x"]}"#,
            r#"{"$t":["bytes","AB"]}"#,
            r#"{"$t":["int","1"],"a":1}"#,
        ] {
            assert!(decode(text).is_none() && canonical(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_comes_in_any_form_is_written_in_one() {
        for (text, written) in [
            (" 9007199254740992 ", r#"{"$t":["int","9007199254740992"]}"#),
            (r#"{"$t":["int","7"]}"#, "7"),
            (r#"{ "\u0024t" : ["json", [1.50]] }"#, "[1.5]"),
            (r#"{"$t":["json",{"\u0024t":1}]}"#, r#"{"$t":["json",{"$t":1}]}"#),
            ("1E2", "100.0"),
            ("-0", "0"),
            (r#""\u0061\/""#, r#""a/""#),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(written), "{text}");
        }
        for text in [
            "9223372036854775808",
            "1e400",
            "[1e400]",
            r#"{"a":1,"$t":["int","1"]}"#,
            r#"{"a":1,"a":2}"#,
            "",
            "1 2",
            r#"{"$t":["int","05"]}"#,
        ] {
            assert!(matches!(canonical(text), Err(Unfit::Value(_))), "{text}");
        }
    }

    fn encoded(json: &str) -> String {
        canonical_json(json).unwrap()
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            any::<f64>()
                .prop_filter("finite", |f| f.is_finite())
                .prop_map(Value::Float),
            any::<String>().prop_map(Value::Text),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            any::<bool>().prop_map(Value::Boolean),
            (any::<String>(), any::<i32>()).prop_map(|(name, number)| {
                Value::Json(encoded(
                    &serde_json::json!({ name: number, "x": [{"$t": 1}] }).to_string(),
                ))
            }),
            any::<i32>().prop_map(|number| Value::Json(serde_json::json!({"$t": number}).to_string())),
        ]
    }

    proptest! {
        #[test]
        fn every_value_comes_back_with_its_type(value in any_value()) {
            let text = encode(&value).unwrap();
            prop_assert_eq!(canonical(&text).unwrap(), text.clone());
            let back = decode(&text).unwrap();
            if let (Value::Float(a), Value::Float(b)) = (&value, &back) {
                prop_assert_eq!(a.to_bits(), b.to_bits());
            } else {
                prop_assert_eq!(back, value);
            }
        }
    }
}
