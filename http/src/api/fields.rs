//! A session's fields in JSON: scalars stand as they are, arrays and objects are JSON values, and what JSON would blur
//! (bytes, integers beyond ±(2⁵³−1), JSON that would be mistaken for another value) stands as `{"$t":[kind, content]}`,
//! in both directions, as the engine writes it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Members;
use crate::problem::Problem;
use tessera_contract::form::{self, Unfit};
use tessera_contract::{Change, Value};

/// Reads an object of fields to set.
pub(super) fn to_set(fields: Members) -> Result<Vec<Change>, Problem> {
    fields
        .0
        .into_iter()
        .map(|(name, raw)| Ok((name, Some(read_field(raw.get())?))))
        .collect()
}

/// A text that is no field's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value is unfit: {0}")]
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

/// Reads one value from its JSON text, wherever white space, escapes and digits stand in it.
///
/// # Errors
/// If it is none: no JSON, an integer beyond 64 bits, a float beyond what one holds, a tag of another kind.
pub fn read_field(text: &str) -> Result<Value, InvalidField> {
    let canonical = form::canonical(text)?;
    form::decode(&canonical).ok_or(InvalidField(Cow::Borrowed("it is no value of a field")))
}

/// Writes one value as JSON, as a record has it.
pub fn write_field(value: &Value) -> Box<RawValue> {
    // What cannot be stored is not there to be written.
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
        // Plain where a tag is not needed, tagged all the same.
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
