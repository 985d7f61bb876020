//! Who asks: a session's token, or the service key.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use zeroize::Zeroizing;

use super::Service;
use super::problem::Problem;

/// The header for the service key, which leaves `Authorization` to a token.
const SERVICE_KEY_HEADER: &str = "x-tessera-service-key";
/// Cookies that may hold the token; the first cannot be planted by a sibling domain (RFC 6265bis, section 4.1.3.2).
const COOKIES: [&str; 2] = ["__Host-tessera", "tessera"];
const CHALLENGE: &str = "Bearer";

/// A session's token, from `Authorization: Bearer` or else a cookie; not checked yet.
pub(super) struct Token(pub(super) Zeroizing<String>);

impl FromRequestParts<Arc<Service>> for Token {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Service>) -> Result<Self, Problem> {
        if let Some(token) = bearer(&parts.headers)? {
            return Ok(Self(token));
        }
        let Some(token) = cookie(&parts.headers)? else {
            let detail =
                "send the session's token as `Authorization: Bearer` or in the cookie `__Host-tessera`";
            return Err(Problem::new(401, "token-absent", detail).challenge(CHALLENGE));
        };
        refuse_cross_site(parts)?;
        Ok(Self(token))
    }
}

/// A cookie is sent by the browser without the page's doing; a page of another site changes nothing with it.
fn refuse_cross_site(parts: &Parts) -> Result<(), Problem> {
    let site = parts.headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let is_safe = matches!(parts.method, Method::GET | Method::HEAD);
    match site {
        Some(b"cross-site" | b"same-site") if !is_safe => Err(Problem::new(
            403,
            "cross-site",
            "a cookie changes nothing from a page of another origin",
        )),
        _ => Ok(()),
    }
}

/// The caller holds the service key.
pub(super) struct ByService;

impl FromRequestParts<Arc<Service>> for ByService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let key = match one(&parts.headers, SERVICE_KEY_HEADER)? {
            Some(key) => Some(Zeroizing::new(key.to_owned())),
            None => bearer(&parts.headers)?,
        };
        check(key, service).map(|()| Self)
    }
}

/// The caller holds the service key besides a token, which has `Authorization` to itself.
pub(super) struct WithService;

impl FromRequestParts<Arc<Service>> for WithService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let key = one(&parts.headers, SERVICE_KEY_HEADER)?.map(|key| Zeroizing::new(key.to_owned()));
        check(key, service).map(|()| Self)
    }
}

fn check(key: Option<Zeroizing<String>>, service: &Service) -> Result<(), Problem> {
    match key {
        None => {
            let detail = "this needs the service key, as `X-Tessera-Service-Key` or, where no token is sent, `Authorization: Bearer`";
            Err(Problem::new(401, "service-key-absent", detail).challenge(CHALLENGE))
        }
        Some(key) if service.key.is(&key) => Ok(()),
        Some(_) => Err(Problem::new(
            403,
            "service-key-wrong",
            "this is not the service key",
        )),
    }
}

/// A header that may stand once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let unfit = || {
        Problem::new(
            400,
            "header-malformed",
            format!("the header `{name}` must stand once, in ASCII"),
        )
    };
    if second.is_some() {
        return Err(unfit());
    }
    first.map(|value| value.to_str().map_err(|_| unfit())).transpose()
}

fn bearer(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Problem> {
    let Some(value) = one(headers, header::AUTHORIZATION.as_str())? else {
        return Ok(None);
    };
    // Nothing after the scheme is an empty token, and refused as one.
    match value.split_once(' ').unwrap_or((value, "")) {
        (scheme, credentials) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(Zeroizing::new(credentials.trim_ascii().to_owned())))
        }
        _ => Err(
            Problem::new(401, "scheme-unknown", "`Authorization` takes `Bearer` only").challenge(CHALLENGE),
        ),
    }
}

fn cookie(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Problem> {
    for wanted in COOKIES {
        let mut found: Option<&str> = None;
        for pair in headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
        {
            let Some((name, value)) = pair.trim_ascii().split_once('=') else {
                continue;
            };
            if name != wanted {
                continue;
            }
            if found.is_some_and(|found| found != value) {
                // Which is the planted one cannot be told.
                return Err(Problem::new(
                    400,
                    "token-ambiguous",
                    format!("there are two different cookies `{wanted}`"),
                ));
            }
            found = Some(value);
        }
        if let Some(value) = found {
            return Ok(Some(Zeroizing::new(value.to_owned())));
        }
    }
    Ok(None)
}
