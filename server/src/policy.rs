//! The policy as flags. An absent flag keeps the engine's default.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tessera::{
    CapRule, ConfigurationError, FieldRule, Preset, ReuseRule, Sessions, SessionsBuilder, TokenFormat,
};

use crate::duration;
use crate::failure::Failure;

/// The form and the parameters of tokens.
#[derive(Args, Clone)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct TokenFlags {
    /// The form in which tokens are issued and accepted [default: compact]
    #[arg(long, value_name = "FORMAT", ignore_case = true, env = "TESSERA_TOKEN_FORMAT")]
    token_format: Option<Format>,
    /// The issuer of the tokens; bound into every key, and `iss` in a JWT
    #[arg(long, value_name = "TEXT", env = "TESSERA_ISSUER")]
    issuer: Option<String>,
    /// The audience of the tokens; bound into every key, and `aud` in a JWT
    #[arg(long, value_name = "TEXT", env = "TESSERA_AUDIENCE")]
    audience: Option<String>,
    /// The maximum difference between the clocks of hosts [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, env = "TESSERA_CLOCK_SKEW")]
    clock_skew: Option<Duration>,
}

/// The maximum lifetime of a session.
#[derive(Args, Clone)]
#[command(next_help_heading = "Policy")]
pub(crate) struct LifetimeFlags {
    /// Use the timeouts of an assurance level of NIST SP 800-63B-4
    #[arg(long, value_name = "LEVEL", ignore_case = true, env = "TESSERA_PRESET")]
    preset: Option<Level>,
    /// End a session this long after its creation or last authentication [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, env = "TESSERA_ABSOLUTE_TIMEOUT")]
    absolute_timeout: Option<Duration>,
}

/// The timeouts, limits and rules of sessions.
#[derive(Args, Clone)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    #[command(flatten)]
    lifetime: LifetimeFlags,
    /// End a session this long after its last activity [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, env = "TESSERA_IDLE_TIMEOUT")]
    idle_timeout: Option<Duration>,
    /// Let activity extend the idle expiry at most this often [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, env = "TESSERA_TOUCH_INTERVAL")]
    touch_interval: Option<Duration>,
    /// Renew the token of a session that is saved this long after the last renewal [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, env = "TESSERA_RENEW_INTERVAL")]
    renew_interval: Option<Duration>,
    /// Accept a renewed token this long after the first use of the new one [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, env = "TESSERA_ROTATION_GRACE")]
    rotation_grace: Option<Duration>,
    /// The lifetime of a JWT [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, env = "TESSERA_TOKEN_LIFETIME")]
    token_lifetime: Option<Duration>,
    /// The maximum number of sessions of one subject, 1 to 100 [default: unlimited]
    #[arg(long, value_name = "COUNT", env = "TESSERA_SESSIONS_PER_SUBJECT")]
    sessions_per_subject: Option<u32>,
    /// The effect of a login beyond this number [default: evict-oldest]
    #[arg(long, value_name = "RULE", ignore_case = true, env = "TESSERA_CAP_RULE")]
    cap_rule: Option<Cap>,
    /// The outcome when two saves change one field differently [default: later-wins]
    #[arg(long, value_name = "RULE", ignore_case = true, env = "TESSERA_FIELD_RULE")]
    field_rule: Option<Field>,
    /// The effect on a session when its replaced token is used again [default: report]
    #[arg(long, value_name = "RULE", ignore_case = true, env = "TESSERA_REUSE_RULE")]
    reuse_rule: Option<Reuse>,
    /// The maximum length of one value as JSON text [default: 16384]
    #[arg(long, value_name = "BYTES", env = "TESSERA_MAXIMUM_VALUE_BYTES")]
    maximum_value_bytes: Option<u32>,
    /// The maximum length of a field name [default: 128]
    #[arg(long, value_name = "BYTES", env = "TESSERA_MAXIMUM_NAME_BYTES")]
    maximum_name_bytes: Option<u32>,
    /// The maximum length of a stored record [default: 65536]
    #[arg(long, value_name = "BYTES", env = "TESSERA_MAXIMUM_RECORD_BYTES")]
    maximum_record_bytes: Option<u32>,
    /// The maximum number of fields of a session [default: 256]
    #[arg(long, value_name = "COUNT", env = "TESSERA_MAXIMUM_FIELDS")]
    maximum_fields: Option<u32>,
    /// The format in which records are written, for upgrades one server at a time [default: 1]
    #[arg(long, value_name = "NUMBER", env = "TESSERA_RECORD_FORMAT")]
    record_format: Option<u32>,
    /// A text field to copy into the `data` claim of a JWT; may be given more than once
    #[arg(
        long = "token-field",
        value_name = "NAME",
        value_parser = trimmed,
        env = "TESSERA_TOKEN_FIELDS",
        value_delimiter = ','
    )]
    token_fields: Vec<String>,
}

/// The keys of sessions in a store, and their public fields. A server and the tools beside it must agree on them.
#[derive(Args, Clone)]
#[command(next_help_heading = "Store")]
pub(crate) struct PlaceFlags {
    /// The prefix of every key in the store [default: tessera:]
    #[arg(long, value_name = "TEXT", env = "TESSERA_KEY_PREFIX")]
    key_prefix: Option<String>,
    /// A field to show in lists of sessions, for example on a page "your devices"; may be given more than once
    #[arg(
        long = "public-field",
        value_name = "NAME",
        value_parser = trimmed,
        env = "TESSERA_PUBLIC_FIELDS",
        value_delimiter = ','
    )]
    public_fields: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Compact,
    Jwt,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Aal1,
    Aal2,
    Aal3,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cap {
    EvictOldest,
    Refuse,
}

#[derive(Clone, Copy, ValueEnum)]
enum Field {
    LaterWins,
    Conflict,
}

#[derive(Clone, Copy, ValueEnum)]
enum Reuse {
    Report,
    EndSession,
}

/// Trims a name in a list.
fn trimmed(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.trim().to_owned())
}

/// Describes a refused configuration in the words and units of the flags.
pub(crate) fn refused(error: ConfigurationError) -> Failure {
    let ConfigurationError::InvalidPolicy { field, reason } = error else {
        return Failure::during("cannot configure the engine")(error);
    };
    let (name, reason) = match field.strip_suffix("-ms") {
        Some(name) => (name, duration::in_units(&reason)),
        None => (field.as_str(), reason),
    };
    let flag = match name {
        "sessions-per-subject" => "sessions-per-subject",
        "public-fields" => "public-field",
        "token-fields" => "token-field",
        name => name,
    };
    Failure::new(format!("policy: --{flag} {reason}"))
}

/// Sets a field if the flag was given.
fn give<T>(flag: Option<T>, field: &mut T) {
    if let Some(value) = flag {
        *field = value;
    }
}

impl TokenFlags {
    pub(crate) fn apply(self, builder: SessionsBuilder) -> SessionsBuilder {
        builder.policy(|policy| {
            let format = self.token_format.map(|format| match format {
                Format::Compact => TokenFormat::Compact,
                Format::Jwt => TokenFormat::Jwt,
            });
            give(format, &mut policy.token_format);
            give(self.issuer, &mut policy.issuer);
            give(self.audience, &mut policy.audience);
            give(self.clock_skew, &mut policy.clock_skew);
        })
    }
}

impl PlaceFlags {
    pub(crate) fn apply(self, builder: SessionsBuilder) -> SessionsBuilder {
        builder.policy(|policy| {
            give(self.key_prefix, &mut policy.key_prefix);
            policy.public_fields = self.public_fields;
        })
    }
}

impl LifetimeFlags {
    fn apply(self, mut builder: SessionsBuilder) -> SessionsBuilder {
        if let Some(level) = self.preset {
            let level = match level {
                Level::Aal1 => Preset::Aal1,
                Level::Aal2 => Preset::Aal2,
                Level::Aal3 => Preset::Aal3,
            };
            builder = builder.preset(level);
        }
        builder.policy(|policy| give(self.absolute_timeout, &mut policy.absolute_timeout))
    }

    /// The maximum lifetime of a session.
    pub(crate) fn absolute_timeout(self) -> Result<Duration, Failure> {
        let policy = self.apply(Sessions::builder()).into_policy();
        let policy = policy.map_err(Failure::during("cannot start the engine"))?;
        Ok(policy.absolute_timeout)
    }
}

impl PolicyFlags {
    pub(crate) fn apply(self, builder: SessionsBuilder) -> Result<SessionsBuilder, Failure> {
        if self.cap_rule.is_some() && self.sessions_per_subject.is_none() {
            return Err(Failure::new("--cap-rule needs --sessions-per-subject"));
        }
        let builder = self.lifetime.apply(builder);
        let cap_rule = self.cap_rule.map(|rule| match rule {
            Cap::EvictOldest => CapRule::EvictOldest,
            Cap::Refuse => CapRule::Refuse,
        });
        let field_rule = self.field_rule.map(|rule| match rule {
            Field::LaterWins => FieldRule::LaterWins,
            Field::Conflict => FieldRule::Conflict,
        });
        let reuse_rule = self.reuse_rule.map(|rule| match rule {
            Reuse::Report => ReuseRule::Report,
            Reuse::EndSession => ReuseRule::EndSession,
        });
        Ok(builder.policy(|policy| {
            give(self.idle_timeout, &mut policy.idle_timeout);
            give(self.touch_interval, &mut policy.touch_interval);
            policy.renew_interval = self.renew_interval;
            give(self.rotation_grace, &mut policy.rotation_grace);
            give(self.token_lifetime, &mut policy.token_lifetime);
            policy.sessions_per_subject = self.sessions_per_subject;
            give(cap_rule, &mut policy.cap_rule);
            give(field_rule, &mut policy.field_rule);
            give(reuse_rule, &mut policy.reuse_rule);
            give(self.maximum_value_bytes, &mut policy.maximum_value_bytes);
            give(self.maximum_name_bytes, &mut policy.maximum_name_bytes);
            give(self.maximum_record_bytes, &mut policy.maximum_record_bytes);
            give(self.maximum_fields, &mut policy.maximum_fields);
            give(self.record_format, &mut policy.record_format);
            policy.token_fields = self.token_fields;
        }))
    }
}
