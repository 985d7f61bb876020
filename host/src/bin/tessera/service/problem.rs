//! Errors as the client reads them (RFC 9457). What the operator reads goes to the log.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tessera::{SessionError, TokenFault};

use crate::failure::chain;

/// Why a request was not done. No member of it ever holds a token, a key, a session id or a value.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// How long to wait before the store is asked again.
const RETRY_AFTER_SECONDS: u64 = 1;

impl Problem {
    pub(super) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            code,
            detail: detail.into(),
            more: Map::new(),
            headers: Vec::new(),
        }
    }

    /// Adds a member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    /// Asks for other credentials (RFC 6750, section 3).
    pub(super) fn challenge(self, challenge: &'static str) -> Self {
        self.header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, seconds.into())
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.more;
        body.insert(
            "title".into(),
            self.status.canonical_reason().unwrap_or("Error").into(),
        );
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("code".into(), self.code.into());
        body.insert("detail".into(), self.detail.into());
        let mut response = (self.status, Value::Object(body).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.headers);
        response
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        let (status, code) = classify(&error);
        if error.is_not_logged_in() {
            if matches!(error, SessionError::Reused) {
                tracing::warn!("a token was used that had been renewed long before: it may be stolen");
            }
            return Self::new(401, code, error.to_string()).challenge(r#"Bearer error="invalid_token""#);
        }
        if status >= 500 {
            // What failed is the operator's to read.
            tracing::error!(code, "{}", chain(&error));
        }
        match error {
            SessionError::Conflict(fields) => {
                Self::new(status, code, "others have changed the same fields").with("fields", fields)
            }
            SessionError::LimitExceeded { ref limit, maximum } => Self::new(status, code, error.to_string())
                .with("limit", limit.as_str())
                .with("maximum", maximum),
            SessionError::InvalidArgument { ref argument, .. } => {
                Self::new(status, code, error.to_string()).with("argument", argument.as_str())
            }
            SessionError::Contended => {
                Self::new(status, code, error.to_string()).retry_after(RETRY_AFTER_SECONDS)
            }
            SessionError::Throttled(pause) => Self::new(status, code, "the store is busy")
                .retry_after(pause.as_millis().div_ceil(1000).max(1) as u64),
            _ if status == 503 => Self::new(status, code, error.to_string()).retry_after(RETRY_AFTER_SECONDS),
            _ if status >= 500 => Self::new(status, code, "the service failed; its log says more"),
            error => Self::new(status, code, error.to_string()),
        }
    }
}

/// The status and the stable code of each error; codes are those of WIT's `error-kind`.
fn classify(error: &SessionError) -> (u16, &'static str) {
    use SessionError as E;
    match error {
        E::Missing => (401, "missing"),
        E::Closed => (401, "closed"),
        E::Expired => (401, "expired"),
        E::Replaced => (401, "replaced"),
        E::Reused => (401, "reused"),
        E::InvalidToken(fault) => (401, token_code(*fault)),
        E::InvalidCsrfToken => (403, "invalid-csrf-token"),
        E::Conflict(_) => (409, "conflict"),
        E::Contended => (409, "contended"),
        E::TooManySessions => (409, "too-many-sessions"),
        E::Draft => (409, "draft"),
        E::LimitExceeded { .. } => (413, "limit-exceeded"),
        E::InvalidArgument { .. } => (422, "invalid-argument"),
        E::InvalidValue { .. } => (422, "invalid-value"),
        E::SubjectRequired => (422, "subject-required"),
        E::Unsupported { .. } => (501, "unsupported"),
        E::Busy => (503, "busy"),
        E::Throttled(_) => (503, "throttled"),
        E::Full => (503, "full"),
        E::OutcomeUnknown { .. } => (503, "outcome-unknown"),
        E::Unavailable { .. } => (503, "unavailable"),
        E::Overloaded => (503, "overloaded"),
        E::InstanceLost { .. } => (503, "instance-lost"),
        E::Corrupt { .. } => (500, "corrupt"),
        _ => (500, "other"),
    }
}

fn token_code(fault: TokenFault) -> &'static str {
    match fault {
        TokenFault::TooLong => "token-too-long",
        TokenFault::HeaderRefused => "token-header-refused",
        TokenFault::UnknownKey => "token-key-unknown",
        TokenFault::WrongMac => "token-mac-wrong",
        TokenFault::WrongIssuer => "token-issuer-wrong",
        TokenFault::WrongAudience => "token-audience-wrong",
        TokenFault::NotYetValid => "token-not-yet-valid",
        // And any that is new.
        _ => "token-malformed",
    }
}

/// A JSON answer.
pub(super) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Result<Response, Problem> {
    let text = serde_json::to_string(body).map_err(|error| {
        tracing::error!("cannot write an answer: {error}");
        Problem::new(500, "other", "the service failed; its log says more")
    })?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A JSON answer of one member.
pub(super) fn answer_one(name: &str, value: impl Into<Value>) -> Result<Response, Problem> {
    answer(StatusCode::OK, &json!({ name: value.into() }))
}
