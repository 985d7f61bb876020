//! The results of adapters in the form of scenarios: times relative to the start, tokens by their presence.

use serde_json::{Map, Value, json};

use super::BEGINNING_MS;
use crate::adapter::{Outcome, outcome, value};

/// The members of a grant.
const GRANT: &[&str] = &["token", "expires-at", "ends-at"];
/// The members of details.
const DETAILS: &[&str] = &[
    "status",
    "public-id",
    "subject",
    "created-at",
    "authenticated-at",
    "expires-at",
    "ends-at",
    "generation",
    "touch-due",
    "renew-due",
    "reissue-due",
    "modified",
];
/// The members of claims.
const CLAIMS: &[&str] = &[
    "public-id",
    "generation",
    "issued-at",
    "expires-at",
    "subject",
    "data",
];
/// The members of a listed session.
const SUMMARY: &[&str] = &[
    "public-id",
    "created-at",
    "authenticated-at",
    "last-seen-at",
    "expires-at",
    "ends-at",
    "current",
    "fields",
];

/// The members that may be null.
const OPTIONAL: [&str; 3] = ["token", "subject", "authenticated-at"];

/// A moment, relative to the start of the scenario.
fn moment(value: &Value) -> Result<Value, String> {
    let at = value.as_u64().ok_or_else(|| format!("{value} is not a time"))?;
    let relative = at.checked_signed_diff(BEGINNING_MS);
    Ok(relative.map_or(Value::Null, Value::from))
}

/// A record with exactly these members, and its times relative to the start of the scenario.
fn record(value: Value, names: &[&str]) -> Result<Value, String> {
    let Value::Object(mut members) = value else {
        return Err(format!("{value} is not an object"));
    };
    let mut shown = Map::new();
    for name in names {
        let member = members.remove(*name).unwrap_or(Value::Null);
        let member = match (member.is_null(), name.ends_with("-at")) {
            (true, _) if OPTIONAL.contains(name) => member,
            (true, _) => return Err(format!("the result has no {name:?}")),
            (false, true) => moment(&member)?,
            (false, false) => member,
        };
        shown.insert((*name).to_owned(), member);
    }
    match members.keys().next() {
        Some(name) => Err(format!("the result has an unknown member {name:?}")),
        None => Ok(shown.into()),
    }
}

/// A result of this type.
fn is(value: Value, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value, String> {
    if fits(&value) {
        Ok(value)
    } else {
        Err(format!("{value} is not {what}"))
    }
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
        Err(error) => {
            let is_error = error.get("error").is_some_and(Value::is_string);
            return if is_error {
                Ok(Err(error))
            } else {
                Err(format!("the error has no kind: {error}"))
            };
        }
    };
    Ok(match step {
        "get" | "pop" if result.is_null() => Err(outcome::error_of("missing")),
        "get" | "pop" | "policy" => Ok(is(result, "an object", Value::is_object)?),
        "save" | "rotate" | "authenticate" | "reissue" => {
            let mut grant = record(result, GRANT)?;
            let token = grant["token"].take();
            is(token.clone(), "a token", |token| {
                token.is_string() || token.is_null()
            })?;
            grant["token"] = token.is_string().into();
            Ok(grant)
        }
        "standing" => Ok(moment(&result)?),
        "verify" => Ok(record(result, CLAIMS)?),
        "details" => Ok(record(result, DETAILS)?),
        "list" => match result {
            Value::Array(items) => {
                let items = items.into_iter().map(|item| record(item, SUMMARY));
                Ok(items.collect::<Result<_, _>>()?)
            }
            other => return Err(format!("the sessions are not a list: {other}")),
        },
        "entries" => Ok(entries(&result)?),
        "entries-json" => Ok(is(result, "a text", Value::is_string)?),
        "touch" | "remove" | "is-modified" | "revoke" => Ok(is(result, "true or false", Value::is_boolean)?),
        "revoke-all" | "revoke-others" => Ok(is(result, "a number", Value::is_u64)?),
        // These are variables of the scenario.
        "csrf-token" => {
            is(result, "a text", Value::is_string)?;
            Ok(Value::Null)
        }
        "jwt-key" => {
            let key = result.as_str().ok_or("the key is not a text")?;
            Ok(json!({"bytes": value::from_base64url(key)?.len()}))
        }
        _ => Ok(is(result, "null", Value::is_null)?),
    })
}
