//! Errors as the client reads them (RFC 9457). What the operator reads goes to the log.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use axum_core::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::error::{EngineError, ErrorKind};
use crate::session::TokenState;

/// How long to wait before a store that failed is asked again.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Why a request was not done. No member of it ever holds a token, a key, a session id or a value.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with its status, its stable code and a sentence. A status that is none is answered as 500.
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

    /// What a session's error is to the client; what failed at the server is written to the log, and the client told only that.
    pub fn of(error: &impl EngineError) -> Self {
        let kind = error.kind();
        let (status, code) = (kind.status(), kind.code());
        warn_operator(error);
        if status >= 500 {
            tracing::error!(code, "{}", chain(error));
        }
        let detail = match status {
            // What failed is the operator's to read.
            500..=502 => "the service failed; its log says more".to_owned(),
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

    /// Nobody is logged in who has to be.
    pub(crate) fn not_logged_in(token_state: TokenState) -> Self {
        match token_state {
            TokenState::Refused(kind) => Self::token_refused(kind),
            _ => Self::new(401, "token-absent", "log in first").challenge("Bearer"),
        }
    }

    /// The request brought a token that opens nothing, for a reason that is the token's.
    pub(crate) fn token_refused(kind: ErrorKind) -> Self {
        let detail = match kind {
            ErrorKind::TokenAmbiguous => {
                "there are several cookies of one name, and not exactly one of them opens a session; log in again"
            }
            ErrorKind::TokenMalformed => "the token is malformed",
            _ => "the session's token opens nothing; log in again",
        };
        Self::new(401, kind.code(), detail).challenge(r#"Bearer error="invalid_token""#)
    }

    /// Its stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    /// Asks for other credentials (RFC 6750, section 3).
    #[must_use]
    pub fn challenge(self, challenge: &'static str) -> Self {
        self.header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response, with a body of any kind that a text can become.
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
        // Why somebody was refused is for them alone, and old at once.
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

/// Writes to the log what a refused token tells the operator: it may be stolen, or the clocks of two hosts differ.
pub(crate) fn warn_operator(error: &impl EngineError) {
    static EARLY: AtomicU64 = AtomicU64::new(0);
    if error.kind() == ErrorKind::Reused {
        tracing::warn!("a token was used that had been renewed long before: it may be stolen");
    }
    if let Some(ahead) = error.ahead() {
        warn_now_and_then(&EARLY, |count| {
            tracing::warn!(
                "a token was refused that becomes valid in {ahead:?} by this host's clock ({count} of them so far): \
                 compare the clocks of the hosts, or allow for it by the clock skew of the policy"
            );
        });
    }
}

/// Warns of the 1st, 2nd, 4th, 8th, and so on: of what clients can cause without a good token, or every request has.
pub(crate) fn warn_now_and_then(seen: &AtomicU64, warn: impl FnOnce(u64)) {
    let count = seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if count.is_power_of_two() {
        warn(count);
    }
}

/// An error and all its sources in one line, none said twice.
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
