//! Against cross-site request forgery (OWASP Cross-Site Request Forgery Prevention Cheat Sheet): where a request comes from
//! first, then a token that only a page of the same session can know.

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

/// The header that scripts send the token in.
pub const CSRF_HEADER: &str = "x-csrf-token";
/// The form field that pages send the token in.
pub const CSRF_FIELD: &str = "csrf_token";
/// A form that is longer has to send the token as a header.
pub const DEFAULT_FORM_BYTES: usize = 64 << 10;

/// Refuses requests that another site made a browser send.
///
/// `GET`, `HEAD`, `OPTIONS` and `TRACE` pass: they must change nothing. Of the others, those that a browser says come from
/// another site or origin are refused. Where the session came in a cookie, the token of
/// [`Session::csrf_token`](crate::Session::csrf_token) has to come too: in the header [`CSRF_HEADER`], or in the field
/// [`CSRF_FIELD`] of a form (`application/x-www-form-urlencoded`; a form in `multipart/form-data` needs the header). What travels in a header is added by no browser on its own,
/// and passes. Stands inside of a [`SessionLayer`](crate::SessionLayer), and guards the session of the innermost one around it.
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

    /// Takes requests from pages of another origin, such as `https://app.example.com`; also where a proxy changes `Host`.
    /// Case, a slash at the end and the scheme's own port make no difference.
    ///
    /// # Errors
    /// [`OriginError`] for what no browser sends as an origin.
    pub fn trust_origin(self, origin: &str) -> Result<Self, OriginError> {
        let mut settings = (*self.settings).clone();
        let origin = Origin::parse(origin.strip_suffix('/').unwrap_or(origin))?;
        settings.trusted.insert(origin);
        Ok(Self {
            settings: Arc::new(settings),
            ..self
        })
    }

    /// The longest form, in bytes, in which the token is looked for. Default 64 KiB.
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

/// What [`CsrfLayer`] makes of a service.
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
        // The service that was asked whether it is ready goes on; its clone waits for the next.
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

/// Passes a request on, whole, or says why not.
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

/// The session, where a cookie brought it and it lives: nobody can forge what is not there.
async fn session_of_cookie<E: Engine>(parts: &request::Parts) -> Result<Option<Session<E>>, Problem> {
    let Some(Mount { slot, .. }) = parts.extensions.get::<Mount<E>>() else {
        tracing::error!("a CSRF layer stands outside of a session layer");
        return Err(Problem::new(
            500,
            "other",
            "the service failed; its log says more",
        ));
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

/// What the browser says of where the request comes from; what is no browser says nothing.
pub(crate) fn check_origin(trusted: &BTreeSet<Origin>, parts: &request::Parts) -> Result<(), Problem> {
    // One that stands twice says nothing that could be believed.
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

/// The media type of the body, without parameters.
fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim_ascii()
}

fn cross_site() -> Problem {
    Problem::new(403, "cross-site", "a page of another origin changes nothing here")
}

fn absent() -> Problem {
    let detail = "send the session's CSRF token in the header `X-CSRF-Token` or the form field `csrf_token`";
    Problem::new(403, "csrf-token-absent", detail)
}

/// It may hold files of any length, which nobody should have to keep in memory to look for a field.
fn absent_from_multipart() -> Problem {
    let detail = "send the session's CSRF token in the header `X-CSRF-Token`: a form in `multipart/form-data` is \
                  not searched for the field `csrf_token`";
    Problem::new(403, "csrf-token-absent", detail)
}

fn form_too_long(maximum: usize) -> Problem {
    let detail =
        "the form is longer than the CSRF token is looked for in; send it in the header `X-CSRF-Token`";
    Problem::new(413, "limit-exceeded", detail)
        .with("limit", "maximum-form-bytes")
        .with("maximum", maximum)
}
