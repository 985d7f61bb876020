//! The Worker's configuration: variables and secrets, with the names of `tessera serve`.

mod engines;
mod error;
mod names;
mod proxies;
mod value;
mod variables;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderName;
use js_sys::Reflect;
use serde::Deserialize;
use serde_json::{Map, Value};
use tessera_http::api::ServiceKey;
use tessera_http::{Preflight, TokenTransport};
use tracing::level_filters::LevelFilter;
use wasm_bindgen::JsCast as _;
use worker::Env;
use zeroize::Zeroize as _;

use self::value::{document, variable};
use self::variables::{
    AUTH_TRANSPORTS, KV_BINDING, Kind, LEVELS, LOG, MAX_STALE, POLICY, PRESET, PRESETS, SERVICE_KEY,
    SESSIONS_BINDING, STORE, STORE_TIMEOUT, TRANSPORTS,
};
use crate::driver::wit::SigningKey;
use crate::store::{AnyStore, CombinedStore, DurableStore, KvStore, StoreKind};

pub(crate) use engines::{Engines, engines};
pub(crate) use error::ConfigError;
pub(crate) use names::warn_of_unknown;
pub(crate) use variables::OWNERS_BINDING;

/// KV itself may show copies of this age outside the location of the write.
/// So a shorter time causes more writes and saves fewer reads.
const DEFAULT_MAX_STALE_MS: u64 = 60_000;
/// The maximum rotation grace of the engine: a cache must not be staler than the grace.
const MAXIMUM_MAX_STALE_MS: u64 = 600_000;
const DEFAULT_STORE_TIMEOUT_MS: u64 = 10_000;
const MAXIMUM_STORE_TIMEOUT_MS: u64 = 60_000;

/// The configuration, read and validated.
pub(crate) struct Config {
    pub(crate) engines: Engines,
    pub(crate) service_key: ServiceKey,
    pub(crate) auth_headers: Vec<(String, HeaderName)>,
    /// Fields that only the service key may write, in addition to those that proxies receive.
    pub(crate) protected: Vec<String>,
    /// The transports in which tokens are accepted; empty for the standard ones.
    pub(crate) transports: Vec<TokenTransport>,
    /// The same at `/auth`.
    pub(crate) auth_transports: Vec<TokenTransport>,
    /// The answer of `/auth` to `OPTIONS`.
    pub(crate) auth_options: Preflight,
}

impl Config {
    /// Reads all variables and creates the engines, so that the first request reports an invalid configuration.
    pub(crate) fn read(env: &Env) -> Result<Self, ConfigError> {
        log_level(env)?;
        let service_key = variable(env, SERVICE_KEY).ok_or(ConfigError::NoSecret(SERVICE_KEY))?;
        let engines = engines(env)?;
        let auth_headers = proxies::auth_headers(env)?;
        Ok(Self {
            transports: proxies::transports(env, TRANSPORTS, &auth_headers)?,
            auth_transports: proxies::transports(env, AUTH_TRANSPORTS, &auth_headers)?,
            auth_options: proxies::auth_options(env)?,
            engines,
            service_key: ServiceKey::new(service_key.text()?)?,
            protected: proxies::protected(env)?,
            auth_headers,
        })
    }
}

/// Returns the log level; by default `info`.
pub(crate) fn log_level(env: &Env) -> Result<LevelFilter, ConfigError> {
    let Some(level) = variable(env, LOG) else {
        return Ok(LevelFilter::INFO);
    };
    let named = level.text()?.to_ascii_lowercase();
    let found = LEVELS.into_iter().find(|(name, _)| *name == named);
    found.map(|(_, level)| level).ok_or_else(|| {
        let names = LEVELS.map(|(name, _)| name).join(", ");
        level.refused(format!("expected one of {names}"))
    })
}

fn milliseconds(env: &Env, name: &'static str) -> Result<Option<u64>, ConfigError> {
    variable(env, name)
        .map(|variable| variable.duration())
        .transpose()
}

fn preset(env: &Env) -> Result<String, ConfigError> {
    match variable(env, PRESET) {
        Some(preset) => preset.word(&PRESETS).map(str::to_owned),
        None => Ok("standard".into()),
    }
}

fn policy(env: &Env) -> Result<Map<String, Value>, ConfigError> {
    let mut policy = Map::new();
    for (name, member, kind) in POLICY {
        let Some(variable) = variable(env, name) else {
            continue;
        };
        let value = match kind {
            Kind::Text => Value::from(variable.text()?),
            Kind::Word(words) => Value::from(variable.word(words)?),
            Kind::Duration => Value::from(variable.duration()?.to_string()),
            Kind::Number => Value::from(variable.number()?),
            Kind::Names => variable.texts()?.into_iter().collect(),
        };
        policy.insert(member.into(), value);
    }
    Ok(policy)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    keys: Vec<StoredKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    secret: String,
    /// The time of the key's last signature, which `tessera key` records for the operator.
    #[serde(default, rename = "signed_until")]
    _signed_until: Option<u64>,
}

impl Drop for StoredKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Reads a key file. The engine validates each key.
fn keys(text: &str) -> Result<Vec<SigningKey>, ConfigError> {
    // serde's own message may quote the secret.
    let file: KeyFile = serde_json::from_str(text).map_err(|error| {
        ConfigError::Keys(format!("see line {}, column {}", error.line(), error.column()))
    })?;
    let read = |key: &StoredKey| {
        let secret = URL_SAFE_NO_PAD.decode(&key.secret);
        let secret =
            secret.map_err(|_| ConfigError::Keys("a secret is not base64url without padding".into()))?;
        Ok(SigningKey {
            id: key.id.clone(),
            secret,
        })
    };
    if file.keys.is_empty() {
        return Err(ConfigError::Keys("it contains no key".into()));
    }
    file.keys.iter().map(read).collect()
}

fn store_kind(env: &Env) -> Result<StoreKind, ConfigError> {
    let Some(store) = variable(env, STORE) else {
        return Ok(StoreKind::Durable);
    };
    let named = store.word(&StoreKind::NAMES.map(|(name, _)| name))?;
    let kind = StoreKind::NAMES.into_iter().find(|(name, _)| *name == named);
    Ok(kind.map_or(StoreKind::Durable, |(_, kind)| kind))
}

/// Opens a store. `space` separates its entries from those of other stores with the same bindings.
pub(crate) fn open(env: &Env, kind: StoreKind, space: &str) -> Result<AnyStore, ConfigError> {
    let missing = |name| move |_| ConfigError::NoBinding(name);
    let kv = || {
        let kv = env.kv(KV_BINDING).map_err(missing(KV_BINDING))?;
        let binding =
            Reflect::get(env, &KV_BINDING.into()).map_err(|_| ConfigError::NoBinding(KV_BINDING))?;
        Ok::<_, ConfigError>((kv, binding.unchecked_into()))
    };
    if kind == StoreKind::Kv {
        return Ok(AnyStore::Kv(KvStore::new(kv()?, space)));
    }
    let sessions = env
        .durable_object(SESSIONS_BINDING)
        .map_err(missing(SESSIONS_BINDING))?;
    let owners = env
        .durable_object(OWNERS_BINDING)
        .map_err(missing(OWNERS_BINDING))?;
    let durable = DurableStore::new(sessions, owners, space);
    if kind == StoreKind::Durable {
        return Ok(AnyStore::Durable(durable));
    }
    let max_stale = milliseconds(env, MAX_STALE)?.unwrap_or(DEFAULT_MAX_STALE_MS);
    if max_stale > MAXIMUM_MAX_STALE_MS {
        return Err(ConfigError::Variable {
            name: MAX_STALE,
            reason: "the maximum is 10m".into(),
        });
    }
    Ok(AnyStore::Combined(CombinedStore::new(
        kv()?,
        space,
        durable,
        Duration::from_millis(max_stale),
        store_timeout(env)?,
    )))
}

pub(crate) fn store_timeout(env: &Env) -> Result<u64, ConfigError> {
    let timeout = milliseconds(env, STORE_TIMEOUT)?.unwrap_or(DEFAULT_STORE_TIMEOUT_MS);
    if !(1..=MAXIMUM_STORE_TIMEOUT_MS).contains(&timeout) {
        return Err(ConfigError::Variable {
            name: STORE_TIMEOUT,
            reason: "the range is 1ms to 60s".into(),
        });
    }
    Ok(timeout)
}
