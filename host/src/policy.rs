//! How sessions live.

use std::time::Duration;

use crate::bindings::wit;
use tessera_contract::millis;

/// What happens when a subject has more sessions than [`Policy::sessions_per_subject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapRule {
    /// The sessions that logged in longest ago end.
    EvictOldest,
    /// The login that came too late is undone.
    Refuse,
}

/// Who wins when two saves changed one field differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldRule {
    /// The save that comes later.
    LaterWins,
    /// Nobody: the later save fails with [`SessionError::Conflict`](crate::SessionError::Conflict).
    Conflict,
}

/// What happens to a session whose replaced token is shown again after its grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReuseRule {
    /// The call answers [`SessionError::Reused`](crate::SessionError::Reused); the session goes on.
    Report,
    /// The session is ended as well.
    EndSession,
}

/// The form of token that is made and accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// `ts1.<key id>.<payload>.<mac>`, opaque to clients.
    Compact,
    /// A JSON Web Token (RFC 7519), HS256, that gateways can check; only sessions with a subject get one.
    Jwt,
}

/// A policy to start from: the defaults, or those with the timeouts of an assurance level of NIST SP 800-63B-4,
/// sections 2.1.3, 2.2.3 and 2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Ends after 24 hours, or 30 minutes without activity.
    Standard,
    /// Ends after 30 days.
    Aal1,
    /// Ends after 24 hours, or 1 hour without activity.
    Aal2,
    /// Ends after 12 hours, or 15 minutes without activity.
    Aal3,
}

/// How sessions live. Durations count in whole milliseconds.
///
/// The defaults and the checks are the engine's: [`Sessions::builder`](crate::Sessions::builder) starts from them,
/// and `build` refuses what makes no sense or what the store cannot honour, naming the field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Ends a session this long after its last activity. Default 30 minutes; 1 second to 400 days.
    pub idle_timeout: Duration,
    /// Ends a session this long after its creation or last authentication. Default 24 hours; at least `idle_timeout`, at most 400 days.
    pub absolute_timeout: Duration,
    /// Activity moves the idle expiry at most this often. Default 1 minute; zero moves it at each touch; below `idle_timeout`.
    pub touch_interval: Duration,
    /// Gives a session a new token this long after the last; `None`: only `rotate` and `authenticate` do. Above `rotation_grace`.
    pub renew_interval: Option<Duration>,
    /// A renewed token works this long after the first use of the new one. Default 10 seconds; at most 10 minutes.
    pub rotation_grace: Duration,
    /// How long a JWT is valid. Default 5 minutes; at least 1 second.
    pub token_lifetime: Duration,
    /// How many sessions one subject may have; `None`: any number; 1 to 100.
    pub sessions_per_subject: Option<u32>,
    /// What happens beyond that. Default [`CapRule::EvictOldest`].
    pub cap_rule: CapRule,
    /// Who wins when two saves changed one field differently. Default [`FieldRule::LaterWins`].
    pub field_rule: FieldRule,
    /// What happens when a replaced token is shown again. Default [`ReuseRule::Report`].
    pub reuse_rule: ReuseRule,
    /// The form of token. Default [`TokenFormat::Compact`].
    pub token_format: TokenFormat,
    /// Who makes the tokens: bound into every key, and `iss` in a JWT, where it is required. At most 255 bytes.
    pub issuer: String,
    /// Whom the tokens are for: bound into every key, and `aud` in a JWT, where it is required. At most 255 bytes.
    pub audience: String,
    /// How far the clocks of hosts may differ. Default 5 seconds; at most 10 minutes.
    pub clock_skew: Duration,
    /// Longer tokens are refused unread. Default 4096; 256 to 4096.
    pub maximum_token_bytes: u32,
    /// The longest field name. Default 128; 1 to 1024.
    pub maximum_name_bytes: u32,
    /// The JSON text of one value. Default 16384; 1 to 1048576.
    pub maximum_value_bytes: u32,
    /// The whole stored record. Default 65536; 1024 to 1048576.
    pub maximum_record_bytes: u32,
    /// Default 256; 1 to 4096.
    pub maximum_fields: u32,
    /// The format in which records are written: that of the release before this one, which is the default, or this release's own.
    /// Both are read. Change it once every host of the store runs a release that reads the new one. Today 1 alone.
    pub record_format: u32,
    /// Stands before every key in the store. Default `tessera:`; at most 64 visible ASCII characters.
    pub key_prefix: String,
    /// Fields that a list of sessions shows, as for a page "your devices". At most 32 names.
    pub public_fields: Vec<String>,
    /// Text fields copied into the `data` claim of a JWT. At most 32 names.
    pub token_fields: Vec<String>,
}

impl Policy {
    pub(crate) fn from_wit(policy: wit::Policy) -> Self {
        Self {
            idle_timeout: Duration::from_millis(policy.idle_timeout_ms),
            absolute_timeout: Duration::from_millis(policy.absolute_timeout_ms),
            touch_interval: Duration::from_millis(policy.touch_interval_ms),
            renew_interval: policy.renew_interval_ms.map(Duration::from_millis),
            rotation_grace: Duration::from_millis(policy.rotation_grace_ms),
            token_lifetime: Duration::from_millis(policy.token_lifetime_ms),
            sessions_per_subject: policy.sessions_per_subject,
            cap_rule: policy.cap_rule.into(),
            field_rule: policy.field_rule.into(),
            reuse_rule: policy.reuse_rule.into(),
            token_format: policy.token_format.into(),
            issuer: policy.issuer,
            audience: policy.audience,
            clock_skew: Duration::from_millis(policy.clock_skew_ms),
            maximum_token_bytes: policy.maximum_token_bytes,
            maximum_name_bytes: policy.maximum_name_bytes,
            maximum_value_bytes: policy.maximum_value_bytes,
            maximum_record_bytes: policy.maximum_record_bytes,
            maximum_fields: policy.maximum_fields,
            record_format: policy.record_format,
            key_prefix: policy.key_prefix,
            public_fields: policy.public_fields,
            token_fields: policy.token_fields,
        }
    }

    pub(crate) fn to_wit(&self) -> wit::Policy {
        wit::Policy {
            idle_timeout_ms: millis(self.idle_timeout),
            absolute_timeout_ms: millis(self.absolute_timeout),
            touch_interval_ms: millis(self.touch_interval),
            renew_interval_ms: self.renew_interval.map(millis),
            rotation_grace_ms: millis(self.rotation_grace),
            token_lifetime_ms: millis(self.token_lifetime),
            sessions_per_subject: self.sessions_per_subject,
            cap_rule: self.cap_rule.into(),
            field_rule: self.field_rule.into(),
            reuse_rule: self.reuse_rule.into(),
            token_format: self.token_format.into(),
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            clock_skew_ms: millis(self.clock_skew),
            maximum_token_bytes: self.maximum_token_bytes,
            maximum_name_bytes: self.maximum_name_bytes,
            maximum_value_bytes: self.maximum_value_bytes,
            maximum_record_bytes: self.maximum_record_bytes,
            maximum_fields: self.maximum_fields,
            record_format: self.record_format,
            key_prefix: self.key_prefix.clone(),
            public_fields: self.public_fields.clone(),
            token_fields: self.token_fields.clone(),
        }
    }
}

/// The same enum on both sides of WIT.
macro_rules! same {
    ($name:ident: $($case:ident),*) => {
        impl From<wit::$name> for $name {
            fn from(value: wit::$name) -> Self {
                match value { $(wit::$name::$case => Self::$case),* }
            }
        }

        impl From<$name> for wit::$name {
            fn from(value: $name) -> Self {
                match value { $($name::$case => Self::$case),* }
            }
        }
    };
}

same!(CapRule: EvictOldest, Refuse);
same!(FieldRule: LaterWins, Conflict);
same!(ReuseRule: Report, EndSession);
same!(TokenFormat: Compact, Jwt);
same!(Preset: Standard, Aal1, Aal2, Aal3);
