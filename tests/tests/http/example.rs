//! The examples of the library: that they work, and that the README shows the first as it is.

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../host/examples/axum.rs"]
mod axum_example;
#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../host/examples/bearer.rs"]
mod bearer;
#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../host/examples/csrf_form.rs"]
mod csrf_form;
#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../../host/examples/step_up.rs"]
mod step_up;

use std::fs;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};

use crate::fixture::Fixture;

#[tokio::test]
async fn the_example_counts_logs_in_and_logs_out() {
    let fixture = Fixture::new();
    let app = axum_example::app(fixture.sessions.clone());
    let fixture = Fixture { app, ..fixture };
    let call = async |method: &str, path: &str, cookie: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, cookie);
        fixture.send(request.body(Body::empty()).unwrap()).await
    };
    let pair = |answer: &crate::fixture::Answer| answer.cookies()[0].split_once(';').unwrap().0.to_owned();
    let first = call("GET", "/", "").await;
    assert_eq!(first.body, "1 visits");
    let visitor = pair(&first);
    assert_eq!(call("GET", "/", &visitor).await.body, "2 visits");
    let alice = pair(&call("POST", "/login/alice", &visitor).await);
    assert_eq!(call("GET", "/me", &alice).await.body, "alice");
    assert_eq!(call("GET", "/me", &visitor).await.status, 401);
    call("POST", "/logout", &alice).await;
    assert_eq!(call("GET", "/me", &alice).await.status, 401);
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let example = fs::read_to_string(root.join("host/examples/axum.rs")).unwrap();
    let (_, app) = example.split_once("fn app").unwrap();
    assert!(
        readme.contains(&format!("fn app{app}")),
        "README.md shows another example"
    );
}

/// The pair of name and value that a browser sends back.
fn cookie(answer: &crate::fixture::Answer) -> String {
    answer.cookies()[0].split_once(';').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_payment_needs_a_recent_login_and_the_basket_outlives_the_confirmation() {
    let fixture = Fixture::new();
    let app = step_up::app(fixture.sessions.clone());
    let fixture = Fixture { app, ..fixture };
    let call = async |method: &str, path: &str, cookie: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, cookie);
        fixture.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(call("POST", "/pay", "").await.status, 401);
    let alice = cookie(&call("POST", "/login", "").await);
    call("POST", "/basket", &alice).await;
    fixture.clock.advance(Duration::from_secs(6 * 60));
    assert_eq!(call("POST", "/pay", &alice).await.status, 403);
    let confirmed = cookie(&call("POST", "/confirm", &alice).await);
    assert_eq!(call("GET", "/basket", &confirmed).await.body, "a book");
    assert_eq!(call("POST", "/pay", &confirmed).await.body, "paid");
    assert_eq!(call("GET", "/basket", &confirmed).await.body, "empty");
    assert_eq!(
        call("POST", "/pay", &alice).await.status,
        401,
        "the old token ended"
    );
}

#[tokio::test]
async fn a_form_without_the_token_of_its_session_changes_nothing() {
    let fixture = Fixture::new();
    let app = csrf_form::app(fixture.sessions.clone());
    let fixture = Fixture { app, ..fixture };
    let call = async |method: &str, cookie: &str, body: &str| {
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        fixture
            .send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    };
    let first = call("GET", "", "").await;
    let visitor = cookie(&first);
    let (_, token) = first.body.split_once("name=csrf_token value=").unwrap();
    let (token, _) = token.split_once('>').unwrap();
    assert_eq!(call("POST", &visitor, "colour=red").await.status, 403);
    let other = cookie(&call("GET", "", "").await);
    let form = format!("colour=red&csrf_token={token}");
    assert_eq!(call("POST", &other, &form).await.status, 403);
    assert_eq!(call("POST", &visitor, &form).await.status, 303);
    assert!(call("GET", &visitor, "").await.body.contains("colour: red"));
    assert!(call("GET", &other, "").await.body.contains("colour: none"));
}

#[tokio::test]
async fn a_bearer_token_comes_in_a_header_and_no_cookie_is_set_or_read() {
    let fixture = Fixture::new();
    let app = bearer::app(fixture.sessions.clone());
    let fixture = Fixture { app, ..fixture };
    let call = async |method: &str, path: &str, name: header::HeaderName, value: &str| {
        let request = Request::builder().method(method).uri(path).header(name, value);
        fixture.send(request.body(Body::empty()).unwrap()).await
    };
    let login = call("POST", "/login", header::ACCEPT, "*/*").await;
    assert!(login.headers.get(header::SET_COOKIE).is_none());
    let token = login.headers["x-session-token"].to_str().unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(
        call("GET", "/me", header::AUTHORIZATION, &bearer).await.body,
        "service-7"
    );
    let cookie = format!("__Host-tessera={token}");
    assert_eq!(call("GET", "/me", header::COOKIE, &cookie).await.status, 401);
    call("POST", "/logout", header::AUTHORIZATION, &bearer).await;
    assert_eq!(
        call("GET", "/me", header::AUTHORIZATION, &bearer).await.status,
        401
    );
}
