//! What a variable is set to: a text, or the number, boolean, list or table that a configuration in TOML or JSON has for it.

use js_sys::{JSON, Reflect};
use serde_json::{Map, Value};
use worker::Env;
use zeroize::Zeroizing;

use super::error::ConfigError;
use crate::duration;

/// A variable that is set.
pub(super) struct Variable {
    name: &'static str,
    value: Value,
}

/// Reads a variable. One that is empty is not set, and white space around a text does not count.
pub(super) fn variable(env: &Env, name: &'static str) -> Option<Variable> {
    let text = written(env, name)?;
    // A binding of another kind is written as something that is read as an empty table, or not at all.
    let value = match text {
        Written::Text(text) => Value::from(text.as_str()),
        Written::Json(text) => serde_json::from_str(&text).unwrap_or(Value::Object(Map::new())),
    };
    Some(Variable { name, value })
}

/// Reads a variable as it stands in a file: a text as it is, anything else as JSON.
pub(super) fn document(env: &Env, name: &'static str) -> Option<Zeroizing<String>> {
    written(env, name).map(|written| match written {
        Written::Text(text) | Written::Json(text) => text,
    })
}

enum Written {
    Text(Zeroizing<String>),
    Json(Zeroizing<String>),
}

fn written(env: &Env, name: &str) -> Option<Written> {
    let value = Reflect::get(env, &name.into()).ok()?;
    if value.is_undefined() || value.is_null() {
        return None;
    }
    if let Some(text) = value.as_string().map(Zeroizing::new) {
        let text = text.trim();
        return (!text.is_empty()).then(|| Written::Text(Zeroizing::new(text.to_owned())));
    }
    let json = JSON::stringify(&value).ok().and_then(|json| json.as_string());
    Some(Written::Json(Zeroizing::new(json.unwrap_or_default())))
}

impl Variable {
    /// Names the kind of value, and never the value.
    fn unfit(&self, wanted: &str) -> ConfigError {
        let kind = match &self.value {
            Value::String(_) => return self.refused(format!("it is {wanted}")),
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Array(_) => "a list",
            Value::Object(_) => "a table or a binding",
        };
        self.refused(format!("it is {wanted}, not {kind}"))
    }

    pub(super) fn refused(&self, reason: String) -> ConfigError {
        ConfigError::Variable {
            name: self.name,
            reason,
        }
    }

    pub(super) fn text(&self) -> Result<&str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.unfit("a text"))
    }

    /// One of a few words, in any case.
    pub(super) fn word<'a>(&self, words: &[&'a str]) -> Result<&'a str, ConfigError> {
        let text = self.value.as_str().unwrap_or_default();
        let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        word.copied()
            .ok_or_else(|| self.unfit(&format!("one of {}", words.join(", "))))
    }

    /// `on` and `off`, or a boolean.
    pub(super) fn switch(&self) -> Result<bool, ConfigError> {
        match (&self.value, self.value.as_str()) {
            (Value::Bool(on), _) => Ok(*on),
            (_, Some("on")) => Ok(true),
            (_, Some("off")) => Ok(false),
            _ => Err(self.unfit("on or off")),
        }
    }

    /// A whole number, as one or in digits.
    pub(super) fn number(&self) -> Result<u32, ConfigError> {
        let number = match &self.value {
            Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.unfit("a whole number below 2^32"))
    }

    /// In milliseconds.
    pub(super) fn duration(&self) -> Result<u64, ConfigError> {
        let Some(text) = self.value.as_str() else {
            return Err(self.unfit("a text of a number and its unit, as \"30m\""));
        };
        duration::parse(text).map_err(|reason| self.refused(reason))
    }

    /// A text of several, separated by commas, or a list of texts.
    pub(super) fn texts(&self) -> Result<Vec<&str>, ConfigError> {
        let wanted = "a text, separated by commas, or a list of texts";
        let texts: Option<Vec<&str>> = match &self.value {
            Value::String(text) => Some(text.split(',').collect()),
            Value::Array(list) => list.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let texts = texts.ok_or_else(|| self.unfit(wanted))?;
        // Nothing follows the last comma.
        let texts = texts.into_iter().map(str::trim);
        Ok(texts.filter(|text| !text.is_empty()).collect())
    }
}
