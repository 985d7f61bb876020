//! JSON as serde_json reads it, one level at a time, with the engine's further limits on top.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The depth documented in `guest/src/json`.
const MAXIMUM_DEPTH: usize = 64;

/// The members of one object, in their order, none left out for its name.
pub struct Members<'a>(pub Vec<(String, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// An object's members.
pub fn members(text: &str) -> Option<Vec<(String, &str)>> {
    serde_json::from_str::<Members<'_>>(text)
        .ok()
        .map(|members| members.0)
}

/// Whether all names are different.
pub fn are_unique(members: &[(String, &str)]) -> bool {
    let names: BTreeSet<&String> = members.iter().map(|(name, _)| name).collect();
    names.len() == members.len()
}

/// What a text holds that is one JSON value.
pub struct Reading<'a> {
    /// Without the white space around it.
    pub value: &'a str,
    /// Each string, number and word in it as it stands there; names left out.
    pub scalars: Vec<&'a str>,
}

/// Reads a text, or answers `None` where the engine must refuse it.
pub fn read(text: &str, unique: bool) -> Option<Reading<'_>> {
    // A raw value is checked for its form only: neither surrogates nor the size of numbers.
    let value = serde_json::from_str::<&RawValue>(text).ok()?.get();
    let mut scalars = Vec::new();
    walk(value, unique, 0, &mut scalars)?;
    Some(Reading { value, scalars })
}

fn walk<'a>(value: &'a str, unique: bool, depth: usize, scalars: &mut Vec<&'a str>) -> Option<()> {
    let first = *value.as_bytes().first()?;
    if matches!(first, b'{' | b'[') && depth == MAXIMUM_DEPTH {
        return None;
    }
    match first {
        b'{' => {
            let members = members(value)?;
            if unique && !are_unique(&members) {
                return None;
            }
            for (_, member) in members {
                walk(member, unique, depth + 1, scalars)?;
            }
        }
        b'[' => {
            for item in serde_json::from_str::<Vec<&RawValue>>(value).ok()? {
                walk(item.get(), unique, depth + 1, scalars)?;
            }
        }
        b'"' => {
            serde_json::from_str::<String>(value).ok()?;
            scalars.push(value);
        }
        _ => scalars.push(value),
    }
    Some(())
}
