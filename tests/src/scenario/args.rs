//! The members of a step. Each is taken once, and a remaining one is an error.

use serde_json::{Map, Value};

/// The members of an object that have not been taken yet.
pub(super) struct Args(Map<String, Value>);

impl Args {
    pub(super) fn new(object: &Value) -> Result<Self, String> {
        match object {
            Value::Object(members) => Ok(Self(members.clone())),
            _ => Err(format!("{object} is not an object")),
        }
    }

    pub(super) fn optional(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    pub(super) fn value(&mut self, name: &str) -> Result<Value, String> {
        self.optional(name).ok_or_else(|| format!("{name:?} is missing"))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, String> {
        as_text(name, &self.value(name)?)
    }

    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.optional(name).map(|value| as_text(name, &value)).transpose()
    }

    pub(super) fn text_or(&mut self, name: &str, default: &str) -> Result<String, String> {
        Ok(self.optional_text(name)?.unwrap_or_else(|| default.to_owned()))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<u64, String> {
        self.optional_number(name)?
            .ok_or_else(|| format!("{name:?} is missing"))
    }

    pub(super) fn optional_number(&mut self, name: &str) -> Result<Option<u64>, String> {
        let as_number = |value: Value| {
            value
                .as_u64()
                .ok_or_else(|| format!("{name:?} is not a whole number: {value}"))
        };
        self.optional(name).map(as_number).transpose()
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, String> {
        as_list(name, self.value(name)?)
    }

    /// One object or a list of objects. An absent member is an empty list.
    pub(super) fn one_or_more(&mut self, name: &str) -> Vec<Value> {
        match self.optional(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(one) => vec![one],
        }
    }

    pub(super) fn optional_object(&mut self, name: &str) -> Result<Map<String, Value>, String> {
        match self.optional(name) {
            None => Ok(Map::new()),
            Some(Value::Object(members)) => Ok(members),
            Some(other) => Err(format!("{name:?} is not an object: {other}")),
        }
    }

    pub(super) fn finish(&self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("unknown member {name:?}")),
        }
    }
}

pub(super) fn as_text(name: &str, value: &Value) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{name:?} is not a text: {value}"))
}

pub(super) fn as_list(name: &str, value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(format!("{name:?} is not a list: {other}")),
    }
}

pub(super) fn as_texts(name: &str, value: Value) -> Result<Vec<String>, String> {
    as_list(name, value)?
        .iter()
        .map(|text| as_text(name, text))
        .collect()
}
