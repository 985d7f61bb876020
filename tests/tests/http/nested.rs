//! Session layers around each other, as nested routers have them.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use tessera::SessionError;
use tessera::http::{Cookie, LoggedIn, Session, SessionLayer, TokenTransport};

use crate::fixture::{Answer, COOKIE, Fixture};

const INNER: &str = "__Host-inner";

fn named(name: &str) -> Cookie {
    Cookie::builder().name(name).build().unwrap()
}

async fn login(session: Session) -> Result<(), SessionError> {
    session.set("role", "admin")?;
    session.authenticate("alice").await
}

async fn me(session: Session) -> Result<String, SessionError> {
    let role = session.get::<String>("role")?.unwrap_or_default();
    Ok(format!("{}/{role}", session.subject()?.unwrap_or_default()))
}

/// Takes the session between the two layers, and counts there.
async fn count(session: Session, request: Request, next: Next) -> Result<Response, SessionError> {
    let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
    session.set("visits", &visits)?;
    Ok(next.run(request).await)
}

async fn visits(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<u32>("visits")?.unwrap_or(0).to_string())
}

/// An application with a router, with this layer, in another router, with that.
fn nested(fixture: Fixture, inner: SessionLayer, outer: SessionLayer) -> Fixture {
    let routes = || {
        Router::new()
            .route("/login", post(login))
            .route("/me", get(me))
            .route("/visits", get(visits))
            .route("/only", get(async |login: LoggedIn| login.subject))
    };
    let app = routes().nest("/inner", routes().layer(inner));
    let app = app.layer(from_fn(count)).layer(outer);
    Fixture { app, ..fixture }
}

async fn send(fixture: &Fixture, method: &str, path: &str, cookie: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::COOKIE, cookie);
    fixture.send(request.body(Body::empty()).unwrap()).await
}

/// The pair of each cookie that was set, as a browser sends them back.
fn pairs(answer: &Answer) -> Vec<String> {
    let cookies = answer.cookies();
    let pairs = cookies
        .iter()
        .map(|cookie| cookie.split_once(';').unwrap().0.to_owned());
    pairs.collect()
}

#[tokio::test]
async fn two_layers_with_one_engine_and_one_cookie_have_one_session() {
    let fixture = Fixture::new();
    let layer = SessionLayer::new(fixture.sessions.clone());
    let fixture = nested(fixture, layer.clone(), layer);
    let login = send(&fixture, "POST", "/inner/login", "").await;
    // One token, which has what was set between the layers and inside of both.
    let token = login.token();
    let cookie = format!("{COOKIE}={token}");
    assert_eq!(
        send(&fixture, "GET", "/inner/me", &cookie).await.body,
        "alice/admin"
    );
    assert_eq!(send(&fixture, "GET", "/me", &cookie).await.body, "alice/admin");
    assert_eq!(send(&fixture, "GET", "/inner/visits", &cookie).await.body, "4");
    // The session was read once for a request, and saved once.
    fixture.questions();
    send(&fixture, "GET", "/inner/visits", &cookie).await;
    assert_eq!(fixture.questions(), ["get", "replace"]);
}

#[tokio::test]
async fn an_inner_layer_that_takes_part_has_its_own_login_path_or_the_outer_one_s() {
    let location = async |inner: Option<&str>| {
        let fixture = Fixture::new();
        let layer = SessionLayer::new(fixture.sessions.clone());
        let own = inner.map_or(layer.clone(), |path| layer.clone().login_path(path));
        let fixture = nested(fixture, own, layer.login_path("/outer"));
        let request = Request::get("/inner/only").header(header::ACCEPT, "text/html");
        let answer = fixture.send(request.body(Body::empty()).unwrap()).await;
        let location = answer.headers[header::LOCATION].to_str().unwrap();
        location.split('?').next().unwrap().to_owned()
    };
    assert_eq!(location(Some("/own")).await, "/own");
    assert_eq!(location(None).await, "/outer");
}

#[tokio::test]
async fn two_layers_with_other_cookies_or_other_engines_have_a_session_each() {
    for other in [false, true] {
        let fixture = Fixture::new();
        let engine = if other {
            Fixture::new().sessions
        } else {
            fixture.sessions.clone()
        };
        let inner = SessionLayer::new(engine).cookie(named(INNER));
        let outer = SessionLayer::new(fixture.sessions.clone());
        let fixture = nested(fixture, inner, outer);
        let login = pairs(&send(&fixture, "POST", "/inner/login", "").await);
        assert_eq!(login.len(), 2, "{login:?}");
        let both = login.join("; ");
        assert_eq!(
            send(&fixture, "GET", "/inner/me", &both).await.body,
            "alice/admin"
        );
        // The session between the layers and outside of the inner one is the outer one's.
        assert_eq!(send(&fixture, "GET", "/me", &both).await.body, "/");
        assert_eq!(send(&fixture, "GET", "/visits", &both).await.body, "4");
        assert_eq!(send(&fixture, "GET", "/inner/visits", &both).await.body, "0");
    }
}

#[tokio::test]
async fn a_third_layer_takes_part_in_the_first_ones_session_through_another_s() {
    let fixture = Fixture::new();
    let first = SessionLayer::new(fixture.sessions.clone());
    let second = first.clone().cookie(named(INNER));
    let routes = Router::new()
        .route("/login", post(login))
        .route("/me", get(me))
        .layer(first.clone())
        .layer(second)
        .layer(first);
    let fixture = Fixture {
        app: routes,
        ..fixture
    };
    let login = send(&fixture, "POST", "/login", "").await;
    let cookie = format!("{COOKIE}={}", login.token());
    assert_eq!(send(&fixture, "GET", "/me", &cookie).await.body, "alice/admin");
}

#[tokio::test]
async fn layers_that_share_a_cookie_or_a_header_and_are_not_the_same_are_refused() {
    let other = Fixture::new().sessions;
    let fixture = Fixture::new();
    let same = fixture.sessions.clone();
    let default = TokenTransport::Cookie(Cookie::default());
    let strict = Cookie::builder().same_site(tessera::http::SameSite::Strict);
    for (inner, outer) in [
        (SessionLayer::new(other.clone()), SessionLayer::new(same.clone())),
        (
            SessionLayer::new(same.clone()).cookie(strict.build().unwrap()),
            SessionLayer::new(same.clone()),
        ),
        (
            SessionLayer::new(same.clone()).transports([TokenTransport::Bearer, default.clone()]),
            SessionLayer::new(same.clone()),
        ),
        (
            SessionLayer::new(same.clone())
                .transports([TokenTransport::Cookie(named(INNER)), TokenTransport::Bearer]),
            SessionLayer::new(same.clone()).transports([default, TokenTransport::Bearer]),
        ),
    ] {
        let fixture = nested(Fixture::new(), inner, outer);
        send(&fixture, "POST", "/inner/login", "")
            .await
            .refused(500, "other");
        // Where only one of them is, it works.
        assert!(send(&fixture, "POST", "/login", "").await.status.is_success());
    }
}
