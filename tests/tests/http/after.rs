//! What a session is after its end, and after the response.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tessera::SessionError;
use tessera::http::{Session, SessionLayer};

use crate::fixture::{COOKIE, Fixture};

/// A fixture with these handlers beside its own.
fn with(fixture: Fixture, routes: Router) -> Fixture {
    let routes = routes.layer(SessionLayer::new(fixture.sessions.clone()));
    let app = fixture.app.clone().merge(routes);
    Fixture { app, ..fixture }
}

async fn leave_with_a_message(session: Session) -> Result<String, SessionError> {
    session.set("basket", "full")?;
    session.destroy().await?;
    session.flash("goodbye")?;
    let (subject, fields) = (session.subject()?, session.entries_json()?);
    assert_eq!((subject, session.csrf_token()?), (None, String::new()));
    assert!(!fields.contains("basket") && session.token().is_none());
    Ok("left".into())
}

async fn change_who_it_is(session: Session) -> Result<(), SessionError> {
    session.destroy().await?;
    session.set("role", "guest")?;
    session.authenticate("bob").await
}

#[tokio::test]
async fn a_message_after_a_logout_stands_in_a_new_session() {
    let fixture = with(
        Fixture::new(),
        Router::new().route("/leave", post(leave_with_a_message)),
    );
    let alice = fixture.login("alice").await;
    fixture.call("POST", "/set/role/admin", Some(&alice)).await;
    let left = fixture.call("POST", "/leave", Some(&alice)).await;
    assert_eq!(left.body, "left", "{left:?}");
    let visitor = left.token();
    // The old session has ended, and nothing of it is in the new one.
    fixture
        .call("GET", "/me", Some(&alice))
        .await
        .refused(401, "missing");
    fixture
        .call("GET", "/me", Some(&visitor))
        .await
        .refused(401, "token-absent");
    assert_eq!(
        fixture.call("GET", "/get/role", Some(&visitor)).await.body,
        "nothing"
    );
    assert_eq!(
        fixture.call("GET", "/get/basket", Some(&visitor)).await.body,
        "nothing"
    );
    assert_eq!(
        fixture.call("GET", "/messages", Some(&visitor)).await.body,
        "goodbye"
    );
}

#[tokio::test]
async fn a_login_after_a_logout_is_another_session() {
    let fixture = with(
        Fixture::new(),
        Router::new().route("/change", post(change_who_it_is)),
    );
    let alice = fixture.login("alice").await;
    let bob = fixture.call("POST", "/change", Some(&alice)).await.token();
    fixture
        .call("GET", "/me", Some(&alice))
        .await
        .refused(401, "missing");
    assert_eq!(fixture.call("GET", "/me", Some(&bob)).await.body, "bob");
    assert_eq!(fixture.call("GET", "/get/role", Some(&bob)).await.body, "guest");
}

#[tokio::test]
async fn after_a_logout_alone_nothing_is_stored_and_the_cookie_is_removed() {
    let fixture = Fixture::new();
    let alice = fixture.login("alice").await;
    fixture.questions();
    let logout = fixture.call("POST", "/logout", Some(&alice)).await;
    assert_eq!(fixture.questions(), ["get", "get fresh", "delete"]);
    assert!(logout.cookies()[0].starts_with(&format!("{COOKIE}=; ")));
}

#[tokio::test]
async fn a_body_that_is_streamed_goes_on_reading_the_session() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    fixture.call("POST", "/set/role/admin", Some(&token)).await;
    fixture.call("GET", "/shelve", Some(&token)).await;
    // What a body that is still written has of its request.
    let session = fixture.shelf.take();
    assert_eq!(session.get::<String>("role").unwrap().as_deref(), Some("admin"));
    assert_eq!(session.subject().unwrap().as_deref(), Some("alice"));
    assert!(session.entries_json().unwrap().contains("admin"));
    assert_eq!(session.details().unwrap().status, tessera::Status::Live);
    assert!(session.authenticated_within(Duration::from_secs(300)).unwrap());
    assert!(!session.csrf_token().unwrap().is_empty());
    // Whether it lives is another question, and has another answer.
    let is_current = async || {
        let devices = session.devices(None).await.unwrap();
        devices.items.iter().any(|device| device.current)
    };
    assert!(is_current().await);
    fixture.call("POST", "/logout", Some(&token)).await;
    assert!(!is_current().await);
}

#[tokio::test]
async fn a_handler_that_goes_on_has_the_token_that_its_client_has() {
    let fixture = Fixture::new();
    // As it came.
    let token = fixture.login("alice").await;
    fixture.call("GET", "/shelve", Some(&token)).await;
    let kept = fixture.shelf.take().token().unwrap();
    assert_eq!(kept, token);
    // It shows what comes later: a change, and the end.
    fixture.call("POST", "/set/role/admin", Some(&token)).await;
    let later = fixture.sessions.open(&kept).await.unwrap();
    assert_eq!(later.get::<String>("role").unwrap().as_deref(), Some("admin"));
    fixture.call("POST", "/logout", Some(&token)).await;
    let ended = fixture.sessions.open(&kept).await;
    assert!(matches!(ended, Err(SessionError::Missing)));
    // As this request has made it.
    let answer = fixture.call("POST", "/login-and-shelve/bob", None).await;
    assert_eq!(fixture.shelf.take().token().unwrap(), answer.token());
    // None, where none was stored, or the one that came opens nothing.
    for token in [None, Some(token.as_str()), Some("nonsense")] {
        fixture.call("GET", "/shelve", token).await;
        assert_eq!(fixture.shelf.take().token(), None);
    }
}
