//! JSON as serde_json reads it, one level at a time, with the engine's further limits on top.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The depth documented in `contract/src/json`.
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
        _ if is_number(value) && !fits(value) => return None,
        _ => scalars.push(value),
    }
    Some(())
}

/// Words parse as floats too.
pub fn is_number(scalar: &str) -> bool {
    scalar.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The digits of a number before its exponent.
fn digits(number: &str) -> impl Iterator<Item = char> {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    mantissa.chars().filter(char::is_ascii_digit)
}

/// Whether a float holds about this much. Close to the greatest, more digits than the engine counts are too many.
fn fits(number: &str) -> bool {
    let greatest: String = digits(number)
        .skip_while(|digit| *digit == '0')
        .take(16)
        .collect();
    let is_close =
        greatest == "1797693134862315" && number.parse::<f64>().is_ok_and(|float| float.abs() > 1e308);
    number.parse::<f64>().is_ok_and(f64::is_finite) && !(is_close && digits(number).count() > 800)
}

/// The float that a number is, if the engine reads one of so many digits.
pub fn float(number: &str) -> Option<f64> {
    let float = number.parse().ok().filter(|float: &f64| float.is_finite())?;
    (digits(number).count() <= 800).then_some(float)
}

/// One text for each JSON value that the engine takes; another than the engine's own where there is a float in it.
pub fn canonical(text: &str) -> Option<String> {
    let mut written = String::new();
    write(read(text, true)?.value, &mut written)?;
    Some(written)
}

/// The same of a value of the kind `json`: one that needs a tag nests two levels less deep.
pub fn json(text: &str) -> Option<String> {
    let written = canonical(text)?;
    let is_plain = match written.as_bytes().first()? {
        b'[' => true,
        b'{' => members(&written)?.iter().all(|(name, _)| name != "$t"),
        _ => false,
    };
    if !is_plain {
        read(&format!("{{\"$t\":[\"json\",{written}]}}"), true)?;
    }
    Some(written)
}

fn write(value: &str, onto: &mut String) -> Option<()> {
    let mut separator = "";
    match *value.as_bytes().first()? {
        b'{' => {
            onto.push('{');
            for (name, member) in members(value)? {
                onto.push_str(separator);
                onto.push_str(&serde_json::to_string(&name).ok()?);
                onto.push(':');
                write(member, onto)?;
                separator = ",";
            }
            onto.push('}');
        }
        b'[' => {
            onto.push('[');
            for item in serde_json::from_str::<Vec<&RawValue>>(value).ok()? {
                onto.push_str(separator);
                write(item.get(), onto)?;
                separator = ",";
            }
            onto.push(']');
        }
        b'"' => {
            let text: String = serde_json::from_str(value).ok()?;
            onto.push_str(&serde_json::to_string(&text).ok()?);
        }
        _ if value == "-0" => onto.push('0'),
        _ if is_number(value) && value.contains(['.', 'e', 'E']) => {
            onto.push_str(&format!("{:e}", float(value)?));
        }
        _ => onto.push_str(value),
    }
    Some(())
}
