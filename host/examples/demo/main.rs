//! A small application with sessions: `cargo run --release -p tessera --example demo`, then `http://localhost:3000`.
//!
//! Here are its routes and handlers; `pages.rs` has the HTML. `tessera serve` shows the same at `/`.

mod pages;

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use tessera::http::{Arrival, Cookie, CsrfLayer, Fault as _, LoggedIn, Session, SessionLayer};
use tessera::store::MemoryStore;
use tessera::{SessionError, Sessions};
use tokio::net::TcpListener;

/// What whoever signs in may write: the field, and what the page calls it.
const FIELDS: [(&str, &str); 3] = [("city", "City"), ("colour", "Colour"), ("note", "Note")];
/// The browser that a session was made in. The policy calls it public, so that the list of devices has it.
pub(crate) const AGENT: &str = "agent";
/// Stands before every name. Nobody here has proved to be anybody: it must not look like one who has.
pub(crate) const PREFIX: &str = "demo:";
/// The cookie in which the page after logout finds the token that was good before.
const OLD_COOKIE: &str = "tessera-demo-old";
const OLD_COOKIE_SECONDS: u32 = 600;
const MAXIMUM_NAME: usize = 40;
const MAXIMUM_TEXT: usize = 80;
const MAXIMUM_AGENT: usize = 200;
/// How long "Save slowly" takes: time enough to save in another tab.
const SLOWLY: Duration = Duration::from_secs(3);
const SECURITY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A service keeps its key, and its sessions in a file: these end with the program.
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let sessions = Sessions::builder()?
        .signing_key("demo", secret)
        .policy(|policy| policy.public_fields = vec![AGENT.into()])
        .build(MemoryStore::new())?;
    // Behind TLS take `Cookie::default()`.
    let app = app(sessions, Cookie::insecure_for_local_development());
    axum::serve(TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    Ok(())
}

#[derive(Clone)]
struct Shared {
    sessions: Sessions,
    cookie: Cookie,
}

pub(crate) fn app(sessions: Sessions, cookie: Cookie) -> Router {
    let layer = SessionLayer::new(sessions.clone())
        .cookie(cookie.clone())
        .login_path("/");
    Router::new()
        .route("/", get(home))
        .route("/login", post(login))
        .route("/fields", post(change))
        .route("/renew", post(renew))
        .route("/devices/end", post(end_one))
        .route("/devices/end-others", post(end_others))
        .route("/logout", post(logout))
        .route("/old", get(old))
        // Inside of the session layer: a form has to bring its session's own token.
        .layer(CsrfLayer::new())
        .layer(layer)
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
        .with_state(Shared { sessions, cookie })
}

/// Either who is signed in and what their session holds, or the form to sign in.
async fn home(State(shared): State<Shared>, session: Session) -> Result<Response, SessionError> {
    if session.subject()?.is_none() {
        return Ok(pages::sign_in(session.arrival(), None).into_response());
    }
    let mut fields = Vec::new();
    for (name, label) in FIELDS {
        fields.push((name, label, session.get::<String>(name)?.unwrap_or_default()));
    }
    let mut devices = session.devices(None).await?.items;
    devices.sort_by_key(|device| !device.current);
    let page = pages::Home {
        // Shown once: what is taken is gone when the response leaves.
        messages: session.take_flash()?,
        csrf: session.csrf_token()?,
        devices,
        details: session.details()?,
        fields,
        now: shared.sessions.now().as_millis(),
        grace: shared.sessions.policy().rotation_grace,
    };
    Ok(page.into_response())
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// Check a password here. A token from before this is no good from here on.
async fn login(
    session: Session,
    headers: HeaderMap,
    Form(form): Form<Login>,
) -> Result<Response, SessionError> {
    let name = form.name.trim();
    if !(1..=MAXIMUM_NAME).contains(&name.chars().count()) || name.contains(char::is_control) {
        let page = pages::sign_in(Arrival::Absent, Some("A name has 1 to 40 characters."));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    let agent: String = agent.unwrap_or_default().chars().take(MAXIMUM_AGENT).collect();
    session.set(AGENT, &agent)?;
    session.authenticate(&format!("{PREFIX}{name}")).await?;
    Ok(Redirect::to("/").into_response())
}

#[derive(Deserialize)]
struct Change {
    field: String,
    text: String,
    slowly: Option<String>,
}

/// Sets the one field, and leaves the others as they are, or as another tab has made them meanwhile.
async fn change(
    LoggedIn { session, .. }: LoggedIn,
    Form(form): Form<Change>,
) -> Result<Response, SessionError> {
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
        // The session was read before this and is saved after it; what others save meanwhile stays.
        tokio::time::sleep(SLOWLY).await;
    }
    Ok(Redirect::to("/").into_response())
}

async fn renew(LoggedIn { session, .. }: LoggedIn) -> Result<Redirect, SessionError> {
    session.flash("The token was renewed. Your other tabs take the new one with their next request.")?;
    session.rotate().await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Ending {
    reference: String,
}

async fn end_one(
    LoggedIn { session, .. }: LoggedIn,
    Form(form): Form<Ending>,
) -> Result<Redirect, SessionError> {
    let was_there = session.revoke(&form.reference).await?;
    session.flash(if was_there {
        "That device is logged out: its next request is refused."
    } else {
        "That device was logged out already."
    })?;
    Ok(Redirect::to("/"))
}

async fn end_others(LoggedIn { session, .. }: LoggedIn) -> Result<Redirect, SessionError> {
    let ended = session.revoke_others().await?;
    session.flash(&format!("Logged out everywhere else: sessions ended: {ended}."))?;
    Ok(Redirect::to("/"))
}

/// Ends the session, and shows what has become of its token.
async fn logout(
    State(shared): State<Shared>,
    LoggedIn { session, .. }: LoggedIn,
    headers: HeaderMap,
) -> Result<Response, SessionError> {
    session.destroy().await?;
    let mut response = Redirect::to("/old").into_response();
    // For the demonstration only. It is dead, so it may be kept and shown; never do this with one that lives.
    if let Some(token) = read_cookie(&headers, shared.cookie.name()) {
        let cookie = format!(
            "{OLD_COOKIE}={token}; Path=/old; Max-Age={OLD_COOKIE_SECONDS}; HttpOnly; SameSite=Strict"
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

/// Shows the token of before the logout once more, and what is answered.
async fn old(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, SessionError> {
    let Some(token) = read_cookie(&headers, OLD_COOKIE) else {
        return Ok(Redirect::to("/").into_response());
    };
    match shared.sessions.open(token).await {
        Err(error) if error.is_not_logged_in() => {
            Ok(pages::old(token, error.kind().code(), &error.to_string()).into_response())
        }
        // An outage says nothing of a token.
        Err(error) => Err(error),
        // Somebody has put another token there.
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

/// The answer with a file that is built in.
fn file(kind: &'static str, text: &'static str) -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, kind)], text)
}

/// What every answer says to the browser: take nothing from elsewhere, run no inline script, be in nobody's frame.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // To other sites nothing. With `no-referrer`, browsers would leave `Origin` out of our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page, escaped as it was written.
impl IntoResponse for pages::Page {
    fn into_response(self) -> Response {
        Html(self.0.into_string()).into_response()
    }
}
