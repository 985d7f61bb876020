//! Requests at once, with old tokens and new ones.

use std::time::Duration;

use axum::http::header;
use tessera::http::SessionLayer;

use crate::world::World;

fn renewing() -> World {
    let renewing = |sessions: tessera::SessionsBuilder| {
        sessions.policy(|policy| policy.renew_interval = Some(Duration::from_secs(60)))
    };
    World::with(renewing, SessionLayer::new)
}

#[tokio::test]
async fn two_tabs_that_change_different_fields_lose_nothing() {
    let world = World::new();
    let token = world.login("alice").await;
    let (left, right) = tokio::join!(
        world.call("POST", "/set/a/left", Some(&token)),
        world.call("POST", "/set/b/right", Some(&token))
    );
    assert!(left.status.is_success() && right.status.is_success());
    assert_eq!(world.call("GET", "/get/a", Some(&token)).await.body, "left");
    assert_eq!(world.call("GET", "/get/b", Some(&token)).await.body, "right");
}

#[tokio::test]
async fn a_renewal_is_due_after_its_interval_and_both_tabs_stay_logged_in() {
    let world = renewing();
    let old = world.login("alice").await;
    world.clock.advance(Duration::from_millis(59_999));
    assert!(world.call("GET", "/me", Some(&old)).await.cookies().is_empty());
    world.clock.advance(Duration::from_millis(1));
    let new = world.call("GET", "/me", Some(&old)).await.token();
    assert_ne!(new, old);
    // The other tab has not got the new one yet: it is handed it again, and neither is logged out.
    let other = world.call("GET", "/me", Some(&old)).await;
    assert_eq!(other.body, "alice");
    assert_eq!(world.call("GET", "/me", Some(&new)).await.body, "alice");
    world.clock.advance(Duration::from_millis(9_999));
    assert_eq!(world.call("GET", "/me", Some(&old)).await.body, "alice");
    world.clock.advance(Duration::from_millis(1));
    world.call("GET", "/me", Some(&old)).await.refused(401, "reused");
    assert_eq!(world.call("GET", "/me", Some(&new)).await.body, "alice");
}

#[tokio::test]
async fn an_answer_that_was_lost_logs_nobody_out() {
    let world = renewing();
    let token = world.login("alice").await;
    world.clock.advance(Duration::from_secs(60));
    // The response with the new token never arrives; an hour later the browser comes with the old one.
    for _ in 0..3 {
        world.call("GET", "/me", Some(&token)).await;
        world.clock.advance(Duration::from_secs(600));
    }
    let answer = world.call("GET", "/me", Some(&token)).await;
    assert_eq!(answer.body, "alice");
    assert_eq!(
        world.call("GET", "/me", Some(&answer.token())).await.body,
        "alice"
    );
}

#[tokio::test]
async fn reading_slides_the_idle_timeout_to_the_millisecond() {
    let world = World::new();
    let token = world.login("alice").await;
    let idle = Duration::from_secs(30 * 60);
    for _ in 0..3 {
        world.clock.advance(idle - Duration::from_millis(1));
        assert_eq!(world.call("GET", "/me", Some(&token)).await.body, "alice");
    }
    world.clock.advance(idle);
    let answer = world.call("GET", "/me", Some(&token)).await;
    answer.refused(401, "missing");
    assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn constant_use_does_not_outlive_the_absolute_timeout() {
    let world = World::new();
    let token = world.login("alice").await;
    for _ in 0..95 {
        world.clock.advance(Duration::from_secs(15 * 60));
        assert_eq!(world.call("GET", "/me", Some(&token)).await.body, "alice");
    }
    world
        .clock
        .advance(Duration::from_secs(15 * 60) - Duration::from_millis(1));
    assert_eq!(world.call("GET", "/me", Some(&token)).await.body, "alice");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.call("GET", "/me", Some(&token)).await.status, 401);
}
