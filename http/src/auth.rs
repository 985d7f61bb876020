//! "Is this request logged in?", for proxies that ask before they pass a request on: nginx's `auth_request`, Traefik's
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

/// Whom the session stands for.
pub const SUBJECT_HEADER: HeaderName = HeaderName::from_static("x-session-subject");
/// A hash of the session's id, fit for logs.
pub const ID_HEADER: HeaderName = HeaderName::from_static("x-session-id");
/// Headers of the client that Envoy is not to pass on (Envoy, HTTP filters, External Authorization).
pub const ENVOY_REMOVE_HEADER: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// How the client speaks to the proxy: `http` or `https`.
const SCHEME_HEADER: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// A value is at most so long in a header, in bytes; most proxies take 8 KiB for all headers together.
pub const MAXIMUM_VALUE_BYTES: usize = 4096;

/// Answers a proxy: 200 with headers about the session, 401 if nobody is logged in, 503 if that cannot be told now.
///
/// The proxy is to set these headers on what it passes on, over any that the client sent, and to hand a `Set-Cookie` of the
/// answer to the client: tokens are renewed here as anywhere.
#[derive(Clone, Debug)]
pub struct Authorizer<E> {
    engine: E,
    settings: Arc<Settings>,
    /// For clients that speak plain http, as far as the proxy says so.
    plain_settings: Arc<Settings>,
    fields: Arc<[(String, HeaderName)]>,
    options: Preflight,
}

/// What is answered to a request with the method `OPTIONS`, as a browser sends it before a request from another origin, and
/// never with credentials (Fetch, CORS-preflight fetch).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preflight {
    /// As to any other: 401 without credentials.
    #[default]
    Check,
    /// 200 without a word of any session, so that the application behind the proxy answers it.
    Pass {
        /// The header in which the proxy names the method, as `X-Forwarded-Method`, where it asks by another method than the
        /// request has. **The proxy has to set it, over any that the client sent**: it lets requests pass.
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
    /// Takes the token from the first of these transports that brings one of ours, good or bad, and sends these fields in headers
    /// of these names: texts, numbers and booleans. The header of a field that is absent or holds anything else is empty.
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

    /// Takes the token from the first of these that brings one.
    #[cfg(feature = "api")]
    pub(crate) fn transports(mut self, transports: Vec<TokenTransport>) -> Self {
        (self.settings, self.plain_settings) = settings(transports);
        self
    }

    #[cfg(feature = "api")]
    pub(crate) fn all_carriers(&self) -> &[TokenTransport] {
        &self.settings.transports
    }

    /// What is answered to `OPTIONS`.
    #[must_use]
    pub fn options(mut self, options: Preflight) -> Self {
        self.options = options;
        self
    }

    /// The answer to a request with this method and these headers. Its body is empty, or a problem.
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

    /// Nobody is logged in here, whatever the client says of itself.
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
        // Names of headers fit a header.
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
                // Whoever reads a header knows nothing of their structure.
                None | Some(Value::Null | Value::Bytes(_) | Value::Json(_)) => {
                    absent.push(header.as_str());
                    String::new()
                }
            };
            // Empty where the field is absent, because a proxy may keep a placeholder where a header is missing.
            headers.insert(header.clone(), value(&text)?);
        }
        // Envoy would pass on what the client sent under these names.
        if !absent.is_empty() {
            headers.insert(ENVOY_REMOVE_HEADER, value(&absent.join(","))?);
        }
        Ok(headers)
    }
}

/// What is not visible ASCII is percent-encoded (RFC 3986, section 2.1), and so is `%`: nothing in a value ends a header.
fn value(text: &str) -> Result<HeaderValue, Problem> {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                // Writing to a text does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    let fits = encoded.len() <= MAXIMUM_VALUE_BYTES;
    let value = HeaderValue::from_str(&encoded).ok().filter(|_| fits);
    value.ok_or_else(|| {
        tracing::error!("a field is too long for a header: {} bytes", encoded.len());
        Problem::new(500, "other", "the service failed; its log says more")
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
