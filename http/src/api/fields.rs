//! A session's fields in JSON, in the form that the engine writes.
//!
//! Scalars are plain JSON; arrays and objects are JSON values.
//! A value that plain JSON would blur (bytes, integers beyond ±(2⁵³−1), JSON that would be mistaken for another value) is
//! written as `{"$t":[kind, content]}`, in both directions.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Members;
use crate::problem::Problem;
use tessera_contract::form::{self, Unfit};
use tessera_contract::{Change, Value};

/// Parses an object of fields to set.
pub(super) fn to_set(fields: Members) -> Result<Vec<Change>, Problem> {
    fields
        .0
        .into_iter()
        .map(|(name, raw)| Ok((name, Some(read_field(raw.get())?))))
        .collect()
}

/// The reason why a JSON text is not a field value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value: {0}")]
pub struct InvalidField(Cow<'static, str>);

impl From<Unfit> for InvalidField {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Value(reason) => Self(reason),
            // A value has neither a name nor a length of its own.
            other => Self(other.to_string().into()),
        }
    }
}

impl From<InvalidField> for Problem {
    fn from(error: InvalidField) -> Self {
        Self::new(422, "invalid-value", error.to_string())
    }
}

/// Parses one value from its JSON text, in any notation of white space, escapes and numbers.
///
/// # Errors
/// If the text is not a value: invalid JSON, an integer beyond 64 bits, a float out of range, a tag of an unknown kind.
pub fn read_field(text: &str) -> Result<Value, InvalidField> {
    let canonical = form::canonical(text)?;
    form::decode(&canonical).ok_or(InvalidField(Cow::Borrowed("it is not a field value")))
}

/// Writes one value as JSON, in the form of a stored record.
pub fn write_field(value: &Value) -> Box<RawValue> {
    // A value that cannot be stored does not occur here.
    let text = form::encode(value).unwrap_or_default();
    RawValue::from_string(text).unwrap_or_default()
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
            ("[1,2]", Value::Json("[1,2]".into())),
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
        // Without a tag where one is possible, or in another notation.
        assert_eq!(
            read_field("9223372036854775807").ok(),
            Some(Value::Integer(i64::MAX))
        );
        assert_eq!(read_field("1e2").ok(), Some(Value::Float(100.0)));
    }

    #[test]
    fn one_value_has_one_text_wherever_it_comes_from() {
        for (text, written) in [
            (" [1, 2.50] ", "[1,2.5]"),
            (r#"{ "b" : 1, "\u0061" : "\u0062\/" }"#, r#"{"b":1,"a":"b/"}"#),
            (r#"{"\u0024t":["int","7"]}"#, "7"),
            (r#"{"$t":["json", [1]]}"#, "[1]"),
            ("1E2", "100.0"),
        ] {
            let value = read_field(text).expect("a value");
            assert_eq!(write_field(&value).get(), written, "{text}");
        }
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
            r#"["\ud800"]"#,
            r#"{"a":1,"a":2}"#,
            "[1e999]",
            "",
            "1 2",
        ] {
            assert!(read_field(text).is_err(), "{text}");
        }
    }
}
