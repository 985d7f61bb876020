//! A session's fields in JSON: scalars stand as they are, arrays and objects are JSON values, and what JSON would blur
//! (bytes, integers beyond ±(2⁵³−1), JSON that would be mistaken for another value) stands as `{"$t":[kind, content]}`,
//! in both directions, as the engine writes it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::Members;
use crate::problem::Problem;
use tessera_contract::{Change, Value};

const TAG: &str = "$t";
const MAXIMUM_PLAIN_INTEGER: u64 = (1 << 53) - 1;

/// Reads an object of fields to set.
pub(super) fn to_set(fields: Members) -> Result<Vec<Change>, Problem> {
    fields
        .0
        .into_iter()
        .map(|(name, raw)| Ok((name, Some(read_field(raw.get())?))))
        .collect()
}

/// A text that is no field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value is unfit: {0}")]
pub struct InvalidField(&'static str);

impl From<InvalidField> for Problem {
    fn from(error: InvalidField) -> Self {
        Self::new(422, "invalid-value", error.to_string())
    }
}

/// Reads one value from its JSON text.
///
/// # Errors
/// If it is none: an integer beyond 64 bits, a float beyond what one holds, a tag of another kind.
pub fn read_field(text: &str) -> Result<Value, InvalidField> {
    let parse = InvalidField;
    match text.as_bytes().first() {
        Some(b'n') => Ok(Value::Null),
        Some(b't') => Ok(Value::Boolean(true)),
        Some(b'f') => Ok(Value::Boolean(false)),
        Some(b'"') => serde_json::from_str(text)
            .map(Value::Text)
            .map_err(|_| parse("a text is not Unicode")),
        Some(b'[') => Ok(Value::Json(text.to_owned())),
        Some(b'{') => read_object(text).map_err(parse),
        _ if text.contains(['.', 'e', 'E']) => match serde_json::from_str::<f64>(text) {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(parse("a float is out of range")),
        },
        _ => text.parse().map(Value::Integer).map_err(|_| {
            parse(
                "an integer does not fit 64 bits with a sign; send it as a text, or as a float with a point",
            )
        }),
    }
}

fn read_object(text: &str) -> Result<Value, &'static str> {
    const UNFIT: &str = "an object is not JSON or has a name twice";
    const UNKNOWN: &str = "`$t` stands for one of [\"int\", text], [\"bytes\", base64url] and [\"json\", value]; \
                           an object of your own with that name is sent as {\"$t\":[\"json\", object]}";
    if !text.contains('$') && !text.contains('\\') {
        return Ok(Value::Json(text.to_owned()));
    }
    let members: Members = serde_json::from_str(text).map_err(|_| UNFIT)?;
    if !members.0.iter().any(|(name, _)| name == TAG) {
        return Ok(Value::Json(text.to_owned()));
    }
    let [(_, tagged)] = &members.0[..] else {
        return Err(UNKNOWN);
    };
    let (kind, content): (String, Box<RawValue>) = serde_json::from_str(tagged.get()).map_err(|_| UNKNOWN)?;
    let content_text = || serde_json::from_str::<String>(content.get()).map_err(|_| UNKNOWN);
    match kind.as_str() {
        "int" => {
            let text = content_text()?;
            let number: i64 = text.parse().map_err(|_| UNKNOWN)?;
            // One number has one text.
            (number.to_string() == text)
                .then_some(Value::Integer(number))
                .ok_or(UNKNOWN)
        }
        "bytes" => URL_SAFE_NO_PAD
            .decode(content_text()?)
            .map(Value::Bytes)
            .map_err(|_| UNKNOWN),
        "json" => Ok(Value::Json(content.get().to_owned())),
        _ => Err(UNKNOWN),
    }
}

/// Writes one value as JSON.
pub fn write_field(value: &Value) -> Box<RawValue> {
    let text = match value {
        Value::Null => "null".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) if number.unsigned_abs() <= MAXIMUM_PLAIN_INTEGER => number.to_string(),
        Value::Integer(number) => format!(r#"{{"$t":["int","{number}"]}}"#),
        Value::Float(number) => serde_json::Value::from(*number).to_string(),
        Value::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::Bytes(bytes) => format!(r#"{{"$t":["bytes","{}"]}}"#, URL_SAFE_NO_PAD.encode(bytes)),
        Value::Json(text) if needs_tag(text) => format!(r#"{{"$t":["json",{text}]}}"#),
        Value::Json(text) => text.clone(),
    };
    RawValue::from_string(text).unwrap_or_default()
}

/// Whether JSON would be read as another value if it stood as it is.
fn needs_tag(text: &str) -> bool {
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'[') => false,
        Some(b'{') => {
            let members = serde_json::from_str::<Members>(text);
            members.map_or(true, |members| members.0.iter().any(|(name, _)| name == TAG))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_was() {
        for (text, value) in [
            ("null", Value::Null),
            ("true", Value::Boolean(true)),
            ("7", Value::Integer(7)),
            ("-9007199254740991", Value::Integer(-9_007_199_254_740_991)),
            (
                r#"{"$t":["int","9007199254740992"]}"#,
                Value::Integer(9_007_199_254_740_992),
            ),
            (
                r#"{"$t":["int","-9223372036854775808"]}"#,
                Value::Integer(i64::MIN),
            ),
            ("1.0", Value::Float(1.0)),
            (r#""a\nü""#, Value::Text("a\nü".into())),
            (r#"{"$t":["bytes","AP8"]}"#, Value::Bytes(vec![0, 255])),
            ("[1, 2]", Value::Json("[1, 2]".into())),
            (
                r#"{"b":1,"a":{"$t":2}}"#,
                Value::Json(r#"{"b":1,"a":{"$t":2}}"#.into()),
            ),
            (r#"{"$t":["json",{"$t":1}]}"#, Value::Json(r#"{"$t":1}"#.into())),
            (r#"{"$t":["json",5]}"#, Value::Json("5".into())),
        ] {
            assert_eq!(read_field(text).ok().as_ref(), Some(&value), "{text}");
            assert_eq!(write_field(&value).get(), text);
        }
        // Plain where a tag is not needed, tagged all the same.
        assert_eq!(
            read_field("9223372036854775807").ok(),
            Some(Value::Integer(i64::MAX))
        );
        assert_eq!(read_field("1e2").ok(), Some(Value::Float(100.0)));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in [
            "9223372036854775808",
            "1e999",
            r#"{"$t":1}"#,
            r#"{"$t":["date","x"]}"#,
            r#"{"$t":["int",5]}"#,
            r#"{"$t":["int","05"]}"#,
            r#"{"$t":["int","+5"]}"#,
            r#"{"$t":["bytes","AB"]}"#,
            r#"{"\u0024t":["int","x"]}"#,
            r#"{"$t":["int","1"],"a":1}"#,
            r#""\ud800""#,
        ] {
            assert!(read_field(text).is_err(), "{text}");
        }
    }
}
