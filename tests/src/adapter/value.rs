//! Values of fields in the form `{"integer": "5"}`, which shows their types.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json, json};
use tessera::Value;

use super::args::as_text;

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64url(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|error| format!("not base64url: {error}"))
}

/// Bytes as a text in base64url.
pub(crate) mod in_base64url {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        super::base64url(bytes).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_base64url(&text).map_err(serde::de::Error::custom)
    }
}

pub(crate) fn from_json(value: &Json) -> Result<Value, String> {
    let unfit = || format!("not a value: {value}");
    let Some((kind, content)) = value
        .as_object()
        .filter(|object| object.len() == 1)
        .and_then(|o| o.iter().next())
    else {
        return Err(unfit());
    };
    Ok(match kind.as_str() {
        "null" => Value::Null,
        "boolean" => Value::Boolean(content.as_bool().ok_or_else(unfit)?),
        "integer" => Value::Integer(as_text(kind, content)?.parse().map_err(|_| unfit())?),
        "float" => Value::Float(match content {
            Json::String(text) => text.parse().map_err(|_| unfit())?,
            number => number.as_f64().ok_or_else(unfit)?,
        }),
        "text" => Value::Text(as_text(kind, content)?),
        "bytes" => Value::Bytes(from_base64url(&as_text(kind, content)?)?),
        "json" => Value::Json(as_text(kind, content)?),
        _ => return Err(unfit()),
    })
}

pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => json!({"null": true}),
        Value::Boolean(value) => json!({"boolean": value}),
        Value::Integer(value) => json!({"integer": value.to_string()}),
        // JSON parsers lose this sign.
        Value::Float(value) if *value == 0.0 && value.is_sign_negative() => json!({"float": "-0.0"}),
        Value::Float(value) => json!({"float": value}),
        Value::Text(value) => json!({"text": value}),
        Value::Bytes(value) => json!({"bytes": base64url(value)}),
        Value::Json(value) => json!({"json": value}),
    }
}

/// Reads the changes of an `update`, where null removes a field.
pub(crate) fn changes(changes: &Map<String, Json>) -> Result<Vec<(String, Option<Value>)>, String> {
    let read = |(name, new): (&String, &Json)| {
        let new = if new.is_null() {
            None
        } else {
            Some(from_json(new)?)
        };
        Ok((name.clone(), new))
    };
    changes.iter().map(read).collect()
}

/// Shows fields as pairs of a name and a value, in their order.
pub(crate) fn pairs(fields: &[(String, Value)]) -> Json {
    fields
        .iter()
        .map(|(name, field)| json!([name, to_json(field)]))
        .collect()
}
