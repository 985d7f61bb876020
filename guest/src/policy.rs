//! The policy of sessions, its limits, and its requirements on the store.

use crate::error::{Error, Kind, phrase};
use crate::form::{FieldLimits, check_name};
use crate::json::decimal;
use crate::ports::Capabilities;
use crate::record::FORMATS;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The maximum length of a subject, in bytes. A store may have a lower limit.
pub const MAXIMUM_SUBJECT_BYTES: usize = 255;
/// The number of characters of a session id in a store's key, after the prefix.
pub const KEY_ID_CHARACTERS: usize = 22;

/// How `sessions_per_subject` is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum CapRule {
    EvictOldest,
    Refuse,
}

/// How two saves that change one field to different values are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum FieldRule {
    LaterWins,
    Conflict,
}

/// What happens to a session when a renewed token is presented again after its grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum ReuseRule {
    Report,
    EndSession,
}

/// The format of the issued and accepted tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum TokenFormat {
    Compact,
    Jwt,
}

/// A policy to start from: the defaults, or those with the timeouts of an assurance level of NIST SP 800-63B-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each case is described in wit/policy.wit")]
pub enum Preset {
    Standard,
    Aal1,
    Aal2,
    Aal3,
}

/// Lifetime, limits and token format of sessions; each field is described in `wit/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/policy.wit")]
pub struct Policy {
    pub idle_timeout_ms: u64,
    pub absolute_timeout_ms: u64,
    pub touch_interval_ms: u64,
    pub renew_interval_ms: Option<u64>,
    pub rotation_grace_ms: u64,
    pub token_lifetime_ms: u64,
    pub sessions_per_subject: Option<u32>,
    pub cap_rule: CapRule,
    pub field_rule: FieldRule,
    pub reuse_rule: ReuseRule,
    pub token_format: TokenFormat,
    pub issuer: String,
    pub audience: String,
    pub clock_skew_ms: u64,
    pub maximum_token_bytes: u32,
    pub maximum_name_bytes: u32,
    pub maximum_value_bytes: u32,
    pub maximum_record_bytes: u32,
    pub maximum_fields: u32,
    pub record_format: u32,
    pub key_prefix: String,
    pub public_fields: Vec<String>,
    pub token_fields: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout_ms: 30 * MINUTE,
            absolute_timeout_ms: 24 * HOUR,
            touch_interval_ms: MINUTE,
            renew_interval_ms: None,
            rotation_grace_ms: 10 * SECOND,
            token_lifetime_ms: 5 * MINUTE,
            sessions_per_subject: None,
            cap_rule: CapRule::EvictOldest,
            field_rule: FieldRule::LaterWins,
            reuse_rule: ReuseRule::Report,
            token_format: TokenFormat::Compact,
            issuer: String::new(),
            audience: String::new(),
            clock_skew_ms: 5 * SECOND,
            maximum_token_bytes: 4096,
            maximum_name_bytes: 128,
            maximum_value_bytes: 16 << 10,
            maximum_record_bytes: 64 << 10,
            maximum_fields: 256,
            record_format: *FORMATS.start(),
            key_prefix: "tessera:".into(),
            public_fields: Vec::new(),
            token_fields: Vec::new(),
        }
    }
}

impl Policy {
    /// Returns the defaults, with the timeouts of NIST SP 800-63B-4 for an assurance level.
    ///
    /// Sections 2.1.3 (30 days), 2.2.3 (24 hours, 1 hour of inactivity) and 2.3.3 (12 hours, 15 minutes of inactivity).
    /// AAL1 has no inactivity timeout.
    pub fn starting(preset: Preset) -> Self {
        let (idle_timeout_ms, absolute_timeout_ms) = match preset {
            Preset::Standard => (30 * MINUTE, 24 * HOUR),
            Preset::Aal1 => (30 * DAY, 30 * DAY),
            Preset::Aal2 => (HOUR, 24 * HOUR),
            Preset::Aal3 => (15 * MINUTE, 12 * HOUR),
        };
        Self {
            idle_timeout_ms,
            absolute_timeout_ms,
            ..Self::default()
        }
    }

    /// Checks the policy by itself, without a store.
    ///
    /// # Errors
    /// `InvalidPolicy`, about the first invalid field.
    #[inline(never)]
    pub fn check(&self) -> Result<(), Error> {
        within("idle-timeout-ms", self.idle_timeout_ms, SECOND, 400 * DAY)?;
        within(
            "absolute-timeout-ms",
            self.absolute_timeout_ms,
            self.idle_timeout_ms,
            400 * DAY,
        )?;
        within(
            "touch-interval-ms",
            self.touch_interval_ms,
            0,
            self.idle_timeout_ms - 1,
        )?;
        within("rotation-grace-ms", self.rotation_grace_ms, 0, 10 * MINUTE)?;
        if let Some(interval) = self.renew_interval_ms {
            within(
                "renew-interval-ms",
                interval,
                self.rotation_grace_ms + 1,
                self.absolute_timeout_ms,
            )?;
        }
        within(
            "token-lifetime-ms",
            self.token_lifetime_ms,
            SECOND,
            self.absolute_timeout_ms.max(5 * MINUTE),
        )?;
        if let Some(cap) = self.sessions_per_subject {
            within("sessions-per-subject", cap.into(), 1, 100)?;
        }
        within("clock-skew-ms", self.clock_skew_ms, 0, 10 * MINUTE)?;
        within("maximum-token-bytes", self.maximum_token_bytes.into(), 256, 4096)?;
        within("maximum-name-bytes", self.maximum_name_bytes.into(), 1, 1024)?;
        within("maximum-value-bytes", self.maximum_value_bytes.into(), 1, 1 << 20)?;
        within(
            "maximum-record-bytes",
            self.maximum_record_bytes.into(),
            1024,
            1 << 20,
        )?;
        within("maximum-fields", self.maximum_fields.into(), 1, 4096)?;
        within(
            "record-format",
            self.record_format.into(),
            (*FORMATS.start()).into(),
            (*FORMATS.end()).into(),
        )?;
        self.check_texts()
    }

    /// Returns the limits of fields.
    pub fn field_limits(&self) -> FieldLimits {
        FieldLimits {
            maximum_name_bytes: self.maximum_name_bytes,
            maximum_value_bytes: self.maximum_value_bytes,
            maximum_record_bytes: self.maximum_record_bytes,
            maximum_fields: self.maximum_fields,
        }
    }

    fn check_texts(&self) -> Result<(), Error> {
        for (field, text) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if text.len() > 255 || text.chars().any(char::is_control) {
                return unfit(field, "must be at most 255 bytes without control characters");
            }
            if text.is_empty() && self.token_format == TokenFormat::Jwt {
                return unfit(field, "is required where token-format is jwt");
            }
        }
        if self.key_prefix.len() > 64 || !self.key_prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return unfit("key-prefix", "must be at most 64 visible ASCII characters");
        }
        for (field, names) in [
            ("public-fields", &self.public_fields),
            ("token-fields", &self.token_fields),
        ] {
            if names.len() > 32 {
                return unfit(field, "must be at most 32 names");
            }
            if names
                .iter()
                .any(|name| check_name(name, self.maximum_name_bytes).is_err())
            {
                return unfit(field, "contains an invalid name");
            }
            if names
                .iter()
                .enumerate()
                .any(|(index, name)| names[..index].contains(name))
            {
                return unfit(field, "repeats a name");
            }
        }
        if self.token_format == TokenFormat::Compact && !self.token_fields.is_empty() {
            return unfit("token-fields", "needs token-format jwt");
        }
        Ok(())
    }

    /// Checks that the store can honour the policy.
    ///
    /// # Errors
    /// `InvalidPolicy`, about the first field that needs more than the store guarantees.
    pub fn check_store(&self, store: &Capabilities) -> Result<(), Error> {
        if self.field_rule == FieldRule::Conflict && !store.compare_and_swap {
            return unfit("field-rule", "needs a compare-and-swap store");
        }
        if self.sessions_per_subject.is_some() && !store.list_by_owner {
            return unfit("sessions-per-subject", "needs a list-by-owner store");
        }
        if self.sessions_per_subject.is_some() && store.index_staleness_ms > 0 {
            return unfit("sessions-per-subject", "needs an owner index without delay");
        }
        if self.key_prefix.len() + KEY_ID_CHARACTERS > store.maximum_key_bytes as usize {
            return unfit(
                "key-prefix",
                &phrase(
                    "is too long for keys of ",
                    store.maximum_key_bytes.into(),
                    " bytes",
                ),
            );
        }
        if self.maximum_record_bytes > store.maximum_value_bytes {
            return unfit(
                "maximum-record-bytes",
                &phrase(
                    "is above the store's maximum, ",
                    store.maximum_value_bytes.into(),
                    " bytes",
                ),
            );
        }
        if self.idle_timeout_ms < store.minimum_ttl_ms {
            return unfit(
                "idle-timeout-ms",
                &phrase("is below the store's minimum, ", store.minimum_ttl_ms, " ms"),
            );
        }
        if self.touch_interval_ms < store.minimum_write_interval_ms {
            return unfit(
                "touch-interval-ms",
                &phrase(
                    "is below the store's minimum, ",
                    store.minimum_write_interval_ms,
                    " ms",
                ),
            );
        }
        if self.rotation_grace_ms < store.maximum_staleness_ms {
            return unfit(
                "rotation-grace-ms",
                &phrase(
                    "is below the store's staleness, ",
                    store.maximum_staleness_ms,
                    " ms, so that a client could be refused",
                ),
            );
        }
        Ok(())
    }
}

/// Checks a subject: 1 to 255 bytes, or the store's maximum if that is lower, without control characters.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_subject(subject: &str, store: &Capabilities) -> Result<(), Error> {
    let maximum = MAXIMUM_SUBJECT_BYTES.min(store.maximum_owner_bytes as usize);
    if subject.is_empty() || subject.len() > maximum {
        return Err(Error::about(
            Kind::InvalidArgument,
            "subject",
            &phrase("must be 1 to ", maximum as u64, " bytes long"),
        ));
    }
    if subject.chars().any(char::is_control) {
        return Err(Error::about(
            Kind::InvalidArgument,
            "subject",
            "must hold no control characters",
        ));
    }
    Ok(())
}

fn unfit(field: &str, reason: &str) -> Result<(), Error> {
    Err(Error::about(Kind::InvalidPolicy, field, reason))
}

fn within(field: &str, value: u64, minimum: u64, maximum: u64) -> Result<(), Error> {
    if (minimum..=maximum).contains(&value) {
        return Ok(());
    }
    let [minimum, maximum, value] = [minimum, maximum, value].map(decimal);
    unfit(
        field,
        &["must be ", &minimum, " to ", &maximum, ", and is ", &value].concat(),
    )
}
