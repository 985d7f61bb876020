//! The names of the variables, secrets and bindings, and the words that some of them accept.

use tracing::level_filters::LevelFilter;

/// The binding to the Durable Objects of records.
pub(super) const SESSIONS_BINDING: &str = "TESSERA_SESSIONS";
/// The binding to the Durable Objects of owners.
pub(crate) const OWNERS_BINDING: &str = "TESSERA_OWNERS";
/// The binding to the KV namespace.
pub(super) const KV_BINDING: &str = "TESSERA_KV";
pub(super) const KEYS: &str = "TESSERA_KEYS";
pub(super) const SERVICE_KEY: &str = "TESSERA_SERVICE_KEY";
pub(super) const AUTH_HEADERS: &str = "TESSERA_AUTH_HEADERS";
pub(super) const AUTH_METHOD_HEADER: &str = "TESSERA_AUTH_METHOD_HEADER";
pub(super) const AUTH_OPTIONS: &str = "TESSERA_AUTH_OPTIONS";
pub(super) const AUTH_TRANSPORTS: &str = "TESSERA_AUTH_TRANSPORTS";
pub(super) const DEMO: &str = "TESSERA_DEMO";
pub(super) const LOG: &str = "TESSERA_LOG";
pub(super) const MAX_STALE: &str = "TESSERA_MAX_STALE";
pub(super) const PRESET: &str = "TESSERA_PRESET";
pub(super) const PROTECTED_FIELDS: &str = "TESSERA_PROTECTED_FIELDS";
pub(super) const STORE: &str = "TESSERA_STORE";
pub(super) const STORE_TIMEOUT: &str = "TESSERA_STORE_TIMEOUT";
pub(super) const TRANSPORTS: &str = "TESSERA_TRANSPORTS";

/// The type of a policy variable.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Word(&'static [&'static str]),
    Duration,
    Number,
    Names,
}

/// The policy's variables: name, the member of the policy that it sets, and type.
pub(super) const POLICY: [(&str, &str, Kind); 22] = [
    ("TESSERA_IDLE_TIMEOUT", "idleTimeoutMs", Kind::Duration),
    ("TESSERA_ABSOLUTE_TIMEOUT", "absoluteTimeoutMs", Kind::Duration),
    ("TESSERA_TOUCH_INTERVAL", "touchIntervalMs", Kind::Duration),
    ("TESSERA_RENEW_INTERVAL", "renewIntervalMs", Kind::Duration),
    ("TESSERA_ROTATION_GRACE", "rotationGraceMs", Kind::Duration),
    ("TESSERA_TOKEN_LIFETIME", "tokenLifetimeMs", Kind::Duration),
    ("TESSERA_SESSIONS_PER_SUBJECT", "sessionsPerSubject", Kind::Number),
    (
        "TESSERA_CAP_RULE",
        "capRule",
        Kind::Word(&["evict-oldest", "refuse"]),
    ),
    (
        "TESSERA_FIELD_RULE",
        "fieldRule",
        Kind::Word(&["later-wins", "conflict"]),
    ),
    (
        "TESSERA_REUSE_RULE",
        "reuseRule",
        Kind::Word(&["report", "end-session"]),
    ),
    (
        "TESSERA_TOKEN_FORMAT",
        "tokenFormat",
        Kind::Word(&["compact", "jwt"]),
    ),
    ("TESSERA_ISSUER", "issuer", Kind::Text),
    ("TESSERA_AUDIENCE", "audience", Kind::Text),
    ("TESSERA_CLOCK_SKEW", "clockSkewMs", Kind::Duration),
    ("TESSERA_MAXIMUM_VALUE_BYTES", "maximumValueBytes", Kind::Number),
    ("TESSERA_MAXIMUM_NAME_BYTES", "maximumNameBytes", Kind::Number),
    ("TESSERA_MAXIMUM_RECORD_BYTES", "maximumRecordBytes", Kind::Number),
    ("TESSERA_MAXIMUM_FIELDS", "maximumFields", Kind::Number),
    ("TESSERA_RECORD_FORMAT", "recordFormat", Kind::Number),
    ("TESSERA_KEY_PREFIX", "keyPrefix", Kind::Text),
    ("TESSERA_PUBLIC_FIELDS", "publicFields", Kind::Names),
    ("TESSERA_TOKEN_FIELDS", "tokenFields", Kind::Names),
];

pub(super) const PRESETS: [&str; 4] = ["standard", "aal1", "aal2", "aal3"];
pub(super) const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];
