//! Credentials of the caller: a session's token, or the service key.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use zeroize::Zeroizing;

use super::service::Api;
use super::service_key::{SERVICE_KEY_HEADER, ServiceKey};
use crate::candidates::open_one;
use crate::csrf::check_origin;
use crate::engine::Engine;
use crate::error::ErrorKind;
use crate::problem::Problem;
use crate::transport::{self, Credentials, TokenTransport, brought};

const CHALLENGE: &str = "Bearer";

/// A session's token, from the transports of the service; not verified yet.
pub(crate) struct Token(pub(crate) Zeroizing<String>);

/// The token of a client that opens a stream.
///
/// A stream of another site costs a connection, although its page cannot read it: with a cookie, the origin is checked although
/// the method is `GET`.
#[cfg(feature = "connections")]
pub(crate) async fn token_of_stream<E: Engine>(
    parts: &mut Parts,
    api: &Arc<Api<E>>,
) -> Result<Zeroizing<String>, Problem> {
    let transport = brought(&api.transports, &parts.headers).and_then(|(at, _)| api.transports.get(at));
    // First, because any other refusal would tell the page something of the cookie.
    if matches!(transport, Some(TokenTransport::Cookie(_))) {
        check_origin(&BTreeSet::new(), parts)?;
    }
    let Token(token) = Token::from_request_parts(parts, api).await?;
    Ok(token)
}

impl<E: Engine> FromRequestParts<Arc<Api<E>>> for Token {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api<E>>) -> Result<Self, Problem> {
        let Some((at, brought)) = brought(&api.transports, &parts.headers) else {
            return Err(absent(&api.transports));
        };
        let token = match brought.credentials {
            Credentials::Token(token) => token,
            Credentials::Several(tokens) => match open_one(&api.engine, tokens).await {
                Ok(Some((_, token))) => token,
                Ok(None) => return Err(Problem::token_refused(ErrorKind::TokenAmbiguous)),
                Err(error) => return Err(Problem::of(&error)),
            },
            Credentials::Refused(kind) => return Err(Problem::token_refused(kind)),
        };
        if matches!(api.transports.get(at), Some(TokenTransport::Cookie(_))) {
            refuse_cross_site(parts)?;
        }
        Ok(Self(token))
    }
}

fn absent(transports: &[TokenTransport]) -> Problem {
    let transports: Vec<String> = transports.iter().map(TokenTransport::to_string).collect();
    let detail = format!("send the session's token in {}", transports.join(", or "));
    Problem::new(401, "token-absent", detail).challenge(CHALLENGE)
}

/// Refuses a request with a second `Cookie` header (RFC 6265, section 5.4).
/// Some hosts join the two in a way that hides the cookies of the second, and the response must be the same on every host.
pub(crate) async fn refuse_second_cookie_header(request: Request, next: Next) -> Response {
    match request.headers().get_all(header::COOKIE).iter().count() {
        0 | 1 => next.run(request).await,
        _ => {
            let detail = "the header `cookie` may occur only once, with all cookies in it";
            // A proxy treats any other status as an outage.
            let is_proxy = request.uri().path().starts_with("/auth");
            let problem = Problem::new(if is_proxy { 401 } else { 400 }, "header-malformed", detail);
            match is_proxy {
                true => problem.challenge(CHALLENGE).into_response(),
                false => problem.into_response(),
            }
        }
    }
}

/// A token with a valid MAC and valid dates. The body of a request is read only after this check.
pub(super) struct Signed(pub(super) Token);

impl<E: Engine> FromRequestParts<Arc<Api<E>>> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api<E>>) -> Result<Self, Problem> {
        let token = Token::from_request_parts(parts, api).await?;
        match api.engine.verify(&token.0, None) {
            Ok(_) => Ok(Self(token)),
            Err(error) => Err(Problem::of(&error)),
        }
    }
}

/// Refuses a change by a page of another origin, because the browser sends a cookie on its own.
fn refuse_cross_site(parts: &Parts) -> Result<(), Problem> {
    match parts.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => check_origin(&BTreeSet::new(), parts),
    }
}

/// The caller holds the service key.
pub(crate) struct ByService;

impl<E: Engine> FromRequestParts<Arc<Api<E>>> for ByService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api<E>>) -> Result<Self, Problem> {
        let key = match one(&parts.headers, &SERVICE_KEY_HEADER)? {
            Some(key) => Some(key),
            None => bearer(&parts.headers)?,
        };
        check(key, &api.key).map(|()| Self)
    }
}

/// The caller holds the service key besides a token; the token occupies `Authorization`.
pub(super) struct WithService;

impl<E: Engine> FromRequestParts<Arc<Api<E>>> for WithService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api<E>>) -> Result<Self, Problem> {
        check(one(&parts.headers, &SERVICE_KEY_HEADER)?, &api.key).map(|()| Self)
    }
}

/// Whether the caller holds the service key besides a token. A wrong key is refused, not treated as absent.
pub(super) struct IsService(pub(super) bool);

impl<E: Engine> FromRequestParts<Arc<Api<E>>> for IsService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api<E>>) -> Result<Self, Problem> {
        match one(&parts.headers, &SERVICE_KEY_HEADER)? {
            None => Ok(Self(false)),
            offered => check(offered, &api.key).map(|()| Self(true)),
        }
    }
}

fn check(offered: Option<&str>, key: &ServiceKey) -> Result<(), Problem> {
    match offered {
        None => {
            let detail = "this requires the service key, in `X-Tessera-Service-Key` or, if no token is sent, in `Authorization: Bearer`";
            Err(Problem::new(401, "service-key-absent", detail).challenge(CHALLENGE))
        }
        Some(offered) if key.is(offered) => Ok(()),
        Some(_) => Err(Problem::new(403, "service-key-wrong", "the service key is wrong")),
    }
}

/// A header that may occur only once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let unfit = || format!("the header `{name}` may occur only once, in ASCII");
    transport::one(headers, name).map_err(|_| Problem::new(400, "header-malformed", unfit()))
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = one(headers, &header::AUTHORIZATION)? else {
        return Ok(None);
    };
    match value.split_once(' ').unwrap_or((value, "")) {
        (scheme, credentials) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(credentials.trim_ascii())),
        _ => Err(
            Problem::new(401, "scheme-unknown", "`Authorization` supports only `Bearer`")
                .challenge(CHALLENGE),
        ),
    }
}
