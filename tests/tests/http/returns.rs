//! Who is sent to the login path, and where they come back to.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::response::Redirect;
use axum::routing::{any, get};
use tessera::http::{LoggedIn, RETURN_PARAMETER, ReturnTo, Session, SessionLayer};

use crate::fixture::{Answer, Fixture};

async fn only(LoggedIn { subject, .. }: LoggedIn) -> String {
    subject
}

async fn sign_in(session: Session, ReturnTo(path): ReturnTo) -> Redirect {
    session.authenticate("alice").await.unwrap();
    Redirect::to(&path)
}

/// Pages for who is logged in, also in a nested router whose layer is inside and outside of it.
fn fixture(login: &str) -> Fixture {
    let fixture = Fixture::new();
    let layer = SessionLayer::new(fixture.sessions.clone()).login_path(login);
    let pages = || Router::new().route("/only", any(only));
    let app = pages()
        .route("/sign-in", get(sign_in))
        .route("/", any(only))
        .fallback(only)
        .nest("/outside", pages())
        .layer(layer.clone())
        .nest("/inside", pages().layer(layer));
    Fixture { app, ..fixture }
}

async fn send(fixture: &Fixture, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    fixture.send(request.body(Body::empty()).unwrap()).await
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.headers[header::LOCATION].to_str().unwrap()
}

const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");

#[tokio::test]
async fn only_a_browser_that_goes_to_a_page_is_sent_to_the_login_path() {
    let fixture = fixture("/sign-in");
    for headers in [
        vec![("sec-fetch-mode", "navigate"), PAGE],
        vec![("sec-fetch-mode", "navigate")],
        vec![PAGE],
        vec![("accept", "application/xml, Text/HTML;level=1")],
    ] {
        for method in ["GET", "HEAD"] {
            let answer = send(&fixture, method, "/only", &headers).await;
            assert!(location(&answer).starts_with("/sign-in?"), "{headers:?}");
        }
        // A form that is sent: what is in it would be lost, or sent to the login.
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            send(&fixture, method, "/only", &headers)
                .await
                .refused(401, "token-absent");
        }
    }
    for headers in [
        vec![],
        vec![("accept", "*/*")],
        vec![("accept", "application/json")],
        vec![("accept", "text/*, text/htmlx")],
        // A script that fetches says so, whatever it accepts.
        vec![("sec-fetch-mode", "cors"), PAGE],
        vec![("sec-fetch-mode", "same-origin"), PAGE],
        vec![("sec-fetch-mode", "no-cors"), PAGE],
    ] {
        send(&fixture, "GET", "/only", &headers)
            .await
            .refused(401, "token-absent");
    }
}

#[tokio::test]
async fn a_login_leads_back_to_the_page_that_was_asked_for() {
    for path in [
        "/only",
        "/only?a=b&c=%2F%2Fd",
        "/?return_to=x",
        "/outside/only?x",
        "/inside/only?x",
    ] {
        let fixture = fixture("/sign-in");
        let answer = send(&fixture, "GET", path, &[PAGE]).await;
        let login = location(&answer).to_owned();
        assert!(
            login.starts_with(&format!("/sign-in?{RETURN_PARAMETER}=%2F")),
            "{login}"
        );
        let back = send(&fixture, "GET", &login, &[PAGE]).await;
        assert_eq!(location(&back), path);
    }
    let fixture = fixture("/sign-in?step=1#form");
    let answer = send(&fixture, "GET", "/only", &[PAGE]).await;
    assert_eq!(location(&answer), "/sign-in?step=1&return_to=%2Fonly#form");
}

#[tokio::test]
async fn a_login_leads_to_no_other_host() {
    let fixture = fixture("/sign-in");
    for text in [
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "%0D%0ASet-Cookie:%20a=b",
    ] {
        let path = format!("/sign-in?{RETURN_PARAMETER}={text}");
        assert_eq!(
            location(&send(&fixture, "GET", &path, &[PAGE]).await),
            "/",
            "{text}"
        );
    }
    // Nor does a page whose own path looks like another host, or is longer than any.
    for path in ["//evil.example/only", &format!("/only?{}", "x".repeat(2100))] {
        let answer = send(&fixture, "GET", path, &[PAGE]).await;
        assert_eq!(location(&answer), "/sign-in", "{path}");
    }
}
