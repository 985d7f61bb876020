//! [`Policy`]: the lifetimes, limits and rules of sessions.

#[cfg(feature = "json")]
mod json;

use std::time::Duration;

use crate::bindings::wit;
use tessera_contract::millis;

/// What happens when a subject has more sessions than [`Policy::sessions_per_subject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapRule {
    /// The sessions with the oldest logins end.
    EvictOldest,
    /// The login that exceeds the limit fails with [`SessionError::TooManySessions`](crate::SessionError::TooManySessions).
    Refuse,
}

/// What happens when two concurrent saves change the same field differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldRule {
    /// The later save overwrites the field.
    LaterWins,
    /// The later save fails with [`SessionError::Conflict`](crate::SessionError::Conflict).
    Conflict,
}

/// What happens to a session when its renewed token is used after the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReuseRule {
    /// The call fails with [`SessionError::Reused`](crate::SessionError::Reused); the session stays alive.
    Report,
    /// The call fails in the same way, and the session ends.
    EndSession,
}

/// The format of the tokens that are issued and accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// `ts1.<key id>.<payload>.<mac>`, opaque to clients.
    Compact,
    /// A JSON Web Token (RFC 7519) with HS256, which gateways can verify. Only a session with a subject receives one.
    Jwt,
}

/// The timeouts of a new policy: the defaults, or those of an assurance level of NIST SP 800-63B-4,
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

/// The lifetimes, limits and rules of sessions. Durations have a resolution of one millisecond.
///
/// The engine defines the defaults, from which [`Sessions::builder`](crate::Sessions::builder) starts, and the valid ranges.
/// `build` refuses an invalid policy, and one that the store cannot honour, and names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Ends a session this long after its last activity. Default 30 minutes; 1 second to 400 days.
    pub idle_timeout: Duration,
    /// Ends a session this long after its creation or last authentication.
    /// Default 24 hours; at least `idle_timeout`, at most 400 days.
    pub absolute_timeout: Duration,
    /// The minimum time between two extensions of the idle expiry.
    /// Default 1 minute; zero extends it at each touch; below `idle_timeout`.
    pub touch_interval: Duration,
    /// The time after which a save renews the token; `None`, the default: only `rotate` and `authenticate` do.
    /// Above `rotation_grace`, at most `absolute_timeout`.
    pub renew_interval: Option<Duration>,
    /// How long a renewed token stays valid after the first use of its successor. Default 10 seconds; at most 10 minutes.
    pub rotation_grace: Duration,
    /// The validity of a JWT. Default 5 minutes; 1 second to the longer of `absolute_timeout` and 5 minutes.
    pub token_lifetime: Duration,
    /// The maximum number of sessions of one subject, 1 to 100; `None`, the default: any number.
    /// Needs a store that lists by owner from an index that is never stale.
    pub sessions_per_subject: Option<u32>,
    /// What happens at a login beyond that number. Default [`CapRule::EvictOldest`].
    pub cap_rule: CapRule,
    /// What happens when two concurrent saves change the same field differently. Default [`FieldRule::LaterWins`].
    pub field_rule: FieldRule,
    /// What happens when a renewed token is used after the grace period. Default [`ReuseRule::Report`].
    pub reuse_rule: ReuseRule,
    /// The format of tokens. Default [`TokenFormat::Compact`].
    pub token_format: TokenFormat,
    /// The issuer of the tokens: bound into every key, and the claim `iss` of a JWT, where it is required. At most 255 bytes.
    pub issuer: String,
    /// The audience of the tokens: bound into every key, and the claim `aud` of a JWT, where it is required. At most 255 bytes.
    pub audience: String,
    /// The tolerated difference between the clocks of hosts. Default 5 seconds; at most 10 minutes.
    /// It applies to tokens that were issued in the future and to the `exp` of a JWT, and to nothing else.
    pub clock_skew: Duration,
    /// The maximum length of a token; longer ones are refused unread. Default 4096; 256 to 4096.
    pub maximum_token_bytes: u32,
    /// The maximum length of a field name. Default 128; 1 to 1024.
    pub maximum_name_bytes: u32,
    /// The maximum length of a value as JSON. Default 16384; 1 to 1048576.
    pub maximum_value_bytes: u32,
    /// The maximum length of a whole stored record. The engine needs 512 bytes of it and the length of the subject.
    /// Default 65536; 1024 to 1048576, and at most the maximum of the store.
    pub maximum_record_bytes: u32,
    /// The maximum number of fields. Default 256; 1 to 4096.
    pub maximum_fields: u32,
    /// The format of written records: that of the previous release, which is the default, or that of this release.
    /// Both are read. Change it once every host of the store runs a release that reads the new format.
    /// At present the only format is 1.
    pub record_format: u32,
    /// The prefix of every key in the store. Default `tessera:`; at most 64 visible ASCII characters.
    pub key_prefix: String,
    /// The fields that a list of sessions shows, as for a page "your devices". At most 32 names.
    pub public_fields: Vec<String>,
    /// The text fields that the `data` claim of a JWT contains. At most 32 names; only with [`TokenFormat::Jwt`].
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

/// Converts between an enum and its counterpart in WIT, which has the same cases.
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
