//! Sessions as maps: what every handle shows, and what is stored.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use tessera_contract::Value;

use crate::naive;

/// A value with an equality that tells `0.0` from `-0.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(u64),
    Text(String),
    Bytes(Vec<u8>),
    Json(String),
}

impl Held {
    /// `None` for what the engine must refuse.
    pub fn new(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Boolean(flag) => Self::Boolean(*flag),
            Value::Integer(number) => Self::Integer(*number),
            Value::Float(number) => Self::Float(number.is_finite().then(|| number.to_bits())?),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Value::Json(text) => Self::Json(naive::json(text)?),
        })
    }

    /// The value that a text from outside is; `None` for what the engine must refuse.
    pub fn outside(text: &str) -> Option<Self> {
        let text = naive::canonical(text)?;
        Some(match text.as_bytes().first()? {
            b'n' => Self::Null,
            b't' | b'f' => Self::Boolean(text == "true"),
            b'"' => Self::Text(serde_json::from_str(&text).ok()?),
            b'[' => Self::Json(text),
            b'{' => match &naive::members(&text)?[..] {
                [(name, tagged)] if name == "$t" => Self::tagged(tagged)?,
                members if members.iter().any(|(name, _)| name == "$t") => return None,
                _ => Self::Json(text),
            },
            // The naive text of a float has an exponent.
            _ if text.contains('e') => Self::Float(text.parse::<f64>().ok()?.to_bits()),
            _ => Self::Integer(text.parse().ok()?),
        })
    }

    fn tagged(tagged: &str) -> Option<Self> {
        let [kind, content] = serde_json::from_str::<[&RawValue; 2]>(tagged).ok()?;
        let text = || serde_json::from_str::<String>(content.get()).ok();
        match serde_json::from_str::<String>(kind.get()).ok()?.as_str() {
            "int" => {
                let number: i64 = text()?.parse().ok()?;
                (Some(number.to_string()) == text()).then_some(Self::Integer(number))
            }
            "bytes" => Some(Self::Bytes(URL_SAFE_NO_PAD.decode(text()?).ok()?)),
            "json" => Some(Self::Json(content.get().into())),
            _ => None,
        }
    }

    /// As it stands in JSON, where it stands plainly.
    pub fn plain(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Null => ().into(),
            Self::Boolean(flag) => (*flag).into(),
            Self::Integer(number) if number.unsigned_abs() < 1 << 53 => (*number).into(),
            Self::Float(bits) => f64::from_bits(*bits).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Integer(_) | Self::Bytes(_) | Self::Json(_) => return None,
        })
    }

    /// More bytes than it can take in a record.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len() * 6 + 8,
            Self::Bytes(bytes) => bytes.len() * 2 + 32,
            Self::Json(text) => text.len() + 32,
            _ => 64,
        }
    }
}

pub type Fields = BTreeMap<String, Held>;

/// More bytes than a change can take.
pub fn bytes(name: &str, value: Option<&Held>) -> usize {
    name.len() * 2 + 8 + value.map_or(0, Held::bytes)
}

/// A stored session; `None` once it is ended.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub fields: Option<Fields>,
    /// Rises with each write.
    pub revision: u64,
}

/// What one handle knows.
#[derive(Clone, Debug, Default)]
pub struct Handle {
    /// Which session, once it is stored.
    pub session: Option<usize>,
    /// A first save whose answer was lost may have stored this one.
    pub lost: Option<usize>,
    /// The fields as they were read or last saved, and when.
    pub base: Fields,
    pub revision: u64,
    pub changes: BTreeMap<String, Option<Held>>,
    pub closed: bool,
    /// A save was not heard of: what the changes set may be stored.
    pub tried: bool,
}

/// What a map becomes by changes.
pub fn apply(fields: &Fields, changes: &BTreeMap<String, Option<Held>>) -> Fields {
    let mut fields = fields.clone();
    for (name, change) in changes {
        match change {
            Some(value) => fields.insert(name.clone(), value.clone()),
            None => fields.remove(name),
        };
    }
    fields
}

impl Handle {
    pub fn view(&self) -> Fields {
        apply(&self.base, &self.changes)
    }

    /// Notes a change; one that removes what is not stored is none.
    pub fn change(&mut self, name: &str, value: Option<Held>) {
        let may_be_stored = self.base.contains_key(name) || (self.tried && self.changes.contains_key(name));
        if value.is_some() || may_be_stored {
            self.changes.insert(name.into(), value);
        } else {
            self.changes.remove(name);
        }
    }

    /// Notes the removal of all fields.
    pub fn clear(&mut self) {
        let names: Vec<String> = self.base.keys().chain(self.changes.keys()).cloned().collect();
        for name in names {
            self.change(&name, None);
        }
    }

    /// More bytes than the changes can take.
    pub fn bytes(&self) -> usize {
        self.changes
            .iter()
            .map(|(name, value)| bytes(name, value.as_ref()))
            .sum()
    }

    /// Others have stored what this handle has changed otherwise.
    pub fn conflicts(&self, stored: &Stored, newest: &Fields) -> bool {
        stored.revision != self.revision
            && self.changes.iter().any(|(name, mine)| {
                let theirs = newest.get(name);
                theirs != mine.as_ref() && theirs != self.base.get(name)
            })
    }
}
