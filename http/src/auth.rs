//! Answers for proxies that check whether a request is logged in before they pass it on: nginx's `auth_request`, Traefik's
//! `forwardAuth`, Envoy's `ext_authz` over HTTP.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use crate::engine::{Engine, EngineSession as _};
use crate::lazy::{LazySession, Settings};
use crate::problem::Problem;
use crate::session::Open;
use crate::transport::{TokenTransport, one};
use tessera_contract::Value;

/// The response header with the session's subject, percent-encoded.
pub const SUBJECT_HEADER: HeaderName = HeaderName::from_static("x-session-subject");
/// The response header with the session's public id: a hash of its id, safe for logs.
pub const ID_HEADER: HeaderName = HeaderName::from_static("x-session-id");
/// The response header that lists the client's headers that Envoy must not pass on (Envoy, HTTP filters, External
/// Authorization).
pub const ENVOY_REMOVE_HEADER: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// The request header with the scheme that the client uses towards the proxy: `http` or `https`.
const SCHEME_HEADER: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Maximum length of a value in a header, in bytes after encoding. Most proxies accept 8 KiB for all headers together.
pub const MAXIMUM_VALUE_BYTES: usize = 4096;

/// Answers a proxy: 200 with headers about the session, 401 if nobody is logged in, 503 if that cannot be determined now.
///
/// The proxy must set these headers on the request that it passes on, replacing any that the client sent.
/// It must also forward a `Set-Cookie` of the answer to the client, because tokens are renewed here as elsewhere.
#[derive(Clone, Debug)]
pub struct Authorizer<E> {
    engine: E,
    settings: Arc<Settings>,
    /// For clients that use plain http, as reported by the proxy in `X-Forwarded-Proto`.
    plain_settings: Arc<Settings>,
    fields: Arc<[(String, HeaderName)]>,
    options: Preflight,
}

/// The answer to a request with the method `OPTIONS`. A browser sends it before a request from another origin, and never
/// with credentials (Fetch, CORS-preflight fetch).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preflight {
    /// As to any other method: 401 without credentials.
    #[default]
    Check,
    /// 200 with empty session headers, so that the application behind the proxy answers the request.
    Pass {
        /// The header in which the proxy names the request's method, such as `X-Forwarded-Method`, if its own query uses
        /// another method. **The proxy must set it, replacing any that the client sent**, because it lets requests pass.
        method_header: Option<HeaderName>,
    },
}

fn settings(transports: Vec<TokenTransport>) -> (Arc<Settings>, Arc<Settings>) {
    let plain = transports.iter().map(TokenTransport::over_plain_http).collect();
    let settings = |transports| {
        Arc::new(Settings {
            transports,
            login: None,
            removes_twins: false,
        })
    };
    (settings(transports), settings(plain))
}

impl<E: Engine> Authorizer<E> {
    /// Takes the token from the first of `transports` that carries a Tessera token, valid or not.
    ///
    /// `fields` names fields of the session, each with its response header. Texts, numbers and booleans are sent.
    /// The header of a field that is absent, or has another type, is empty.
    pub fn new(
        engine: E,
        transports: impl IntoIterator<Item = TokenTransport>,
        fields: impl IntoIterator<Item = (String, HeaderName)>,
    ) -> Self {
        let (settings, plain_settings) = settings(transports.into_iter().collect());
        Self {
            engine,
            settings,
            plain_settings,
            fields: fields.into_iter().collect(),
            options: Preflight::Check,
        }
    }

    /// Replaces the transports.
    #[cfg(feature = "api")]
    pub(crate) fn transports(mut self, transports: Vec<TokenTransport>) -> Self {
        (self.settings, self.plain_settings) = settings(transports);
        self
    }

    #[cfg(feature = "api")]
    pub(crate) fn all_carriers(&self) -> &[TokenTransport] {
        &self.settings.transports
    }

    /// Sets the answer to `OPTIONS`. Default: [`Preflight::Check`].
    #[must_use]
    pub fn options(mut self, options: Preflight) -> Self {
        self.options = options;
        self
    }

    /// Answers a request with this method and these headers. The body is empty, or a problem document (RFC 9457).
    pub async fn answer<B: From<String>>(&self, method: &Method, headers: &HeaderMap) -> Response<B> {
        if self.passes(method, headers) {
            return self.pass();
        }
        let settings = match one(headers, &SCHEME_HEADER) {
            Ok(Some(scheme)) if scheme.eq_ignore_ascii_case("http") => &self.plain_settings,
            _ => &self.settings,
        };
        let slot = LazySession::new(self.engine.clone(), Arc::clone(settings));
        let open = match slot.open(headers).await {
            Ok(open) => open,
            Err(error) => return Problem::of(&error).response(),
        };
        match self.describe(&open) {
            Ok(told) => {
                let mut response = Response::new(B::from(String::new()));
                *response.headers_mut() = told;
                slot.finish(response).await
            }
            Err(problem) => problem.response(),
        }
    }

    /// Whether the request is an `OPTIONS` that passes.
    fn passes(&self, method: &Method, headers: &HeaderMap) -> bool {
        match &self.options {
            Preflight::Check => false,
            Preflight::Pass { method_header: None } => method == Method::OPTIONS,
            Preflight::Pass {
                method_header: Some(name),
            } => matches!(one(headers, name), Ok(Some("OPTIONS"))),
        }
    }

    /// Answers as for a request without a session: every session header is empty, so that the client's own are replaced.
    fn pass<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(String::new()));
        let headers = response.headers_mut();
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let own = [SUBJECT_HEADER, ID_HEADER];
        let told = own.iter().chain(self.fields.iter().map(|(_, header)| header));
        let absent: Vec<&str> = told.clone().map(HeaderName::as_str).collect();
        for header in told {
            headers.insert(header.clone(), HeaderValue::from_static(""));
        }
        // Header names are valid header values.
        if let Ok(absent) = HeaderValue::try_from(absent.join(",")) {
            headers.insert(ENVOY_REMOVE_HEADER, absent);
        }
        response
    }

    fn describe(&self, open: &Open<E>) -> Result<HeaderMap, Problem> {
        let failed = |error: E::Error| Problem::of(&error);
        let session = open.session();
        let details = session.details().map_err(failed)?;
        let Some(subject) = details.subject else {
            return Err(Problem::not_logged_in(open.token_state));
        };
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(SUBJECT_HEADER, value(&subject)?);
        headers.insert(ID_HEADER, value(&details.public_id)?);
        let mut absent = Vec::new();
        for (field, header) in self.fields.iter() {
            let text = match session.get_value(field).map_err(failed)? {
                Some(Value::Text(text)) => text,
                Some(Value::Boolean(value)) => value.to_string(),
                Some(Value::Integer(number)) => number.to_string(),
                Some(Value::Float(number)) => number.to_string(),
                // The reader of a header does not know how such a value is structured.
                None | Some(Value::Null | Value::Bytes(_) | Value::Json(_)) => {
                    absent.push(header.as_str());
                    String::new()
                }
            };
            // Empty and not missing, because a proxy may keep a placeholder for a missing header.
            headers.insert(header.clone(), value(&text)?);
        }
        // Envoy would otherwise pass on the client's own headers of these names.
        if !absent.is_empty() {
            headers.insert(ENVOY_REMOVE_HEADER, value(&absent.join(","))?);
        }
        Ok(headers)
    }
}

/// Percent-encodes all but visible ASCII (RFC 3986, section 2.1), and `%` itself, so that no value can end its header.
fn value(text: &str) -> Result<HeaderValue, Problem> {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                // Writing to a `String` does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    let fits = encoded.len() <= MAXIMUM_VALUE_BYTES;
    let value = HeaderValue::from_str(&encoded).ok().filter(|_| fits);
    value.ok_or_else(|| {
        tracing::error!("a field is too long for a header: {} bytes", encoded.len());
        Problem::new(500, "other", "the service failed; see its log")
    })
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_value_stays_in_its_header_and_can_be_read_back() {
        for (text, header) in [
            ("alice", "alice"),
            ("a b", "a%20b"),
            ("100%", "100%25"),
            ("a\r\nX-Role: admin", "a%0D%0AX-Role:%20admin"),
            ("zoë", "zo%C3%AB"),
            ("\u{0}\u{7f}", "%00%7F"),
            ("", ""),
        ] {
            assert_eq!(
                value(text)
                    .ok()
                    .and_then(|value| value.to_str().map(str::to_owned).ok())
                    .as_deref(),
                Some(header)
            );
        }
        assert!(value(&"x".repeat(4096)).is_ok() && value(&"x".repeat(4097)).is_err());
        assert!(value(&" ".repeat(1365)).is_ok() && value(&" ".repeat(1366)).is_err());
    }
}
