//! Converts the JSON of the engine in a Worker to the form of scenarios.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tessera_contract::form;

use super::{BEGINNING_MS, value};

/// Reads a 64-bit number, which is a text in the Worker's JSON.
pub(super) fn digits(value: &Value) -> Option<i128> {
    value.as_str().and_then(|digits| digits.parse().ok())
}

/// A moment, relative to the start of the scenario.
pub(super) fn moment(value: &Value) -> Value {
    let moment = digits(value).map(|at| at - i128::from(BEGINNING_MS));
    moment
        .and_then(|at| i64::try_from(at).ok())
        .map_or(Value::Null, Value::from)
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

/// Converts a record to the form of scenarios: members with WIT's names, and times relative to the scenario's start.
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

pub(super) fn grant(value: &Value) -> Value {
    let mut grant = record(value);
    grant["token"] = value.get("token").is_some_and(Value::is_string).into();
    grant
}

/// Converts an object of fields to the form of scenarios.
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
