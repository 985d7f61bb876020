//! The names of all variables, and the nearest of them to an unknown name.

use js_sys::Object;
use wasm_bindgen::JsCast as _;
use worker::Env;

use super::variables::{
    AUTH_HEADERS, AUTH_METHOD_HEADER, AUTH_OPTIONS, AUTH_TRANSPORTS, DEMO, KEYS, KV_BINDING, LOG, MAX_STALE,
    OWNERS_BINDING, POLICY, PRESET, PROTECTED_FIELDS, SERVICE_KEY, SESSIONS_BINDING, STORE, STORE_TIMEOUT,
    TRANSPORTS,
};
use crate::store::CONNECTIONS_BINDING;

const PREFIX: &str = "TESSERA_";
/// The maximum length of a name that is compared with the known names, in bytes without the prefix.
const MAXIMUM_NAME_BYTES: usize = 64;
/// A misspelt name may differ in one of this many letters.
const LETTERS_A_MISTAKE: usize = 3;

/// All names except those of the policy.
const OTHERS: [&str; 18] = [
    AUTH_HEADERS,
    AUTH_METHOD_HEADER,
    AUTH_OPTIONS,
    AUTH_TRANSPORTS,
    CONNECTIONS_BINDING,
    DEMO,
    KEYS,
    KV_BINDING,
    LOG,
    MAX_STALE,
    OWNERS_BINDING,
    PRESET,
    PROTECTED_FIELDS,
    SERVICE_KEY,
    SESSIONS_BINDING,
    STORE,
    STORE_TIMEOUT,
    TRANSPORTS,
];

/// Variables of the program `tessera` that a Worker has no use for: addresses, files, connections, the process.
const OF_THE_PROGRAM: [&str; 11] = [
    "TESSERA_DATA",
    "TESSERA_DURABILITY",
    "TESSERA_FROM",
    "TESSERA_KEEP_ALIVE_TIMEOUT",
    "TESSERA_KEY_FILE",
    "TESSERA_LISTEN",
    "TESSERA_MAXIMUM_CONNECTIONS",
    "TESSERA_REQUEST_TIMEOUT",
    "TESSERA_SERVICE_KEY_FILE",
    "TESSERA_SHUTDOWN_TIMEOUT",
    "TESSERA_TO",
];

/// Warns of each variable with the prefix `TESSERA_` that has no effect.
pub(crate) fn warn_of_unknown(env: &Env) {
    for name in Object::keys(env.unchecked_ref::<Object>())
        .iter()
        .filter_map(|name| name.as_string())
    {
        if !name.starts_with(PREFIX) || known().any(|known| known == name) {
            continue;
        }
        if OF_THE_PROGRAM.contains(&name.as_str()) {
            tracing::warn!("the variable {name} applies to `tessera serve` only and has no effect here");
            continue;
        }
        match nearest(&name) {
            Some(near) => tracing::warn!("unknown variable {name}; the nearest name is {near}"),
            None => tracing::warn!("unknown variable {name}"),
        }
    }
}

fn known() -> impl Iterator<Item = &'static str> {
    POLICY.iter().map(|(name, ..)| *name).chain(OTHERS)
}

fn nearest(name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    if rest.len() > MAXIMUM_NAME_BYTES {
        return None;
    }
    let most = (rest.len() / LETTERS_A_MISTAKE).max(1);
    let near = known().map(|known| (strsim::levenshtein(known, name), known));
    near.filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}
