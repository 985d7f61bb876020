//! Errors as sent to clients (RFC 9457). Details for the operator go to the log.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use axum_core::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::error::{EngineError, ErrorKind};
use crate::session::TokenState;

/// `Retry-After` for a store that failed without stating a time itself.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The reason why a request failed, as a problem document (RFC 9457).
/// No member ever contains a token, a key, a session id or a field value.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Creates a problem with a status, a stable code and a sentence as the detail. An invalid status becomes 500.
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            code,
            detail: detail.into(),
            more: Map::new(),
            headers: Vec::new(),
        }
    }

    /// Creates the problem for an error of a session.
    ///
    /// A failure of the server (status 500 or above) is logged. For 500 to 502 the client receives no description of it.
    pub fn of(error: &impl EngineError) -> Self {
        let kind = error.kind();
        let (status, code) = (kind.status(), kind.code());
        warn_operator(error);
        if status >= 500 {
            tracing::error!(code, "{}", chain(error));
        }
        let detail = match status {
            // The cause is for the operator.
            500..=502 => "the service failed; see its log".to_owned(),
            _ => error.to_string(),
        };
        let mut problem = Self::new(status, code, detail);
        for (name, value) in error.members() {
            problem = problem.with(name, value);
        }
        match (status, kind) {
            (401, _) => problem.challenge(r#"Bearer error="invalid_token""#),
            (503, _) | (_, ErrorKind::Contended) => {
                let pause = error.retry_after().map_or(RETRY_AFTER_SECONDS, |pause| {
                    pause.as_millis().div_ceil(1000).max(1) as u64
                });
                problem.header(header::RETRY_AFTER, pause.into())
            }
            _ => problem,
        }
    }

    /// The problem of a request that needs a login and has none.
    pub(crate) fn not_logged_in(token_state: TokenState) -> Self {
        match token_state {
            TokenState::Refused(kind) => Self::token_refused(kind),
            _ => Self::new(401, "token-absent", "log in first").challenge("Bearer"),
        }
    }

    /// The problem of a request whose token opens no session because of the token itself.
    pub(crate) fn token_refused(kind: ErrorKind) -> Self {
        let detail = match kind {
            ErrorKind::TokenAmbiguous => {
                "several cookies have the same name, and not exactly one of them opens a session; log in again"
            }
            ErrorKind::TokenMalformed => "the token is malformed",
            _ => "the token opens no session; log in again",
        };
        Self::new(401, kind.code(), detail).challenge(r#"Bearer error="invalid_token""#)
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds a member to the document.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    /// Adds a `WWW-Authenticate` header with this challenge (RFC 6750, section 3).
    #[must_use]
    pub fn challenge(self, challenge: &'static str) -> Self {
        self.header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Converts the problem to a response, with any type of body that implements `From<String>`.
    pub fn response<B: From<String>>(self) -> http::Response<B> {
        let mut body = self.more;
        let title = self.status.canonical_reason().unwrap_or("Error");
        body.insert("title".into(), title.into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("code".into(), self.code.into());
        body.insert("detail".into(), self.detail.into());
        let mut response = http::Response::new(B::from(Value::Object(body).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        // The reason for a refusal is for this client alone, and is outdated at once.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response()
    }
}

/// Logs a refused token that concerns the operator: it may be stolen, or the clocks of two hosts differ.
pub(crate) fn warn_operator(error: &impl EngineError) {
    static EARLY: AtomicU64 = AtomicU64::new(0);
    if error.kind() == ErrorKind::Reused {
        tracing::warn!("a token was used long after its renewal: it may be stolen");
    }
    if let Some(ahead) = error.ahead() {
        warn_now_and_then(&EARLY, |count| {
            tracing::warn!(
                "a token was refused because it becomes valid in {ahead:?} by this host's clock ({count} so far): \
                 compare the clocks of the hosts, or increase the policy's clock skew"
            );
        });
    }
}

/// Warns at the 1st, 2nd, 4th, 8th occurrence, and so on, of an event that clients can cause without a valid token, or that
/// recurs with every request.
pub(crate) fn warn_now_and_then(seen: &AtomicU64, warn: impl FnOnce(u64)) {
    let count = seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if count.is_power_of_two() {
        warn(count);
    }
}

/// Formats an error and all its sources in one line, without repetitions.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    text
}
