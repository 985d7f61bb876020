//! Policies and capabilities of stores as JSON, with WIT's names.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tessera::store::{Capabilities, StoreService};
use tessera::{CapRule, FieldRule, Policy, Preset, ReuseRule, TokenFormat};

use super::args::{as_text, as_texts};
use crate::stores::Scripted;

fn milliseconds(name: &str, value: &Value) -> Result<Duration, String> {
    number(name, value).map(Duration::from_millis)
}

fn number(name: &str, value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{name:?} is not a whole number: {value}"))
}

fn small(name: &str, value: &Value) -> Result<u32, String> {
    u32::try_from(number(name, value)?).map_err(|error| format!("{name:?}: {error}"))
}

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
            "idle-timeout-ms" => policy.idle_timeout = milliseconds(name, value)?,
            "absolute-timeout-ms" => policy.absolute_timeout = milliseconds(name, value)?,
            "touch-interval-ms" => policy.touch_interval = milliseconds(name, value)?,
            "renew-interval-ms" => policy.renew_interval = optional(name, value, milliseconds)?,
            "rotation-grace-ms" => policy.rotation_grace = milliseconds(name, value)?,
            "token-lifetime-ms" => policy.token_lifetime = milliseconds(name, value)?,
            "sessions-per-subject" => policy.sessions_per_subject = optional(name, value, small)?,
            "cap-rule" => policy.cap_rule = one_of(name, value, &CAP_RULES)?,
            "field-rule" => policy.field_rule = one_of(name, value, &FIELD_RULES)?,
            "reuse-rule" => policy.reuse_rule = one_of(name, value, &REUSE_RULES)?,
            "token-format" => policy.token_format = one_of(name, value, &TOKEN_FORMATS)?,
            "issuer" => policy.issuer = as_text(name, value)?,
            "audience" => policy.audience = as_text(name, value)?,
            "clock-skew-ms" => policy.clock_skew = milliseconds(name, value)?,
            "maximum-token-bytes" => policy.maximum_token_bytes = small(name, value)?,
            "maximum-name-bytes" => policy.maximum_name_bytes = small(name, value)?,
            "maximum-value-bytes" => policy.maximum_value_bytes = small(name, value)?,
            "maximum-record-bytes" => policy.maximum_record_bytes = small(name, value)?,
            "maximum-fields" => policy.maximum_fields = small(name, value)?,
            "record-format" => policy.record_format = small(name, value)?,
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

/// Returns the same store with these changes to its capabilities.
pub(super) fn promise<S: StoreService>(
    store: &Scripted<S>,
    changes: &Map<String, Value>,
) -> Result<Scripted<S>, String> {
    let mut store = store.clone();
    for (name, value) in changes {
        store = match name.as_str() {
            "rows-bring-values" if value == false => store.without_values_in_rows(),
            "page-size" => store.with_page_size(small(name, value)?),
            _ => {
                let mut outcome = Ok(());
                let promising = store.promising(|promised| outcome = change(promised, name, value));
                outcome?;
                promising
            }
        }
    }
    Ok(store)
}

fn change(promised: &mut Capabilities, name: &str, value: &Value) -> Result<(), String> {
    let boolean = || {
        value
            .as_bool()
            .ok_or_else(|| format!("{name:?} is not true or false: {value}"))
    };
    match name {
        "compare-and-swap" => promised.compare_and_swap = boolean()?,
        "list-by-owner" => promised.list_by_owner = boolean()?,
        "acknowledged-writes-survive-failover" => promised.acknowledged_writes_survive_failover = boolean()?,
        "maximum-staleness-ms" => promised.maximum_staleness = milliseconds(name, value)?,
        "index-staleness-ms" => promised.index_staleness = milliseconds(name, value)?,
        "minimum-ttl-ms" => promised.minimum_ttl = milliseconds(name, value)?,
        "expiry-resolution-ms" => promised.expiry_resolution = milliseconds(name, value)?,
        "minimum-write-interval-ms" => promised.minimum_write_interval = milliseconds(name, value)?,
        "maximum-key-bytes" => promised.maximum_key_bytes = small(name, value)?,
        "maximum-owner-bytes" => promised.maximum_owner_bytes = small(name, value)?,
        "maximum-value-bytes" => promised.maximum_value_bytes = small(name, value)?,
        _ => return Err(format!("unknown capability {name:?}")),
    }
    Ok(())
}
