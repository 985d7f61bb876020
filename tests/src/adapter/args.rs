//! The members of a step. Each is taken once, and a remaining one is an error.

use std::time::Duration;

use serde_json::{Map, Value};

/// The members of an object that have not been taken yet.
#[derive(Clone, Debug)]
pub struct Args(Map<String, Value>);

impl From<Map<String, Value>> for Args {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl Args {
    pub(crate) fn new(object: &Value) -> Result<Self, String> {
        match object {
            Value::Object(members) => Ok(Self(members.clone())),
            _ => Err(format!("{object} is not an object")),
        }
    }

    pub(crate) fn optional(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    pub(crate) fn value(&mut self, name: &str) -> Result<Value, String> {
        self.optional(name).ok_or_else(|| format!("{name:?} is missing"))
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, String> {
        as_text(name, &self.value(name)?)
    }

    pub(crate) fn optional_text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.optional(name).map(|value| as_text(name, &value)).transpose()
    }

    pub(crate) fn text_or(&mut self, name: &str, default: &str) -> Result<String, String> {
        Ok(self.optional_text(name)?.unwrap_or_else(|| default.to_owned()))
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<u64, String> {
        self.optional_number(name)?
            .ok_or_else(|| format!("{name:?} is missing"))
    }

    pub(crate) fn optional_number(&mut self, name: &str) -> Result<Option<u64>, String> {
        self.optional(name)
            .map(|value| as_number(name, &value))
            .transpose()
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Value>, String> {
        as_list(name, self.value(name)?)
    }

    /// One object or a list of objects. An absent member is an empty list.
    pub(crate) fn one_or_more(&mut self, name: &str) -> Vec<Value> {
        match self.optional(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(one) => vec![one],
        }
    }

    pub(crate) fn optional_object(&mut self, name: &str) -> Result<Map<String, Value>, String> {
        match self.optional(name) {
            None => Ok(Map::new()),
            Some(Value::Object(members)) => Ok(members),
            Some(other) => Err(format!("{name:?} is not an object: {other}")),
        }
    }

    /// The members that are left.
    pub(crate) fn into_rest(self) -> Map<String, Value> {
        self.0
    }

    pub(crate) fn finish(&self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("unknown member {name:?}")),
        }
    }
}

pub(crate) fn as_text(name: &str, value: &Value) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{name:?} is not a text: {value}"))
}

pub(crate) fn as_list(name: &str, value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(format!("{name:?} is not a list: {other}")),
    }
}

pub(crate) fn as_texts(name: &str, value: Value) -> Result<Vec<String>, String> {
    as_list(name, value)?
        .iter()
        .map(|text| as_text(name, text))
        .collect()
}

pub(crate) fn as_number(name: &str, value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{name:?} is not a whole number: {value}"))
}

pub(crate) fn as_small_number(name: &str, value: &Value) -> Result<u32, String> {
    u32::try_from(as_number(name, value)?).map_err(|error| format!("{name:?}: {error}"))
}

pub(crate) fn as_milliseconds(name: &str, value: &Value) -> Result<Duration, String> {
    as_number(name, value).map(Duration::from_millis)
}
