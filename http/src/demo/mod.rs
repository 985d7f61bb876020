//! The demonstration: a small application whose pages show sessions at work.
//!
//! This file has the routes and handlers, `pages.rs` the HTML.
//! Every visitor can sign in under any name, without a password. Therefore the demonstration needs an engine with **a key
//! and a store of its own**, so that its sessions are not valid anywhere else.

mod fields;
mod pages;
#[cfg(feature = "connections")]
mod streams;

#[cfg(feature = "connections")]
use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;

pub use self::fields::AGENT;
use self::fields::{FIELDS, MAXIMUM_AGENT, MAXIMUM_NAME, MAXIMUM_TEXT, PREFIX};
use crate::cookie::Cookie;
use crate::csrf::CsrfLayer;
#[cfg(feature = "connections")]
use crate::csrf::check_origin;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::extract::{LoggedIn, Rejection};
use crate::layer::SessionLayer;
use crate::problem::Problem;
use crate::session::{Session, TokenState};

/// The cookie from which the page after the logout reads the token that was valid before.
const OLD_COOKIE: &str = "tessera-demo-old";
const OLD_COOKIE_SECONDS: u32 = 600;
/// Duration of "Save slowly": long enough to save in another tab.
const SLOWLY: Duration = Duration::from_secs(3);
const SECURITY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A future that completes after a given time.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The demonstration over an engine that nothing else uses. [`Demo::router`] serves it.
pub struct Demo<E> {
    engine: E,
    cookie: Cookie,
    grace: Duration,
    pause: fn(Duration) -> Pause,
    /// The streams of the pages, if the host has connections.
    #[cfg(feature = "connections")]
    streams: Option<Arc<streams::Streams>>,
}

impl<E> fmt::Debug for Demo<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").finish_non_exhaustive()
    }
}

impl<E: Engine> Demo<E> {
    /// Creates the demonstration.
    ///
    /// `cookie` must not be used by anything else. `grace` is the policy's `rotation-grace`, which the page displays.
    /// `pause` waits for a given time.
    pub fn new(engine: E, cookie: Cookie, grace: Duration, pause: fn(Duration) -> Pause) -> Self {
        Self {
            engine,
            cookie,
            grace,
            pause,
            #[cfg(feature = "connections")]
            streams: None,
        }
    }

    /// Lets the pages show messages from other tabs, and the end of their session, as they happen.
    #[cfg(feature = "connections")]
    #[must_use]
    pub fn connections<H>(mut self, hub: &Arc<H>) -> Self
    where
        H: crate::connections::Hub<E, Client: crate::connections::StreamClient>,
    {
        self.streams = Some(Arc::new(streams::Streams::of(&self.engine, hub)));
        self
    }

    /// Whether the pages have streams.
    fn has_streams(&self) -> bool {
        #[cfg(feature = "connections")]
        return self.streams.is_some();
        #[cfg(not(feature = "connections"))]
        return false;
    }

    /// Ends the streams of a session that has ended.
    async fn end_streams(&self, public_id: String) {
        #[cfg(feature = "connections")]
        if let Some(streams) = &self.streams
            && !public_id.is_empty()
        {
            streams.end(public_id).await;
        }
        #[cfg(not(feature = "connections"))]
        drop(public_id);
    }

    /// The routes: `/`, and the paths that its pages use.
    pub fn router(self) -> Router {
        let layer = SessionLayer::new(self.engine.clone()).cookie(self.cookie.clone());
        let router = Router::new();
        #[cfg(feature = "connections")]
        let router = router.route("/messages", post(send::<E>));
        let router = router
            .route("/", get(home::<E>))
            .route("/login", post(login::<E>))
            .route("/fields", post(change::<E>))
            .route("/renew", post(renew::<E>))
            .route("/devices/end", post(end_one::<E>))
            .route("/devices/end-others", post(end_others::<E>))
            .route("/logout", post(logout::<E>))
            .route("/old", get(old::<E>))
            // Inside the session layer, because a form must carry the token of its own session.
            .layer(CsrfLayer::<E>::new())
            .layer(layer);
        // Outside of the session layer, which would hold the response until the stream ends.
        #[cfg(feature = "connections")]
        let router = router.route("/events", get(events::<E>));
        router
            .route(
                "/style.css",
                get(file("text/css; charset=utf-8", include_str!("style.css"))),
            )
            .route(
                "/script.js",
                get(file("text/javascript; charset=utf-8", include_str!("script.js"))),
            )
            .route("/icon.svg", get(file("image/svg+xml", include_str!("icon.svg"))))
            .layer(map_response(protect))
            .with_state(Arc::new(self))
    }
}

type Shared<E> = State<Arc<Demo<E>>>;

/// The problem of a failed call on a session, as shown to the visitor.
struct Refused(Problem);

impl<F: EngineError> From<F> for Refused {
    fn from(fault: F) -> Self {
        Self(Problem::of(&fault))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// The session of a visitor who is signed in.
///
/// A visitor whose session has ended, for example from another device, has used a button of an older page, and is
/// redirected to the page to sign in.
struct SignedIn<E: Engine>(Session<E>);

impl<S: Sync, E: Engine> FromRequestParts<S> for SignedIn<E> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match LoggedIn::<E>::from_request_parts(parts, state).await {
            Ok(LoggedIn { session, .. }) => Ok(Self(session)),
            Err(Rejection::NotLoggedIn { .. }) => Err(Redirect::to("/").into_response()),
            Err(rejection) => Err(rejection.into_response()),
        }
    }
}

/// Shows the visitor's session, or the form to sign in.
async fn home<E: Engine>(State(demo): Shared<E>, session: Session<E>) -> Result<Response, Refused> {
    if session.subject()?.is_none() {
        return Ok(pages::sign_in(session.token_state(), None).into_response());
    }
    let mut fields = Vec::new();
    for (name, label) in FIELDS {
        fields.push((name, label, session.get::<String>(name)?.unwrap_or_default()));
    }
    let mut devices = session.devices(None).await?.items;
    devices.sort_by_key(|device| !device.current);
    let page = pages::Home {
        // Each message is shown once: it is removed when the response leaves.
        messages: session.take_flash()?,
        csrf: session.csrf_token()?,
        devices,
        details: session.details()?,
        fields,
        now: demo.engine.now(),
        grace: demo.grace,
        has_streams: demo.has_streams(),
    };
    Ok(page.into_response())
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// Logs a visitor in. A real application checks a password here. The token from before the login is no longer valid.
async fn login<E: Engine>(
    State(demo): Shared<E>,
    session: Session<E>,
    headers: HeaderMap,
    Form(form): Form<Login>,
) -> Result<Response, Refused> {
    let name = form.name.trim();
    if !(1..=MAXIMUM_NAME).contains(&name.chars().count()) || name.contains(char::is_control) {
        let page = pages::sign_in(TokenState::Absent, Some("A name has 1 to 40 characters."));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let agent: String = agent.unwrap_or_default().chars().take(MAXIMUM_AGENT).collect();
    session.set(AGENT, &agent)?;
    let before = session.details()?.public_id;
    session.authenticate(&format!("{PREFIX}{name}")).await?;
    demo.end_streams(before).await;
    Ok(Redirect::to("/").into_response())
}

#[derive(Deserialize)]
struct Change {
    field: String,
    text: String,
    slowly: Option<String>,
}

/// Sets one field. The other fields keep their values, including those that another tab saves in the meantime.
async fn change<E: Engine>(
    State(demo): Shared<E>,
    SignedIn(session): SignedIn<E>,
    Form(form): Form<Change>,
) -> Result<Response, Refused> {
    let Some((name, label)) = FIELDS.into_iter().find(|(name, _)| *name == form.field) else {
        return Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response());
    };
    let text = form.text.trim();
    if text.chars().count() > MAXIMUM_TEXT {
        session.flash(&format!(
            "{label}: at most {MAXIMUM_TEXT} characters. Nothing was changed."
        ))?;
    } else {
        session.set(name, text)?;
        session.flash(&format!("{label} was saved."))?;
    }
    if form.slowly.is_some() {
        // The session is read before the pause and saved after it; changes that others save in between are kept.
        (demo.pause)(SLOWLY).await;
    }
    Ok(Redirect::to("/").into_response())
}

async fn renew<E: Engine>(SignedIn(session): SignedIn<E>) -> Result<Redirect, Refused> {
    session.flash("The token was renewed. Your other tabs take the new one with their next request.")?;
    session.rotate().await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Ending {
    public_id: String,
}

async fn end_one<E: Engine>(
    State(demo): Shared<E>,
    SignedIn(session): SignedIn<E>,
    Form(form): Form<Ending>,
) -> Result<Redirect, Refused> {
    let was_there = session.revoke(&form.public_id).await?;
    if was_there {
        demo.end_streams(form.public_id).await;
    }
    session.flash(if was_there {
        "That device is logged out: its next request is refused."
    } else {
        "That device was logged out already."
    })?;
    Ok(Redirect::to("/"))
}

async fn end_others<E: Engine>(SignedIn(session): SignedIn<E>) -> Result<Redirect, Refused> {
    let ended = session.revoke_others().await?;
    session.flash(&format!("Logged out everywhere else: sessions ended: {ended}."))?;
    Ok(Redirect::to("/"))
}

/// Ends the session, and redirects to the page that shows the fate of its token.
async fn logout<E: Engine>(
    State(demo): Shared<E>,
    SignedIn(session): SignedIn<E>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let public_id = session.details()?.public_id;
    session.destroy().await?;
    demo.end_streams(public_id).await;
    let mut response = Redirect::to("/old").into_response();
    // For the demonstration only. The token has ended, so it may be kept and shown; never do this with a live one.
    if let Some(token) = read_cookie(&headers, demo.cookie.name()) {
        let cookie = format!(
            "{OLD_COOKIE}={token}; Path=/old; Max-Age={OLD_COOKIE_SECONDS}; HttpOnly; SameSite=Strict"
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

#[cfg(feature = "connections")]
#[derive(Deserialize)]
struct Sending {
    text: String,
}

/// Sends a message to all open pages of the visitor, on every device.
#[cfg(feature = "connections")]
async fn send<E: Engine>(
    State(demo): Shared<E>,
    SignedIn(session): SignedIn<E>,
    Form(form): Form<Sending>,
) -> Result<Response, Refused> {
    let text = form.text.trim();
    let fits = (1..=MAXIMUM_TEXT).contains(&text.chars().count());
    let message = tessera_connections::Message::new(None, text);
    let (Some(streams), Ok(message), true) = (&demo.streams, message, fits) else {
        session.flash(&format!(
            "A message has 1 to {MAXIMUM_TEXT} characters. Nothing was sent."
        ))?;
        return Ok(Redirect::to("/").into_response());
    };
    let subject = session.subject()?.unwrap_or_default();
    let pages = streams.send(&subject, message).await.map_err(Refused)?;
    session.flash(&format!("The message was sent to your open pages: {pages}."))?;
    Ok(Redirect::to("/").into_response())
}

/// The stream of a page.
#[cfg(feature = "connections")]
async fn events<E: Engine>(State(demo): Shared<E>, parts: Parts) -> Response {
    // Another site's page would use up the connections of the session.
    if let Err(problem) = check_origin(&BTreeSet::new(), &parts) {
        return problem.into_response();
    }
    let token = read_cookie(&parts.headers, demo.cookie.name()).map(str::to_owned);
    match (&demo.streams, token) {
        (Some(streams), Some(token)) => streams.open(&token, parts).await,
        _ => Problem::new(404, "not-found", "this page has no stream").into_response(),
    }
}

/// Presents the token from before the logout once more, and shows the result.
async fn old<E: Engine>(State(demo): Shared<E>, headers: HeaderMap) -> Result<Response, Refused> {
    let Some(token) = read_cookie(&headers, OLD_COOKIE) else {
        return Ok(Redirect::to("/").into_response());
    };
    match demo.engine.open(token).await {
        Err(error) if error.kind().is_not_logged_in() => {
            Ok(pages::old(token, error.kind().code(), &error.to_string()).into_response())
        }
        // An outage reveals nothing about a token.
        Err(error) => Err(error.into()),
        // Another token was put into the cookie.
        Ok(_) => Ok(Redirect::to("/").into_response()),
    }
}

fn read_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(other, _)| *other == name).map(|(_, value)| value)
}

/// The response with an embedded file.
fn file(kind: &'static str, text: &'static str) -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, kind)], text)
}

/// Adds the headers that forbid the browser to load content from elsewhere, run inline scripts or show the page in a frame.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Other sites receive nothing. With `no-referrer`, browsers would omit `Origin` from this site's own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page. Its content is escaped already.
impl IntoResponse for pages::Page {
    fn into_response(self) -> Response {
        Html(self.0.into_string()).into_response()
    }
}
