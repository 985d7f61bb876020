//! Protection against cross-site request forgery (OWASP Cross-Site Request Forgery Prevention Cheat Sheet): a check of the
//! request's origin, then a token that only a page of the same session can know.

use std::collections::BTreeSet;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, header, request};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::unread;
use crate::engine::Engine;
use crate::nest::Mount;
use crate::origin::{Origin, OriginError};
use crate::problem::Problem;
use crate::session::{Session, TokenState};
use crate::transport::{TokenTransport, one};

/// The header in which scripts send the CSRF token.
pub const CSRF_HEADER: &str = "x-csrf-token";
/// The form field in which pages send the CSRF token.
pub const CSRF_FIELD: &str = "csrf_token";
/// Default limit, in bytes, of a form that is searched for the token. A longer form must send the token in the header.
pub const DEFAULT_FORM_BYTES: usize = 64 << 10;

/// Refuses requests that another site made a browser send.
///
/// `GET`, `HEAD`, `OPTIONS` and `TRACE` pass: their handlers must change nothing.
/// Of the other requests, those that the browser reports as coming from another site or origin are refused.
///
/// If a cookie carried the session's token, the request needs a token of
/// [`Session::csrf_token`](crate::Session::csrf_token):
/// in the header [`CSRF_HEADER`], or in the field [`CSRF_FIELD`] of a form (`application/x-www-form-urlencoded`; a form in
/// `multipart/form-data` needs the header).
/// If a header carried the session's token, the request passes, because no browser adds such a header on its own.
///
/// The layer must be inside a [`SessionLayer`](crate::SessionLayer), and guards the session of the innermost one around it.
pub struct CsrfLayer<E> {
    settings: Arc<Settings>,
    engine: PhantomData<fn() -> E>,
}

#[derive(Clone, Debug)]
struct Settings {
    trusted: BTreeSet<Origin>,
    form_bytes: usize,
}

impl<E> Default for CsrfLayer<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for CsrfLayer<E> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            engine: PhantomData,
        }
    }
}

impl<E> std::fmt::Debug for CsrfLayer<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsrfLayer")
            .field("settings", &self.settings)
            .finish()
    }
}

impl<E> CsrfLayer<E> {
    /// Trusts the host that the request names, and no other origin.
    pub fn new() -> Self {
        let settings = Settings {
            trusted: BTreeSet::new(),
            form_bytes: DEFAULT_FORM_BYTES,
        };
        Self {
            settings: Arc::new(settings),
            engine: PhantomData,
        }
    }

    /// Trusts pages of another origin, such as `https://app.example.com`. Also needed if a proxy changes `Host`.
    /// Case, a trailing slash and the scheme's default port are ignored.
    ///
    /// # Errors
    /// [`OriginError`] if the text is not an origin in the form that browsers send.
    pub fn trust_origin(self, origin: &str) -> Result<Self, OriginError> {
        let mut settings = (*self.settings).clone();
        let origin = Origin::parse(origin.strip_suffix('/').unwrap_or(origin))?;
        settings.trusted.insert(origin);
        Ok(Self {
            settings: Arc::new(settings),
            ..self
        })
    }

    /// Sets the maximum length, in bytes, of a form that is searched for the token. Default: 64 KiB.
    #[must_use]
    pub fn maximum_form_bytes(self, bytes: usize) -> Self {
        let settings = Settings {
            form_bytes: bytes,
            ..(*self.settings).clone()
        };
        Self {
            settings: Arc::new(settings),
            ..self
        }
    }
}

impl<S, E> Layer<S> for CsrfLayer<E> {
    type Service = CsrfService<S, E>;

    fn layer(&self, inner: S) -> Self::Service {
        CsrfService {
            inner,
            settings: Arc::clone(&self.settings),
            engine: PhantomData,
        }
    }
}

/// The service produced by [`CsrfLayer`].
pub struct CsrfService<S, E> {
    inner: S,
    settings: Arc<Settings>,
    engine: PhantomData<fn() -> E>,
}

impl<S: Clone, E> Clone for CsrfService<S, E> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: Arc::clone(&self.settings),
            engine: PhantomData,
        }
    }
}

impl<S, E> std::fmt::Debug for CsrfService<S, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsrfService")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<S, E, B, R> Service<Request<B>> for CsrfService<S, E>
where
    E: Engine,
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: From<String> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that is ready handles this request; its clone waits for the next one.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let settings = Arc::clone(&self.settings);
        Box::pin(async move {
            match judge::<E, B>(&settings, request).await {
                Ok(request) => inner.call(request).await,
                Err(problem) => Ok(problem.response()),
            }
        })
    }
}

/// Returns the request, with its whole body, or the problem to answer it with.
async fn judge<E, B>(settings: &Settings, request: Request<B>) -> Result<Request<B>, Problem>
where
    E: Engine,
    B: Body<Data = Bytes> + From<Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    ) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    check_origin(&settings.trusted, &parts)?;
    let Some(session) = session_of_cookie::<E>(&parts).await? else {
        return Ok(Request::from_parts(parts, body));
    };
    if let Some(token) = parts.headers.get(CSRF_HEADER) {
        check(&session, token.to_str().unwrap_or_default())?;
        return Ok(Request::from_parts(parts, body));
    }
    let kind = media_type(&parts.headers);
    if kind.eq_ignore_ascii_case("multipart/form-data") {
        return Err(absent_from_multipart());
    }
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(absent());
    }
    let collected = Limited::new(body, settings.form_bytes).collect().await;
    let body = collected
        .map_err(|error| unread(&*error, || form_too_long(settings.form_bytes)))?
        .to_bytes();
    let token = form_urlencoded::parse(&body).find(|(name, _)| name == CSRF_FIELD);
    check(&session, &token.ok_or_else(absent)?.1)?;
    Ok(Request::from_parts(parts, B::from(body)))
}

/// The live session, if a cookie carried its token. Without a live session there is nothing to forge.
async fn session_of_cookie<E: Engine>(parts: &request::Parts) -> Result<Option<Session<E>>, Problem> {
    let Some(Mount { slot, .. }) = parts.extensions.get::<Mount<E>>() else {
        tracing::error!("a CSRF layer is not inside a session layer");
        return Err(Problem::new(500, "other", "the service failed; see its log"));
    };
    let transport = slot
        .brought(&parts.headers)
        .and_then(|(at, _)| slot.settings.transports.get(at));
    if !matches!(transport, Some(TokenTransport::Cookie(_))) {
        return Ok(None);
    }
    let open = slot
        .open(&parts.headers)
        .await
        .map_err(|error| Problem::of(&error))?;
    Ok((open.token_state == TokenState::Live).then(|| Session::new(open)))
}

fn check<E: Engine>(session: &Session<E>, token: &str) -> Result<(), Problem> {
    session
        .check_csrf_token(token)
        .map_err(|error| Problem::of(&error))
}

/// Checks the origin that the browser reports. Non-browser clients send none of these headers, and pass.
pub(crate) fn check_origin(trusted: &BTreeSet<Origin>, parts: &request::Parts) -> Result<(), Problem> {
    // A repeated header is not trusted.
    let text = |name: HeaderName| one(&parts.headers, &name).unwrap_or(Some("null"));
    let origin = text(header::ORIGIN).map(Origin::parse);
    if let Some(Ok(origin)) = &origin
        && trusted.contains(origin)
    {
        return Ok(());
    }
    match (text(HeaderName::from_static("sec-fetch-site")), origin) {
        (Some("same-origin" | "none"), _) | (None, None) => Ok(()),
        (None, Some(Ok(origin))) => {
            let host = text(header::HOST).or(parts.uri.authority().map(|host| host.as_str()));
            if host.is_some_and(|host| origin.is_of_host(host)) {
                Ok(())
            } else {
                Err(cross_site())
            }
        }
        (Some(_), _) | (None, Some(Err(_))) => Err(cross_site()),
    }
}

/// The media type of the body, without its parameters.
fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim_ascii()
}

fn cross_site() -> Problem {
    Problem::new(
        403,
        "cross-site",
        "requests from pages of another origin are refused",
    )
}

fn absent() -> Problem {
    let detail = "send the session's CSRF token in the header `X-CSRF-Token` or the form field `csrf_token`";
    Problem::new(403, "csrf-token-absent", detail)
}

/// A multipart form may hold files of any length, which must not be kept in memory in search of a field.
fn absent_from_multipart() -> Problem {
    let detail = "send the session's CSRF token in the header `X-CSRF-Token`: a form in `multipart/form-data` is \
                  not searched for the field `csrf_token`";
    Problem::new(403, "csrf-token-absent", detail)
}

fn form_too_long(maximum: usize) -> Problem {
    let detail =
        "the form is too long to be searched for the CSRF token; send the token in the header `X-CSRF-Token`";
    Problem::new(413, "limit-exceeded", detail)
        .with("limit", "maximum-form-bytes")
        .with("maximum", maximum)
}
