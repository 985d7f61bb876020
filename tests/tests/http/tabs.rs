//! Requests at once, with old tokens and new ones.

use std::time::Duration;

use axum::http::header;
use tessera::http::SessionLayer;

use crate::fixture::Fixture;

fn renewing() -> Fixture {
    let renewing = |sessions: tessera::SessionsBuilder| {
        sessions.policy(|policy| policy.renew_interval = Some(Duration::from_secs(60)))
    };
    Fixture::with(renewing, SessionLayer::new)
}

#[tokio::test]
async fn two_tabs_that_change_different_fields_lose_nothing() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    let (left, right) = tokio::join!(
        fixture.call("POST", "/set/a/left", Some(&token)),
        fixture.call("POST", "/set/b/right", Some(&token))
    );
    assert!(left.status.is_success() && right.status.is_success());
    assert_eq!(fixture.call("GET", "/get/a", Some(&token)).await.body, "left");
    assert_eq!(fixture.call("GET", "/get/b", Some(&token)).await.body, "right");
}

#[tokio::test]
async fn a_renewal_is_due_after_its_interval_and_both_tabs_stay_logged_in() {
    let fixture = renewing();
    let old = fixture.login("alice").await;
    fixture.clock.advance(Duration::from_millis(59_999));
    assert!(fixture.call("GET", "/me", Some(&old)).await.cookies().is_empty());
    fixture.clock.advance(Duration::from_millis(1));
    let new = fixture.call("GET", "/me", Some(&old)).await.token();
    assert_ne!(new, old);
    // The other tab has not got the new one yet: it is handed it again, and neither is logged out.
    let other = fixture.call("GET", "/me", Some(&old)).await;
    assert_eq!(other.body, "alice");
    assert_eq!(fixture.call("GET", "/me", Some(&new)).await.body, "alice");
    fixture.clock.advance(Duration::from_millis(9_999));
    assert_eq!(fixture.call("GET", "/me", Some(&old)).await.body, "alice");
    fixture.clock.advance(Duration::from_millis(1));
    fixture
        .call("GET", "/me", Some(&old))
        .await
        .refused(401, "reused");
    assert_eq!(fixture.call("GET", "/me", Some(&new)).await.body, "alice");
}

#[tokio::test]
async fn an_answer_that_was_lost_logs_nobody_out() {
    let fixture = renewing();
    let token = fixture.login("alice").await;
    fixture.clock.advance(Duration::from_secs(60));
    // The response with the new token never arrives; an hour later the browser comes with the old one.
    for _ in 0..3 {
        fixture.call("GET", "/me", Some(&token)).await;
        fixture.clock.advance(Duration::from_secs(600));
    }
    let answer = fixture.call("GET", "/me", Some(&token)).await;
    assert_eq!(answer.body, "alice");
    assert_eq!(
        fixture.call("GET", "/me", Some(&answer.token())).await.body,
        "alice"
    );
}

#[tokio::test]
async fn reading_slides_the_idle_timeout_to_the_millisecond() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    let idle = Duration::from_secs(30 * 60);
    for _ in 0..3 {
        fixture.clock.advance(idle - Duration::from_millis(1));
        assert_eq!(fixture.call("GET", "/me", Some(&token)).await.body, "alice");
    }
    fixture.clock.advance(idle);
    let answer = fixture.call("GET", "/me", Some(&token)).await;
    answer.refused(401, "missing");
    assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn constant_use_does_not_outlive_the_absolute_timeout() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    for _ in 0..95 {
        fixture.clock.advance(Duration::from_secs(15 * 60));
        assert_eq!(fixture.call("GET", "/me", Some(&token)).await.body, "alice");
    }
    fixture
        .clock
        .advance(Duration::from_secs(15 * 60) - Duration::from_millis(1));
    assert_eq!(fixture.call("GET", "/me", Some(&token)).await.body, "alice");
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(fixture.call("GET", "/me", Some(&token)).await.status, 401);
}
