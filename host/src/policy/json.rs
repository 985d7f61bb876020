//! Policies as JSON, with the names of `wit/policy.wit`, for hosts in other languages.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tessera_contract::millis;

use super::{CapRule, FieldRule, Policy, Preset, ReuseRule, TokenFormat};
use crate::error::ConfigurationError;

/// A value that is not of the field's type, with the reason.
type Unfit = &'static str;

fn number(value: &Value) -> Result<u64, Unfit> {
    value.as_u64().ok_or("must be a whole number")
}

fn small(value: &Value) -> Result<u32, Unfit> {
    u32::try_from(number(value)?).map_err(|_| "must have at most 32 bits")
}

fn milliseconds(value: &Value) -> Result<Duration, Unfit> {
    number(value).map(Duration::from_millis)
}

fn text(value: &Value) -> Result<String, Unfit> {
    value.as_str().map(str::to_owned).ok_or("must be a text")
}

fn texts(value: &Value) -> Result<Vec<String>, Unfit> {
    let list = value.as_array().ok_or("must be a list of texts")?;
    list.iter().map(text).collect()
}

fn optional<T>(value: &Value, read: impl Fn(&Value) -> Result<T, Unfit>) -> Result<Option<T>, Unfit> {
    if value.is_null() {
        Ok(None)
    } else {
        read(value).map(Some)
    }
}

fn one_of<T: Copy>(value: &Value, cases: &[(&str, T)]) -> Result<T, Unfit> {
    let found = cases.iter().find(|(case, _)| value == case);
    found
        .map(|(_, case)| *case)
        .ok_or("must be a case of the rule, as in wit/policy.wit")
}

fn name_of<T: PartialEq>(cases: &[(&'static str, T)], wanted: &T) -> &'static str {
    cases
        .iter()
        .find(|(_, case)| case == wanted)
        .map_or("", |(name, _)| name)
}

const CAP_RULES: [(&str, CapRule); 2] = [
    ("evict-oldest", CapRule::EvictOldest),
    ("refuse", CapRule::Refuse),
];
const FIELD_RULES: [(&str, FieldRule); 2] = [
    ("later-wins", FieldRule::LaterWins),
    ("conflict", FieldRule::Conflict),
];
const REUSE_RULES: [(&str, ReuseRule); 2] = [
    ("report", ReuseRule::Report),
    ("end-session", ReuseRule::EndSession),
];
const TOKEN_FORMATS: [(&str, TokenFormat); 2] =
    [("compact", TokenFormat::Compact), ("jwt", TokenFormat::Jwt)];

impl Preset {
    /// Returns the preset with this name in `wit/policy.wit`: `standard`, `aal1`, `aal2`, `aal3`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "standard" => Self::Standard,
            "aal1" => Self::Aal1,
            "aal2" => Self::Aal2,
            "aal3" => Self::Aal3,
            _ => return None,
        })
    }
}

impl Policy {
    /// Sets fields by their names in `wit/policy.wit`, such as `idle-timeout-ms`: times in milliseconds, rules by the names of
    /// their cases, null for an absent option.
    ///
    /// # Errors
    /// [`ConfigurationError::InvalidPolicy`] if a field is unknown or its value has another type; the fields before it are set.
    ///
    /// ```
    /// use serde_json::json;
    /// use tessera::{Sessions, store::MemoryStore};
    ///
    /// let changes = json!({"idle-timeout-ms": 600_000, "cap-rule": "refuse"});
    /// let mut set = Ok(());
    /// let sessions = Sessions::builder()
    ///     .signing_key("2026-11", [7; 32])
    ///     .policy(|policy| set = policy.set_json(changes.as_object().expect("an object")))
    ///     .build(MemoryStore::new())?;
    /// set?;
    /// assert_eq!(sessions.policy().to_json()["idle-timeout-ms"], 600_000);
    /// # Ok::<_, tessera::ConfigurationError>(())
    /// ```
    pub fn set_json(&mut self, fields: &Map<String, Value>) -> Result<(), ConfigurationError> {
        for (name, value) in fields {
            self.set(name, value)
                .map_err(|reason| ConfigurationError::InvalidPolicy {
                    field: name.clone(),
                    reason: reason.to_owned(),
                })?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), Unfit> {
        match name {
            "idle-timeout-ms" => self.idle_timeout = milliseconds(value)?,
            "absolute-timeout-ms" => self.absolute_timeout = milliseconds(value)?,
            "touch-interval-ms" => self.touch_interval = milliseconds(value)?,
            "renew-interval-ms" => self.renew_interval = optional(value, milliseconds)?,
            "rotation-grace-ms" => self.rotation_grace = milliseconds(value)?,
            "token-lifetime-ms" => self.token_lifetime = milliseconds(value)?,
            "sessions-per-subject" => self.sessions_per_subject = optional(value, small)?,
            "cap-rule" => self.cap_rule = one_of(value, &CAP_RULES)?,
            "field-rule" => self.field_rule = one_of(value, &FIELD_RULES)?,
            "reuse-rule" => self.reuse_rule = one_of(value, &REUSE_RULES)?,
            "token-format" => self.token_format = one_of(value, &TOKEN_FORMATS)?,
            "issuer" => self.issuer = text(value)?,
            "audience" => self.audience = text(value)?,
            "clock-skew-ms" => self.clock_skew = milliseconds(value)?,
            "maximum-token-bytes" => self.maximum_token_bytes = small(value)?,
            "maximum-name-bytes" => self.maximum_name_bytes = small(value)?,
            "maximum-value-bytes" => self.maximum_value_bytes = small(value)?,
            "maximum-record-bytes" => self.maximum_record_bytes = small(value)?,
            "maximum-fields" => self.maximum_fields = small(value)?,
            "record-format" => self.record_format = small(value)?,
            "key-prefix" => self.key_prefix = text(value)?,
            "public-fields" => self.public_fields = texts(value)?,
            "token-fields" => self.token_fields = texts(value)?,
            _ => return Err("is not a field of a policy"),
        }
        Ok(())
    }

    /// Returns all fields as [`set_json`](Self::set_json) takes them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "idle-timeout-ms": millis(self.idle_timeout),
            "absolute-timeout-ms": millis(self.absolute_timeout),
            "touch-interval-ms": millis(self.touch_interval),
            "renew-interval-ms": self.renew_interval.map(millis),
            "rotation-grace-ms": millis(self.rotation_grace),
            "token-lifetime-ms": millis(self.token_lifetime),
            "sessions-per-subject": self.sessions_per_subject,
            "cap-rule": name_of(&CAP_RULES, &self.cap_rule),
            "field-rule": name_of(&FIELD_RULES, &self.field_rule),
            "reuse-rule": name_of(&REUSE_RULES, &self.reuse_rule),
            "token-format": name_of(&TOKEN_FORMATS, &self.token_format),
            "issuer": self.issuer,
            "audience": self.audience,
            "clock-skew-ms": millis(self.clock_skew),
            "maximum-token-bytes": self.maximum_token_bytes,
            "maximum-name-bytes": self.maximum_name_bytes,
            "maximum-value-bytes": self.maximum_value_bytes,
            "maximum-record-bytes": self.maximum_record_bytes,
            "maximum-fields": self.maximum_fields,
            "record-format": self.record_format,
            "key-prefix": self.key_prefix,
            "public-fields": self.public_fields,
            "token-fields": self.token_fields,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        crate::SessionsBuilder::into_policy(crate::Sessions::builder()).expect("the defaults")
    }

    #[test]
    fn a_policy_is_read_as_it_was_written() {
        let mut changed = policy();
        changed.idle_timeout = Duration::from_secs(77);
        changed.renew_interval = None;
        changed.sessions_per_subject = Some(3);
        changed.cap_rule = CapRule::Refuse;
        changed.field_rule = FieldRule::Conflict;
        changed.reuse_rule = ReuseRule::EndSession;
        changed.token_format = TokenFormat::Jwt;
        changed.public_fields = vec!["a".into()];
        let written = changed.to_json();
        let mut read = policy();
        read.set_json(written.as_object().expect("an object"))
            .expect("a policy");
        assert_eq!(read, changed);
    }

    #[test]
    fn a_field_that_is_unknown_or_of_another_type_is_named() {
        for (name, value) in [
            ("idle-timeout", json!(1)),
            ("idle-timeout-ms", json!("1")),
            ("idle-timeout-ms", json!(-1)),
            ("maximum-fields", json!(1_u64 << 32)),
            ("cap-rule", json!("evict")),
            ("public-fields", json!("a")),
            ("public-fields", json!([1])),
            ("issuer", json!(null)),
        ] {
            let fields = Map::from_iter([(name.to_owned(), value.clone())]);
            match policy().set_json(&fields) {
                Err(ConfigurationError::InvalidPolicy { field, .. }) => assert_eq!(field, name),
                other => panic!("{name} {value}: {other:?}"),
            }
        }
    }

    #[test]
    fn presets_have_their_names_of_wit() {
        for name in ["standard", "aal1", "aal2", "aal3"] {
            assert!(Preset::named(name).is_some(), "{name}");
        }
        assert!(Preset::named("AAL1").is_none());
    }
}
