//! The value of a variable: a text, or a number, boolean, list or table of a configuration in TOML or JSON.

use js_sys::{JSON, Reflect};
use serde_json::{Map, Value};
use worker::Env;
use zeroize::Zeroizing;

use super::error::ConfigError;
use crate::duration;

/// A variable with its value.
pub(super) struct Variable {
    name: &'static str,
    value: Value,
}

/// Reads a variable. An empty one counts as not set, and white space around a text is ignored.
pub(super) fn variable(env: &Env, name: &'static str) -> Option<Variable> {
    let text = written(env, name)?;
    // The JSON of a binding is an empty table or unreadable; both become an empty table.
    let value = match text {
        Written::Text(text) => Value::from(text.as_str()),
        Written::Json(text) => serde_json::from_str(&text).unwrap_or(Value::Object(Map::new())),
    };
    Some(Variable { name, value })
}

/// Reads a variable that contains a document: a text unchanged, anything else as JSON.
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
    /// The error for a value of the wrong kind. It names the kind and never the value.
    fn unfit(&self, wanted: &str) -> ConfigError {
        let kind = match &self.value {
            Value::String(_) => return self.refused(format!("expected {wanted}")),
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Array(_) => "a list",
            Value::Object(_) => "a table or a binding",
        };
        self.refused(format!("expected {wanted}, found {kind}"))
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

    /// One of these words, compared without case.
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

    /// A whole number below 2^32, as a number or as a text of digits.
    pub(super) fn number(&self) -> Result<u32, ConfigError> {
        let number = match &self.value {
            Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.unfit("a whole number below 2^32"))
    }

    /// A duration, in milliseconds.
    pub(super) fn duration(&self) -> Result<u64, ConfigError> {
        let Some(text) = self.value.as_str() else {
            return Err(self.unfit("a text of a number and its unit, such as \"30m\""));
        };
        duration::parse(text).map_err(|reason| self.refused(reason))
    }

    /// Several texts, as one text separated by commas or as a list of texts. White space and empty texts are dropped.
    pub(super) fn texts(&self) -> Result<Vec<&str>, ConfigError> {
        let wanted = "a text with commas as separators, or a list of texts";
        let texts: Option<Vec<&str>> = match &self.value {
            Value::String(text) => Some(text.split(',').collect()),
            Value::Array(list) => list.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let texts = texts.ok_or_else(|| self.unfit(wanted))?;
        // A comma at the end adds no text.
        let texts = texts.into_iter().map(str::trim);
        Ok(texts.filter(|text| !text.is_empty()).collect())
    }
}
