//! Converts the JSON of the engine in a Worker to that of adapters.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tessera_contract::form;

use crate::adapter::value;

/// Reads a 64-bit number, which is a text in the Worker's JSON.
pub(super) fn digits(value: &Value) -> Option<i128> {
    value.as_str().and_then(|digits| digits.parse().ok())
}

/// Converts a moment to a JSON number.
pub(super) fn moment(value: &Value) -> Value {
    let moment = digits(value).and_then(|at| u64::try_from(at).ok());
    moment.map_or(Value::Null, Value::from)
}

pub(super) fn kebab(camel: &str) -> String {
    let part = |c: char| {
        if c.is_ascii_uppercase() {
            format!("-{}", c.to_ascii_lowercase())
        } else {
            c.into()
        }
    };
    camel.chars().map(part).collect()
}

pub(super) fn camel(kebab: &str) -> String {
    let mut words = kebab.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}

/// Converts a record: members with WIT's names, and times as numbers.
pub(super) fn record(value: &Value) -> Value {
    const MOMENTS: [&str; 6] = [
        "expiresAt",
        "endsAt",
        "createdAt",
        "authenticatedAt",
        "lastSeenAt",
        "issuedAt",
    ];
    let members = value.as_object().into_iter().flatten();
    let member = |(name, value): (&String, &Value)| {
        let shown = if MOMENTS.contains(&name.as_str()) {
            moment(value)
        } else {
            value.clone()
        };
        (kebab(name), shown)
    };
    members.map(member).collect::<Map<_, _>>().into()
}

/// Converts an object of fields.
pub(super) fn fields(text: &Value) -> Result<Value, String> {
    let text = text.as_str().ok_or("the fields are missing")?;
    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let shown = fields.into_iter().map(|(name, raw)| {
        let field = form::decode(raw.get()).ok_or("a field is not a value")?;
        Ok((name, value::to_json(&field)))
    });
    Ok(shown.collect::<Result<Map<_, _>, String>>()?.into())
}
