//! Policies as JSON, with WIT's names.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tessera::{CapRule, FieldRule, Policy, Preset, ReuseRule, TokenFormat};

use crate::adapter::args::{as_milliseconds, as_small_number, as_text, as_texts};

fn optional<T>(
    name: &str,
    value: &Value,
    read: impl Fn(&str, &Value) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if value.is_null() {
        Ok(None)
    } else {
        read(name, value).map(Some)
    }
}

fn one_of<T: Copy>(name: &str, value: &Value, cases: &[(&str, T)]) -> Result<T, String> {
    let found = cases.iter().find(|(case, _)| value == case);
    found
        .map(|(_, case)| *case)
        .ok_or_else(|| format!("{name:?} has no case {value}"))
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

pub(super) fn level(name: &str) -> Result<Preset, String> {
    match name {
        "aal1" => Ok(Preset::Aal1),
        "aal2" => Ok(Preset::Aal2),
        "aal3" => Ok(Preset::Aal3),
        _ => Err(format!("unknown preset {name:?}")),
    }
}

/// Sets the fields in `changes`.
pub(super) fn apply(policy: &mut Policy, changes: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in changes {
        match name.as_str() {
            "idle-timeout-ms" => policy.idle_timeout = as_milliseconds(name, value)?,
            "absolute-timeout-ms" => policy.absolute_timeout = as_milliseconds(name, value)?,
            "touch-interval-ms" => policy.touch_interval = as_milliseconds(name, value)?,
            "renew-interval-ms" => policy.renew_interval = optional(name, value, as_milliseconds)?,
            "rotation-grace-ms" => policy.rotation_grace = as_milliseconds(name, value)?,
            "token-lifetime-ms" => policy.token_lifetime = as_milliseconds(name, value)?,
            "sessions-per-subject" => policy.sessions_per_subject = optional(name, value, as_small_number)?,
            "cap-rule" => policy.cap_rule = one_of(name, value, &CAP_RULES)?,
            "field-rule" => policy.field_rule = one_of(name, value, &FIELD_RULES)?,
            "reuse-rule" => policy.reuse_rule = one_of(name, value, &REUSE_RULES)?,
            "token-format" => policy.token_format = one_of(name, value, &TOKEN_FORMATS)?,
            "issuer" => policy.issuer = as_text(name, value)?,
            "audience" => policy.audience = as_text(name, value)?,
            "clock-skew-ms" => policy.clock_skew = as_milliseconds(name, value)?,
            "maximum-token-bytes" => policy.maximum_token_bytes = as_small_number(name, value)?,
            "maximum-name-bytes" => policy.maximum_name_bytes = as_small_number(name, value)?,
            "maximum-value-bytes" => policy.maximum_value_bytes = as_small_number(name, value)?,
            "maximum-record-bytes" => policy.maximum_record_bytes = as_small_number(name, value)?,
            "maximum-fields" => policy.maximum_fields = as_small_number(name, value)?,
            "record-format" => policy.record_format = as_small_number(name, value)?,
            "key-prefix" => policy.key_prefix = as_text(name, value)?,
            "public-fields" => policy.public_fields = as_texts(name, value.clone())?,
            "token-fields" => policy.token_fields = as_texts(name, value.clone())?,
            _ => return Err(format!("unknown policy field {name:?}")),
        }
    }
    Ok(())
}

fn name_of<T: PartialEq>(cases: &[(&'static str, T)], wanted: &T) -> &'static str {
    cases
        .iter()
        .find(|(_, case)| case == wanted)
        .map_or("", |(name, _)| name)
}

/// All fields of a policy.
pub(super) fn to_json(policy: &Policy) -> Value {
    let ms = |duration: Duration| duration.as_millis() as u64;
    json!({
        "idle-timeout-ms": ms(policy.idle_timeout),
        "absolute-timeout-ms": ms(policy.absolute_timeout),
        "touch-interval-ms": ms(policy.touch_interval),
        "renew-interval-ms": policy.renew_interval.map(ms),
        "rotation-grace-ms": ms(policy.rotation_grace),
        "token-lifetime-ms": ms(policy.token_lifetime),
        "sessions-per-subject": policy.sessions_per_subject,
        "cap-rule": name_of(&CAP_RULES, &policy.cap_rule),
        "field-rule": name_of(&FIELD_RULES, &policy.field_rule),
        "reuse-rule": name_of(&REUSE_RULES, &policy.reuse_rule),
        "token-format": name_of(&TOKEN_FORMATS, &policy.token_format),
        "issuer": policy.issuer,
        "audience": policy.audience,
        "clock-skew-ms": ms(policy.clock_skew),
        "maximum-token-bytes": policy.maximum_token_bytes,
        "maximum-name-bytes": policy.maximum_name_bytes,
        "maximum-value-bytes": policy.maximum_value_bytes,
        "maximum-record-bytes": policy.maximum_record_bytes,
        "maximum-fields": policy.maximum_fields,
        "record-format": policy.record_format,
        "key-prefix": policy.key_prefix,
        "public-fields": policy.public_fields,
        "token-fields": policy.token_fields,
    })
}
