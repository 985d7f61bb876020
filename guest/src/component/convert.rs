//! Conversions between the engine's types and those of WIT.

use super::bindings::{sessions_wit, store, wit};
use crate::engine;
use crate::error::{Error, Kind};
use crate::keys::SigningKey;
use crate::ports::{self, Placement, StoreError};
use crate::session;
use crate::snapshot::KeepFields;
use crate::{policy, subject, view};

pub(super) fn entry(entry: store::Entry) -> ports::Entry {
    ports::Entry {
        value: entry.value,
        version: entry.version,
        guard: entry.guard,
        expires_at: entry.expires_at,
    }
}

pub(super) fn placement(at: &Placement<'_>) -> store::Placement {
    store::Placement {
        owner: at.owner.map(str::to_owned),
        previous_owner: at.previous_owner.map(str::to_owned),
        guard: at.guard,
        expires_at: at.expires_at,
        ends_at: at.ends_at,
    }
}

pub(super) fn store_error(error: store::Error) -> StoreError {
    match error {
        store::Error::Pending => StoreError::Pending,
        store::Error::Missing => StoreError::Missing,
        store::Error::Stale => StoreError::Stale,
        store::Error::TooLarge => StoreError::TooLarge,
        store::Error::Full => StoreError::Full,
        store::Error::Throttled(pause) => StoreError::Throttled(pause),
        store::Error::Unsupported => StoreError::Unsupported,
        store::Error::MalformedCursor => StoreError::MalformedCursor,
        store::Error::Corrupt => StoreError::Corrupt,
        store::Error::OutcomeUnknown => StoreError::OutcomeUnknown,
        store::Error::Unavailable(why) => StoreError::Unavailable(why),
        store::Error::Other(why) => StoreError::Other(why),
    }
}

impl From<Error> for wit::Error {
    #[cold]
    #[inline(never)]
    fn from(error: Error) -> Self {
        let (kind, about, reason, number) = error.into_parts();
        let kind = match kind {
            Kind::Pending => wit::ErrorKind::Pending,
            Kind::Missing => wit::ErrorKind::Missing,
            Kind::Expired => wit::ErrorKind::Expired,
            Kind::Replaced => wit::ErrorKind::Replaced,
            Kind::Reused => wit::ErrorKind::Reused,
            Kind::TokenTooLong => wit::ErrorKind::TokenTooLong,
            Kind::TokenMalformed => wit::ErrorKind::TokenMalformed,
            Kind::TokenHeaderRefused => wit::ErrorKind::TokenHeaderRefused,
            Kind::TokenKeyUnknown => wit::ErrorKind::TokenKeyUnknown,
            Kind::TokenMacWrong => wit::ErrorKind::TokenMacWrong,
            Kind::TokenIssuerWrong => wit::ErrorKind::TokenIssuerWrong,
            Kind::TokenAudienceWrong => wit::ErrorKind::TokenAudienceWrong,
            Kind::TokenNotYetValid => wit::ErrorKind::TokenNotYetValid,
            Kind::InvalidCsrfToken => wit::ErrorKind::InvalidCsrfToken,
            Kind::InvalidPolicy => wit::ErrorKind::InvalidPolicy,
            Kind::InvalidKey => wit::ErrorKind::InvalidKey,
            Kind::InvalidArgument => wit::ErrorKind::InvalidArgument,
            Kind::InvalidValue => wit::ErrorKind::InvalidValue,
            Kind::LimitExceeded => wit::ErrorKind::LimitExceeded,
            Kind::Conflict => wit::ErrorKind::Conflict,
            Kind::Contended => wit::ErrorKind::Contended,
            Kind::TooManySessions => wit::ErrorKind::TooManySessions,
            Kind::SubjectRequired => wit::ErrorKind::SubjectRequired,
            Kind::Draft => wit::ErrorKind::Draft,
            Kind::Unsupported => wit::ErrorKind::Unsupported,
            Kind::Throttled => wit::ErrorKind::Throttled,
            Kind::Full => wit::ErrorKind::Full,
            Kind::Corrupt => wit::ErrorKind::Corrupt,
            Kind::OutcomeUnknown => wit::ErrorKind::OutcomeUnknown,
            Kind::Unavailable => wit::ErrorKind::Unavailable,
            Kind::Other => wit::ErrorKind::Other,
        };
        Self {
            kind,
            about,
            reason,
            number,
        }
    }
}

pub(super) fn keep_fields_in(keep: wit::KeepFields) -> KeepFields {
    match keep {
        wit::KeepFields::Nothing => KeepFields::Nothing,
        wit::KeepFields::Everything => KeepFields::Everything,
        wit::KeepFields::Named(names) => KeepFields::Named(names),
    }
}

pub(super) fn grant_out(grant: view::Grant) -> wit::Grant {
    wit::Grant {
        token: grant.token,
        expires_at: grant.expires_at,
        ends_at: grant.ends_at,
    }
}

pub(super) fn opened_out(opened: view::Opened) -> sessions_wit::Opened {
    sessions_wit::Opened {
        handle: opened.handle,
        key: opened.key,
        version: opened.version,
        details: details_out(opened.details),
        fields_at: opened.fields_at,
        holds_until: opened.holds_until,
    }
}

pub(super) fn written_out(written: view::Written) -> sessions_wit::Written {
    sessions_wit::Written {
        grant: grant_out(written.grant),
        opened: opened_out(written.opened),
        wrote: written.wrote,
    }
}

pub(super) fn writing_in(writing: &sessions_wit::Writing) -> session::Writing<'_> {
    session::Writing {
        handle: &writing.handle,
        changes: &writing.changes,
        writer: &writing.writer,
        attempt: writing.attempt,
        base: writing.base.as_deref(),
    }
}

pub(super) fn claims_out(claims: engine::Claims) -> wit::Claims {
    wit::Claims {
        public_id: claims.public_id,
        generation: claims.token.generation.counter,
        issued_at: claims.token.issued_at,
        expires_at: claims.token.expires_at,
        subject: claims.token.subject,
        data: claims.token.data,
    }
}

pub(super) fn details_out(details: view::Details) -> wit::Details {
    wit::Details {
        public_id: details.public_id,
        subject: details.subject,
        created_at: details.created_at,
        authenticated_at: details.authenticated_at,
        expires_at: details.expires_at,
        ends_at: details.ends_at,
        generation: details.generation,
        touch_due: details.touch_due,
        renew_due: details.renew_due,
        reissue_due: details.reissue_due,
    }
}

pub(super) fn summaries_out(summaries: subject::Summaries) -> wit::Summaries {
    let item = |item: subject::Summary| wit::Summary {
        public_id: item.public_id,
        created_at: item.created_at,
        authenticated_at: item.authenticated_at,
        last_seen_at: item.last_seen_at,
        expires_at: item.expires_at,
        ends_at: item.ends_at,
        current: item.current,
        fields: item.fields,
    };
    wit::Summaries {
        items: summaries.items.into_iter().map(item).collect(),
        next: summaries.next,
    }
}

pub(super) fn progress_out(progress: subject::Progress) -> wit::Progress {
    wit::Progress {
        ended: progress.ended,
        next: progress.next,
    }
}

#[inline(never)]
pub(super) fn keys_in(keys: Vec<wit::SigningKey>) -> Vec<SigningKey> {
    keys.into_iter()
        .map(|key| SigningKey {
            id: key.id,
            secret: key.secret,
        })
        .collect()
}

pub(super) fn policy_out(policy: policy::Policy) -> wit::Policy {
    wit::Policy {
        idle_timeout_ms: policy.idle_timeout_ms,
        absolute_timeout_ms: policy.absolute_timeout_ms,
        touch_interval_ms: policy.touch_interval_ms,
        renew_interval_ms: policy.renew_interval_ms,
        rotation_grace_ms: policy.rotation_grace_ms,
        token_lifetime_ms: policy.token_lifetime_ms,
        sessions_per_subject: policy.sessions_per_subject,
        cap_rule: match policy.cap_rule {
            policy::CapRule::EvictOldest => wit::CapRule::EvictOldest,
            policy::CapRule::Refuse => wit::CapRule::Refuse,
        },
        field_rule: match policy.field_rule {
            policy::FieldRule::LaterWins => wit::FieldRule::LaterWins,
            policy::FieldRule::Conflict => wit::FieldRule::Conflict,
        },
        reuse_rule: match policy.reuse_rule {
            policy::ReuseRule::Report => wit::ReuseRule::Report,
            policy::ReuseRule::EndSession => wit::ReuseRule::EndSession,
        },
        token_format: match policy.token_format {
            policy::TokenFormat::Compact => wit::TokenFormat::Compact,
            policy::TokenFormat::Jwt => wit::TokenFormat::Jwt,
        },
        issuer: policy.issuer,
        audience: policy.audience,
        clock_skew_ms: policy.clock_skew_ms,
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

#[inline(never)]
pub(super) fn policy_in(policy: wit::Policy) -> policy::Policy {
    policy::Policy {
        idle_timeout_ms: policy.idle_timeout_ms,
        absolute_timeout_ms: policy.absolute_timeout_ms,
        touch_interval_ms: policy.touch_interval_ms,
        renew_interval_ms: policy.renew_interval_ms,
        rotation_grace_ms: policy.rotation_grace_ms,
        token_lifetime_ms: policy.token_lifetime_ms,
        sessions_per_subject: policy.sessions_per_subject,
        cap_rule: match policy.cap_rule {
            wit::CapRule::EvictOldest => policy::CapRule::EvictOldest,
            wit::CapRule::Refuse => policy::CapRule::Refuse,
        },
        field_rule: match policy.field_rule {
            wit::FieldRule::LaterWins => policy::FieldRule::LaterWins,
            wit::FieldRule::Conflict => policy::FieldRule::Conflict,
        },
        reuse_rule: match policy.reuse_rule {
            wit::ReuseRule::Report => policy::ReuseRule::Report,
            wit::ReuseRule::EndSession => policy::ReuseRule::EndSession,
        },
        token_format: match policy.token_format {
            wit::TokenFormat::Compact => policy::TokenFormat::Compact,
            wit::TokenFormat::Jwt => policy::TokenFormat::Jwt,
        },
        issuer: policy.issuer,
        audience: policy.audience,
        clock_skew_ms: policy.clock_skew_ms,
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
