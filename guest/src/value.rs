//! The values of fields, and their form in the record.
//!
//! Most stand as plain JSON. What JSON would blur stands as `{"$t":[kind, content]}`: bytes, integers that a reader with
//! floats would round, and JSON that would be mistaken for another kind of value.

use crate::encoding;
use crate::error::{Error, Kind};
use crate::json::{self, Names, Scanner};

/// The greatest integer that every reader of JSON keeps exact.
const MAXIMUM_PLAIN_INTEGER: u64 = (1 << 53) - 1;

/// The one reserved name.
const TAG: &str = "$t";

/// The value of one field; the cases of `types.value`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each case is described in wit/types.wit")]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Json(String),
}

fn unfit(reason: &str) -> Error {
    Error::about(Kind::InvalidValue, "value", reason)
}

/// Writes a value as it stands in a record.
///
/// # Errors
/// `InvalidValue` for a float that is not finite and for JSON that is not well-formed.
pub fn encode(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    match value {
        Value::Null => text.push_str("null"),
        Value::Boolean(true) => text.push_str("true"),
        Value::Boolean(false) => text.push_str("false"),
        Value::Integer(number) if number.unsigned_abs() <= MAXIMUM_PLAIN_INTEGER => text = number.to_string(),
        Value::Integer(number) => text = format!("{{\"$t\":[\"int\",\"{number}\"]}}"),
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
        Value::Json(content) => {
            let content = json::check(content)
                .map_err(|fault| unfit(&format!("not JSON at byte {}: {}", fault.at, fault.reason)))?;
            if needs_tag(content) {
                text.push_str("{\"$t\":[\"json\",");
                text.push_str(content);
                text.push_str("]}");
            } else {
                text.push_str(content);
            }
        }
    }
    Ok(text)
}

/// Whether checked JSON would be read as something else if it stood as it is.
fn needs_tag(content: &str) -> bool {
    match content.as_bytes().first() {
        Some(b'[') => false,
        Some(b'{') => has_member(content, TAG).unwrap_or(true),
        _ => true,
    }
}

fn has_member(object: &str, wanted: &str) -> Result<bool, json::Fault> {
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

/// Reads a value from its form in a record.
///
/// # Errors
/// `Corrupt` if it is not one that [`encode`] writes.
pub fn decode(text: &str) -> Result<Value, Error> {
    decode_strict(text).ok_or_else(|| Error::because(Kind::Corrupt, "a field's value is in no known form"))
}

fn decode_strict(text: &str) -> Option<Value> {
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

fn decode_tagged(text: &str) -> Option<Value> {
    let mut scanner = Scanner::new(text);
    scanner.literal("{\"$t\":[").ok()?;
    let kind = scanner.text().ok()?;
    scanner.expect(b',').ok()?;
    let value = match &*kind {
        "int" => Value::Integer(scanner.text().ok()?.parse().ok()?),
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
            (Value::Json("[1, 2]".into()), "[1, 2]"),
            (Value::Json(r#"{"a":1}"#.into()), r#"{"a":1}"#),
            (Value::Json("5".into()), r#"{"$t":["json",5]}"#),
            (
                Value::Json(r#"{"a":1,"\u0024t":2}"#.into()),
                r#"{"$t":["json",{"a":1,"\u0024t":2}]}"#,
            ),
        ];
        for (value, text) in cases {
            assert_eq!(encode(&value).unwrap(), text);
            assert_eq!(decode(text).unwrap(), value);
        }
    }

    #[test]
    fn floats_that_are_not_finite_are_refused() {
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(encode(&Value::Float(float)).is_err_and(|error| error.is(Kind::InvalidValue)));
        }
        assert!(decode("1e999").is_err());
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
            assert!(decode(text).is_err_and(|error| error.is(Kind::Corrupt)), "{text}");
        }
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
                Value::Json(serde_json::json!({ name: number, "x": [{"$t": 1}] }).to_string())
            }),
            any::<i32>().prop_map(|number| Value::Json(serde_json::json!({"$t": number}).to_string())),
        ]
    }

    proptest! {
        #[test]
        fn every_value_comes_back_with_its_type(value in any_value()) {
            let text = encode(&value).unwrap();
            prop_assert!(json::check(&text).is_ok());
            let back = decode(&text).unwrap();
            if let (Value::Float(a), Value::Float(b)) = (&value, &back) {
                prop_assert_eq!(a.to_bits(), b.to_bits());
            } else {
                prop_assert_eq!(back, value);
            }
        }
    }
}
