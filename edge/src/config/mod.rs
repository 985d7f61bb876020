//! What the Worker is configured with: variables and secrets, by the names that `tessera serve` has for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderName;
use js_sys::Reflect;
use serde::Deserialize;
use serde_json::{Map, Value};
use tessera_http::api::{
    ServiceKey, WeakServiceKey, check_headers, check_transports, parse_header, parse_transport,
};
use tessera_http::{Carrier, CookieError, Preflight};
use tracing::Level;
use wasm_bindgen::JsCast as _;
use worker::Env;
use zeroize::{Zeroize as _, Zeroizing};

use crate::driver::{ConfigureError, Driver, Setup, wit::SigningKey};
use crate::store::{AnyStore, CombinedStore, DurableStore, KvStore, Store as _, StoreKind};
use crate::{demo, duration};

/// The name of the binding to the objects of records.
pub(crate) const SESSIONS_BINDING: &str = "TESSERA_SESSIONS";
/// The name of the binding to the objects of owners.
pub(crate) const OWNERS_BINDING: &str = "TESSERA_OWNERS";
/// The name of the binding to the KV namespace.
pub(crate) const KV_BINDING: &str = "TESSERA_KV";
const KEYS: &str = "TESSERA_KEYS";
const SERVICE_KEY: &str = "TESSERA_SERVICE_KEY";
const DEMO: &str = "TESSERA_DEMO";
const DEFAULT_MAX_STALE_MS: u64 = 5_000;
const DEFAULT_STORE_TIMEOUT_MS: u64 = 10_000;
const MAXIMUM_STORE_TIMEOUT_MS: u64 = 60_000;

/// Why the Worker cannot serve: what is missing or unfit, by name. No value of a secret stands in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the secret {0} is not set; set it with `wrangler secret put {0}`")]
    NoSecret(&'static str),
    #[error("the secret {KEYS} is no key file, as `tessera key new` writes one: {0}")]
    Keys(String),
    #[error("the secret {SERVICE_KEY} is refused")]
    ServiceKey(#[from] WeakServiceKey),
    #[error("there is no binding {0}; wrangler.toml names what it is for")]
    NoBinding(&'static str),
    #[error("the variable {name} is unfit: {reason}")]
    Variable { name: &'static str, reason: String },
    #[error(transparent)]
    Engine(#[from] ConfigureError),
    #[error("the demonstration's cookie is refused")]
    DemoCookie(#[from] CookieError),
}

/// What everything else is made of.
pub(crate) struct Config {
    pub(crate) driver: Driver,
    pub(crate) service_key: ServiceKey,
    pub(crate) told: Vec<(String, HeaderName)>,
    /// Where tokens may stand, and where at `/auth`; none where the standard ones do.
    pub(crate) transports: Vec<Carrier>,
    pub(crate) auth_transports: Vec<Carrier>,
    /// What `/auth` answers to `OPTIONS`.
    pub(crate) auth_options: Preflight,
    /// The demonstration's, if it is to be there.
    pub(crate) demo: Option<Driver>,
}

/// How the text of a variable becomes a member of the policy.
enum Kind {
    Text,
    Duration,
    Number,
    /// Separated by commas.
    Names,
}

/// Variables with the member of the policy that each sets.
const POLICY: [(&str, &str, Kind); 21] = [
    ("TESSERA_IDLE_TIMEOUT", "idleTimeoutMs", Kind::Duration),
    ("TESSERA_ABSOLUTE_TIMEOUT", "absoluteTimeoutMs", Kind::Duration),
    ("TESSERA_TOUCH_INTERVAL", "touchIntervalMs", Kind::Duration),
    ("TESSERA_RENEW_INTERVAL", "renewIntervalMs", Kind::Duration),
    ("TESSERA_ROTATION_GRACE", "rotationGraceMs", Kind::Duration),
    ("TESSERA_TOKEN_LIFETIME", "tokenLifetimeMs", Kind::Duration),
    ("TESSERA_SESSIONS_PER_SUBJECT", "sessionsPerOwner", Kind::Number),
    ("TESSERA_CAP_RULE", "capRule", Kind::Text),
    ("TESSERA_FIELD_RULE", "fieldRule", Kind::Text),
    ("TESSERA_REUSE_RULE", "reuseRule", Kind::Text),
    ("TESSERA_TOKEN_FORMAT", "tokenFormat", Kind::Text),
    ("TESSERA_ISSUER", "issuer", Kind::Text),
    ("TESSERA_AUDIENCE", "audience", Kind::Text),
    ("TESSERA_CLOCK_SKEW", "clockSkewMs", Kind::Duration),
    ("TESSERA_MAXIMUM_VALUE_BYTES", "maximumValueBytes", Kind::Number),
    ("TESSERA_MAXIMUM_NAME_BYTES", "maximumNameBytes", Kind::Number),
    ("TESSERA_MAXIMUM_RECORD_BYTES", "maximumRecordBytes", Kind::Number),
    ("TESSERA_MAXIMUM_FIELDS", "maximumFields", Kind::Number),
    ("TESSERA_KEY_PREFIX", "keyPrefix", Kind::Text),
    ("TESSERA_PUBLIC_FIELDS", "publicFields", Kind::Names),
    ("TESSERA_TOKEN_FIELDS", "tokenFields", Kind::Names),
];

/// The variables of the policy that are one of a few words.
const WORDS: [(&str, &[&str]); 4] = [
    ("TESSERA_CAP_RULE", &["evict-oldest", "refuse"]),
    ("TESSERA_FIELD_RULE", &["later-wins", "conflict"]),
    ("TESSERA_REUSE_RULE", &["report", "end-session"]),
    ("TESSERA_TOKEN_FORMAT", &["compact", "jwt"]),
];
const PRESETS: [&str; 4] = ["standard", "aal1", "aal2", "aal3"];

impl Config {
    /// Reads everything, and makes the engine: what is unfit is found at the first request.
    pub(crate) fn read(env: &Env) -> Result<Self, ConfigError> {
        let service_key = Zeroizing::new(secret(env, SERVICE_KEY)?);
        let store = open(env, store_kind(env)?, "")?;
        let setup = Setup {
            preset: one_of(env, "TESSERA_PRESET", &PRESETS)?.unwrap_or_else(|| "standard".into()),
            changes: policy(env)?,
            keys: keys(&Zeroizing::new(secret(env, KEYS)?))?,
            capabilities: store.describe(),
        };
        let timeout_ms = store_timeout(env)?;
        let demo = one_of(env, DEMO, &["on", "off"])?.is_some_and(|when| when == "on");
        let demo = demo.then(|| demo::setup(&setup)).transpose()?;
        // What is unfit is named as the service's.
        let driver = Driver::new(setup, store, timeout_ms)?;
        let demo = demo.map(|setup| {
            let store = open(env, store_kind(env)?, demo::SPACE)?;
            Ok::<_, ConfigError>(Driver::new(setup, store, timeout_ms)?)
        });
        let told = told(env)?;
        Ok(Self {
            transports: transports(env, "TESSERA_TRANSPORTS", &told)?,
            auth_transports: transports(env, "TESSERA_AUTH_TRANSPORTS", &told)?,
            auth_options: auth_options(env)?,
            driver,
            demo: demo.transpose()?,
            service_key: ServiceKey::new(&service_key)?,
            told,
        })
    }
}

/// What is logged; `info` unless the variable says otherwise.
pub(crate) fn log_level(env: &Env) -> Level {
    variable(env, "TESSERA_LOG")
        .and_then(|level| level.parse().ok())
        .unwrap_or(Level::INFO)
}

fn variable(env: &Env, name: &str) -> Option<String> {
    env.var(name)
        .ok()
        .map(|value| value.to_string())
        .filter(|value| !value.is_empty())
}

fn secret(env: &Env, name: &'static str) -> Result<String, ConfigError> {
    let secret = env.secret(name).ok().map(|value| value.to_string());
    secret
        .filter(|value| !value.is_empty())
        .ok_or(ConfigError::NoSecret(name))
}

fn unfit(name: &'static str) -> impl Fn(String) -> ConfigError {
    move |reason| ConfigError::Variable { name, reason }
}

fn one_of(env: &Env, name: &'static str, words: &[&str]) -> Result<Option<String>, ConfigError> {
    match variable(env, name) {
        Some(value) if !words.contains(&value.as_str()) => {
            Err(unfit(name)(format!("it is one of {}", words.join(", "))))
        }
        value => Ok(value),
    }
}

fn milliseconds(env: &Env, name: &'static str) -> Result<Option<u64>, ConfigError> {
    variable(env, name)
        .map(|text| duration::parse(&text).map_err(unfit(name)))
        .transpose()
}

fn policy(env: &Env) -> Result<Map<String, Value>, ConfigError> {
    let mut policy = Map::new();
    for (name, words) in WORDS {
        one_of(env, name, words)?;
    }
    for (name, member, kind) in POLICY {
        let Some(text) = variable(env, name) else {
            continue;
        };
        let value = match kind {
            Kind::Text => Value::from(text),
            Kind::Duration => Value::from(duration::parse(&text).map_err(unfit(name))?.to_string()),
            Kind::Number => {
                let number: Result<u32, _> = text.parse();
                Value::from(number.map_err(|_| unfit(name)("it is a whole number".into()))?)
            }
            Kind::Names => text.split(',').map(str::trim).collect(),
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
    /// When the key signed last, which `tessera key` notes for an operator.
    #[serde(default, rename = "signed_until")]
    _signed_until: Option<u64>,
}

impl Drop for StoredKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Reads a key file. How fit each key is, the engine says.
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
        return Err(ConfigError::Keys("it holds no key".into()));
    }
    file.keys.iter().map(read).collect()
}

fn store_kind(env: &Env) -> Result<StoreKind, ConfigError> {
    const NAME: &str = "TESSERA_STORE";
    let named = variable(env, NAME).unwrap_or_else(|| "durable".into());
    let kind = StoreKind::NAMES
        .into_iter()
        .find(|(name, _)| *name == named)
        .map(|(_, kind)| kind);
    kind.ok_or_else(|| {
        let names = StoreKind::NAMES.map(|(name, _)| name).join(", ");
        unfit(NAME)(format!("it is one of {names}"))
    })
}

/// Opens a store; `space` keeps what is in it apart from what is in others of the same bindings.
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
    let max_stale = milliseconds(env, "TESSERA_MAX_STALE")?.unwrap_or(DEFAULT_MAX_STALE_MS);
    Ok(AnyStore::Combined(CombinedStore::new(
        kv()?,
        space,
        durable,
        max_stale,
        store_timeout(env)?,
    )))
}

fn store_timeout(env: &Env) -> Result<u64, ConfigError> {
    const NAME: &str = "TESSERA_STORE_TIMEOUT";
    let timeout = milliseconds(env, NAME)?.unwrap_or(DEFAULT_STORE_TIMEOUT_MS);
    if !(1..=MAXIMUM_STORE_TIMEOUT_MS).contains(&timeout) {
        return Err(unfit(NAME)("it is 1ms to 60s".into()));
    }
    Ok(timeout)
}

/// The fields that proxies are told, as in `role=X-Role,team=X-Team`.
fn told(env: &Env) -> Result<Vec<(String, HeaderName)>, ConfigError> {
    const NAME: &str = "TESSERA_AUTH_HEADERS";
    let Some(text) = variable(env, NAME) else {
        return Ok(Vec::new());
    };
    let told: Result<Vec<_>, String> = text.split(',').map(|one| parse_header(one.trim())).collect();
    let told = told.map_err(unfit(NAME))?;
    check_headers(&told).map_err(unfit(NAME))?;
    Ok(told)
}

/// Where tokens may stand, as in `bearer,cookie:__Host-tessera`.
fn transports(
    env: &Env,
    name: &'static str,
    told: &[(String, HeaderName)],
) -> Result<Vec<Carrier>, ConfigError> {
    let Some(text) = variable(env, name) else {
        return Ok(Vec::new());
    };
    let transports: Result<Vec<_>, String> = text.split(',').map(|one| parse_transport(one.trim())).collect();
    let transports = transports.map_err(unfit(name))?;
    check_transports(&transports, told).map_err(unfit(name))?;
    Ok(transports)
}

fn auth_options(env: &Env) -> Result<Preflight, ConfigError> {
    const HEADER: &str = "TESSERA_AUTH_METHOD_HEADER";
    let is_passed =
        one_of(env, "TESSERA_AUTH_OPTIONS", &["check", "pass"])?.is_some_and(|what| what == "pass");
    let method_header = variable(env, HEADER)
        .map(|name| HeaderName::try_from(name).map_err(|_| unfit(HEADER)("it is no name of a header".into())))
        .transpose()?;
    Ok(if is_passed {
        Preflight::Pass { method_header }
    } else {
        Preflight::Check
    })
}
