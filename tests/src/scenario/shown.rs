//! The results of adapters in the form of scenarios: times relative to the start, tokens by their presence.

use serde_json::{Map, Value, json};

use super::BEGINNING_MS;
use crate::adapter::{Outcome, outcome, value};

const MOMENTS: [&str; 6] = [
    "expires-at",
    "ends-at",
    "created-at",
    "authenticated-at",
    "last-seen-at",
    "issued-at",
];

/// A moment, relative to the start of the scenario.
fn moment(value: &Value) -> Value {
    let relative = value.as_u64().and_then(|at| at.checked_signed_diff(BEGINNING_MS));
    relative.map_or(Value::Null, Value::from)
}

/// A record with its times relative to the start of the scenario.
fn record(value: Value) -> Value {
    let Value::Object(members) = value else {
        return value;
    };
    let member = |(name, value): (String, Value)| {
        let value = if MOMENTS.contains(&name.as_str()) {
            moment(&value)
        } else {
            value
        };
        (name, value)
    };
    members.into_iter().map(member).collect::<Map<_, _>>().into()
}

/// Fields as an object. Pairs that are not ordered by name are an error of the adapter.
fn entries(value: &Value) -> Result<Value, String> {
    let pairs = value.as_array().ok_or("the entries are not a list")?;
    let pairs = pairs.iter().map(|pair| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(name), value]) => Ok((name, value)),
        _ => Err(format!("an entry is not a name with a value: {pair}")),
    });
    let pairs: Vec<(&String, &Value)> = pairs.collect::<Result<_, String>>()?;
    if !pairs.is_sorted_by(|one, two| one.0 < two.0) {
        return Err("the entries are not ordered by name".to_owned());
    }
    let members = pairs
        .into_iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    Ok(members.collect::<Map<_, _>>().into())
}

/// Converts the result of a step.
///
/// # Errors
/// If it does not have the form that `docs/conformance.md` describes.
pub(super) fn shown(step: &str, outcome: Outcome) -> Result<Outcome, String> {
    let result = match outcome {
        Ok(result) => result,
        Err(error) => return Ok(Err(error)),
    };
    Ok(match step {
        "get" | "pop" if result.is_null() => Err(outcome::error_of("missing")),
        "save" | "rotate" | "authenticate" | "reissue" => {
            let mut grant = record(result);
            grant["token"] = grant["token"].is_string().into();
            Ok(grant)
        }
        "standing" => Ok(moment(&result)),
        "verify" | "details" => Ok(record(result)),
        "list" => match result {
            Value::Array(items) => Ok(items.into_iter().map(record).collect()),
            other => return Err(format!("the sessions are not a list: {other}")),
        },
        "entries" => Ok(entries(&result)?),
        // These are variables of the scenario.
        "csrf-token" => Ok(Value::Null),
        "jwt-key" => {
            let key = result.as_str().ok_or("the key is not a text")?;
            Ok(json!({"bytes": value::from_base64url(key)?.len()}))
        }
        _ => Ok(result),
    })
}
