//! The results of calls as JSON, with WIT's names. Times are in milliseconds since 1970.

use serde_json::{Map, Value, json};
use tessera::{
    Claims, ConfigurationError, Details, Grant, SessionError, SessionSummary, Status, Timestamp, TokenFault,
};

use super::value;

/// A result, or an error as `{"error": kind, "about": …, "number": …}`.
pub type Outcome = Result<Value, Value>;

pub(crate) fn moment(at: Timestamp) -> Value {
    at.as_millis().into()
}

pub(crate) fn grant(grant: &Grant) -> Value {
    json!({
        "token": grant.token,
        "expires-at": moment(grant.expires_at),
        "ends-at": moment(grant.ends_at),
    })
}

pub(crate) fn details(details: &Details) -> Value {
    json!({
        "status": match details.status {
            Status::Draft => "draft",
            Status::Live => "live",
            Status::Closed => "closed",
        },
        "public-id": details.public_id,
        "subject": details.subject,
        "created-at": moment(details.created_at),
        "authenticated-at": details.authenticated_at.map(moment),
        "expires-at": moment(details.expires_at),
        "ends-at": moment(details.ends_at),
        "generation": details.generation,
        "touch-due": details.touch_due,
        "renew-due": details.renew_due,
        "reissue-due": details.reissue_due,
        "modified": details.modified,
    })
}

pub(crate) fn claims(claims: &Claims) -> Value {
    let data: Map<String, Value> = claims
        .data
        .iter()
        .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
        .collect();
    json!({
        "public-id": claims.public_id,
        "generation": claims.generation,
        "issued-at": moment(claims.issued_at),
        "expires-at": moment(claims.expires_at),
        "subject": claims.subject,
        "data": data,
    })
}

pub(crate) fn summary(summary: &SessionSummary) -> Value {
    let fields: Map<String, Value> = summary
        .fields
        .iter()
        .map(|(name, field)| (name.clone(), value::to_json(field)))
        .collect();
    json!({
        "public-id": summary.public_id,
        "created-at": moment(summary.created_at),
        "authenticated-at": moment(summary.authenticated_at),
        "last-seen-at": moment(summary.last_seen_at),
        "expires-at": moment(summary.expires_at),
        "ends-at": moment(summary.ends_at),
        "current": summary.current,
        "fields": fields,
    })
}

pub(crate) fn error_of(kind: &str) -> Value {
    json!({ "error": kind })
}

pub(crate) fn error(error: &SessionError) -> Value {
    use SessionError as E;
    match error {
        E::Busy => error_of("busy"),
        E::Closed => error_of("closed"),
        E::Missing => error_of("missing"),
        E::Expired => error_of("expired"),
        E::Replaced => error_of("replaced"),
        E::Reused => error_of("reused"),
        E::InvalidToken(fault) => error_of(token_fault(*fault)),
        E::InvalidCsrfToken => error_of("invalid-csrf-token"),
        E::InvalidArgument { argument, reason } => {
            json!({"error": "invalid-argument", "about": argument, "reason": reason})
        }
        E::InvalidValue { reason } => json!({"error": "invalid-value", "reason": reason}),
        E::LimitExceeded { limit, maximum } => {
            json!({"error": "limit-exceeded", "about": limit, "number": maximum})
        }
        E::Conflict(fields) => json!({"error": "conflict", "about": fields.join("\n")}),
        E::Contended => error_of("contended"),
        E::TooManySessions => error_of("too-many-sessions"),
        E::SubjectRequired => error_of("subject-required"),
        E::Draft => error_of("draft"),
        E::Unsupported { what } => json!({"error": "unsupported", "reason": what}),
        E::Throttled(pause) => json!({"error": "throttled", "number": pause.as_millis() as u64}),
        E::Full => error_of("full"),
        E::Corrupt { reason } => json!({"error": "corrupt", "reason": reason}),
        E::OutcomeUnknown { .. } => error_of("outcome-unknown"),
        E::Unavailable { .. } => error_of("unavailable"),
        E::Other { reason, .. } => json!({"error": "other", "reason": reason}),
        // Errors of this host only, which no scenario expects.
        host => json!({"error": "host", "reason": format!("{host:?}")}),
    }
}

fn token_fault(fault: TokenFault) -> &'static str {
    match fault {
        TokenFault::TooLong => "token-too-long",
        TokenFault::Malformed => "token-malformed",
        TokenFault::HeaderRefused => "token-header-refused",
        TokenFault::UnknownKey => "token-key-unknown",
        TokenFault::WrongMac => "token-mac-wrong",
        TokenFault::WrongIssuer => "token-issuer-wrong",
        TokenFault::WrongAudience => "token-audience-wrong",
        TokenFault::NotYetValid { .. } => "token-not-yet-valid",
        _ => "host",
    }
}

pub(crate) fn refused(error: &ConfigurationError) -> Value {
    match error {
        ConfigurationError::InvalidPolicy { field, reason } => {
            json!({"error": "invalid-policy", "about": field, "reason": reason})
        }
        ConfigurationError::InvalidKey { key, reason } => {
            json!({"error": "invalid-key", "about": key, "reason": reason})
        }
        other => json!({"error": "host", "reason": format!("{other:?}")}),
    }
}
