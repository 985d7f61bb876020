//! Abbreviations of long texts and lists, and variables.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::adapter::args::Args;

/// Expands `{"repeat": text, "times": n}` to a text, and `{"list-of": n, "each": value}` to a list.
/// In the list, `#` stands for the index, from 0.
pub(super) fn expand(value: &Value) -> Result<Value, String> {
    match value {
        Value::Array(list) => list
            .iter()
            .map(expand)
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(members) if members.len() == 2 && members.contains_key("repeat") => {
            let mut args = Args::new(value)?;
            let (text, times) = (args.text("repeat")?, args.number("times")?);
            Ok(Value::String(text.repeat(
                usize::try_from(times).map_err(|error| error.to_string())?,
            )))
        }
        Value::Object(members) if members.len() == 2 && members.contains_key("list-of") => {
            let mut args = Args::new(value)?;
            let (count, each) = (args.number("list-of")?, args.value("each")?);
            (0..count)
                .map(|place| expand(&number(&each, place)))
                .collect::<Result<_, _>>()
                .map(Value::Array)
        }
        Value::Object(members) => {
            let expanded = members
                .iter()
                .map(|(name, value)| Ok((name.clone(), expand(value)?)));
            expanded.collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        plain => Ok(plain.clone()),
    }
}

/// Replaces each `#` by a number.
pub(super) fn number(value: &Value, place: u64) -> Value {
    let put = |text: &str| text.replace('#', &place.to_string());
    match value {
        Value::String(text) => Value::String(put(text)),
        Value::Array(list) => list.iter().map(|value| number(value, place)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (put(name), number(value, place)))
            .collect(),
        plain => plain.clone(),
    }
}

/// Replaces `$name` by the value of the variable; `$$name` stands for the text `$name`.
/// Steps within a step are not changed, because they are substituted when they run.
pub(super) fn substitute(value: &Value, variables: &BTreeMap<String, String>) -> Result<Value, String> {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            None => Ok(value.clone()),
            Some(rest) if rest.starts_with('$') => Ok(Value::String(rest.to_owned())),
            Some(name) => {
                let known = variables
                    .get(name)
                    .ok_or_else(|| format!("unknown variable ${name}"))?;
                Ok(Value::String(known.clone()))
            }
        },
        Value::Array(list) => list
            .iter()
            .map(|value| substitute(value, variables))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let value = if name == "steps" {
                    value.clone()
                } else {
                    substitute(value, variables)?
                };
                Ok((name.clone(), value))
            })
            .collect::<Result<Map<_, _>, String>>()
            .map(Value::Object),
        plain => Ok(plain.clone()),
    }
}
