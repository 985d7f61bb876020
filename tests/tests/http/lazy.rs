//! What a request costs, and what becomes of a session that nobody asked for, or that failed.

use axum::http::header;
use tessera::SessionError;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_handler_that_takes_no_session_causes_no_access() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    fixture.questions();
    let answer = fixture.call("GET", "/plain", Some(&token)).await;
    assert_eq!(answer.body, "plain");
    assert!(fixture.questions().is_empty() && answer.cookies().is_empty());
    assert!(
        !answer.headers.contains_key(header::VARY) && !answer.headers.contains_key(header::CACHE_CONTROL)
    );
}

#[tokio::test]
async fn without_a_token_nothing_is_stored_unless_something_is_set() {
    let fixture = Fixture::new();
    let answer = fixture.call("GET", "/get/theme", None).await;
    assert_eq!(answer.body, "nothing");
    assert!(fixture.questions().is_empty() && answer.cookies().is_empty());
    let answer = fixture.call("POST", "/set/theme/dark", None).await;
    assert_eq!(fixture.questions(), ["insert"]);
    assert_eq!(
        fixture
            .call("GET", "/get/theme", Some(&answer.token()))
            .await
            .body,
        "dark"
    );
}

#[tokio::test]
async fn reading_sets_no_cookie_and_writes_nothing() {
    let fixture = Fixture::new();
    let token = fixture.call("POST", "/set/theme/dark", None).await.token();
    fixture.questions();
    let answer = fixture.call("GET", "/get/theme", Some(&token)).await;
    assert_eq!(fixture.questions(), ["get"]);
    assert!(answer.cookies().is_empty());
}

#[tokio::test]
async fn a_change_of_a_live_session_is_saved_and_needs_no_new_cookie() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    let answer = fixture.call("POST", "/set/theme/dark", Some(&token)).await;
    assert!(answer.status.is_success() && answer.cookies().is_empty());
    assert_eq!(fixture.call("GET", "/get/theme", Some(&token)).await.body, "dark");
}

#[tokio::test]
async fn an_unknown_or_malformed_token_never_becomes_a_session() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    fixture.call("POST", "/logout", Some(&token)).await;
    for (bad, why) in [("nonsense", "token-malformed"), (token.as_str(), "missing")] {
        assert_eq!(fixture.call("GET", "/arrival", Some(bad)).await.body, why);
        assert_eq!(fixture.call("GET", "/maybe", Some(bad)).await.body, "nobody");
        let answer = fixture.call("POST", "/set/theme/dark", Some(bad)).await;
        assert_ne!(answer.token(), bad);
        assert_eq!(fixture.call("GET", "/arrival", Some(bad)).await.body, why);
    }
}

#[tokio::test]
async fn what_a_failed_handler_has_set_is_not_saved() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    assert_eq!(
        fixture
            .call("POST", "/fail/theme/dark", Some(&token))
            .await
            .status,
        502
    );
    assert_eq!(
        fixture.call("GET", "/get/theme", Some(&token)).await.body,
        "nothing"
    );
    assert!(
        fixture
            .call("POST", "/fail/theme/dark", None)
            .await
            .cookies()
            .is_empty()
    );
}

#[tokio::test]
async fn a_login_that_was_done_hands_out_its_token_though_the_handler_failed() {
    let fixture = Fixture::new();
    let before = fixture.login("alice").await;
    let answer = fixture.call("POST", "/login-and-fail/bob", Some(&before)).await;
    assert_eq!(answer.status, 500);
    assert_eq!(
        fixture.call("GET", "/me", Some(&answer.token())).await.body,
        "bob"
    );
}

#[tokio::test]
async fn once_the_response_has_left_every_change_of_the_session_is_refused() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    fixture.call("GET", "/shelve", Some(&token)).await;
    let session = fixture.shelf.take();
    assert!(matches!(session.set("late", "x"), Err(SessionError::Closed)));
    assert!(matches!(session.remove("late"), Err(SessionError::Closed)));
    assert!(matches!(session.pop::<String>("late"), Err(SessionError::Closed)));
    assert!(matches!(session.clear(), Err(SessionError::Closed)));
    assert!(matches!(session.flash("late"), Err(SessionError::Closed)));
    assert!(matches!(session.take_flash(), Err(SessionError::Closed)));
    assert!(matches!(session.rotate().await, Err(SessionError::Closed)));
    assert!(matches!(session.revoke("x").await, Err(SessionError::Closed)));
    assert!(matches!(session.revoke_others().await, Err(SessionError::Closed)));
    assert!(matches!(session.save().await, Err(SessionError::Closed)));
    assert!(matches!(
        session.authenticate("bob").await,
        Err(SessionError::Closed)
    ));
    assert!(matches!(session.destroy().await, Err(SessionError::Closed)));
    assert_eq!(fixture.call("GET", "/me", Some(&token)).await.body, "alice");
}

#[tokio::test]
async fn an_outage_is_503_and_never_a_visitor_who_is_not_logged_in() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    for path in ["/maybe", "/me", "/get/theme"] {
        fixture.fail("get", "unavailable");
        let answer = fixture.call("GET", path, Some(&token)).await;
        answer.refused(503, "unavailable");
        assert!(answer.headers.contains_key(header::RETRY_AFTER) && answer.cookies().is_empty());
    }
    fixture.fail("replace", "unavailable");
    fixture
        .call("POST", "/set/theme/dark", Some(&token))
        .await
        .refused(503, "outcome-unknown");
    assert_eq!(
        fixture.call("GET", "/get/theme", Some(&token)).await.body,
        "nothing"
    );
}

#[tokio::test]
async fn a_save_that_comes_after_a_logout_is_told_so_and_brings_nothing_back() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    let (clock, sessions, ended) = (fixture.clock.clone(), fixture.sessions.clone(), token.clone());
    // Another request ends the session while this handler runs.
    let meanwhile = axum::routing::post(async move |session: tessera::http::Session| {
        session.set("theme", "dark").unwrap();
        sessions.open(&ended).await.unwrap().destroy().await.unwrap();
        clock.advance(std::time::Duration::from_millis(1));
    });
    let app = axum::Router::new().route("/slow", meanwhile);
    let app = app.layer(tessera::http::SessionLayer::new(fixture.sessions.clone()));
    let fixture = Fixture { app, ..fixture };
    fixture
        .call("POST", "/slow", Some(&token))
        .await
        .refused(401, "missing");
    assert!(fixture.sessions.open(&token).await.is_err());
}

#[tokio::test]
async fn a_login_that_fails_stores_nothing_of_what_was_set_for_it() {
    let fixture = Fixture::with(
        |sessions| {
            sessions.policy(|policy| {
                (policy.sessions_per_subject, policy.cap_rule) = (Some(1), tessera::CapRule::Refuse);
            })
        },
        tessera::http::SessionLayer::new,
    );
    let visitor = fixture.call("POST", "/set/basket/full", None).await.token();
    fixture.login("alice").await;
    fixture.clock.advance(std::time::Duration::from_millis(1));
    let path = "/login-with/alice/role/admin";
    // Told as what it is, and no token handed out.
    let refused = fixture.call("POST", path, None).await;
    refused.refused(409, "too-many-sessions");
    assert!(refused.cookies().is_empty());
    let path = format!("/login-with/{}/role/admin", "x".repeat(256));
    for token in [None, Some(visitor.as_str())] {
        let refused = fixture.call("POST", &path, token).await;
        refused.refused(422, "invalid-argument");
        assert!(refused.cookies().is_empty());
    }
    assert_eq!(
        fixture.call("GET", "/get/role", Some(&visitor)).await.body,
        "nothing"
    );
    assert_eq!(
        fixture.call("GET", "/get/basket", Some(&visitor)).await.body,
        "full"
    );
}

#[tokio::test]
async fn a_renewal_that_fails_is_no_reason_to_refuse_what_was_served() {
    let fixture = Fixture::with(
        |sessions| sessions.policy(|policy| policy.renew_interval = Some(std::time::Duration::from_secs(60))),
        tessera::http::SessionLayer::new,
    );
    let token = fixture.login("alice").await;
    fixture.clock.advance(std::time::Duration::from_secs(60));
    fixture.fail("replace", "full");
    let answer = fixture.call("GET", "/me", Some(&token)).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "alice"));
    // The next one renews.
    assert_eq!(fixture.call("GET", "/me", Some(&token)).await.cookies().len(), 1);
}

#[tokio::test]
async fn a_jwt_is_made_anew_past_half_of_its_life_also_where_something_is_saved() {
    let jwt = |sessions: tessera::SessionsBuilder| {
        sessions.policy(|policy| {
            policy.token_format = tessera::TokenFormat::Jwt;
            (policy.issuer, policy.audience) = ("i".into(), "a".into());
        })
    };
    let fixture = Fixture::with(jwt, tessera::http::SessionLayer::new);
    let mut token = fixture.login("alice").await;
    for turn in 0..10 {
        fixture.clock.advance(std::time::Duration::from_secs(160));
        let path = if turn % 2 == 0 { "/set/n/x" } else { "/me" };
        let method = if turn % 2 == 0 { "POST" } else { "GET" };
        let answer = fixture.call(method, path, Some(&token)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        token = answer.token();
    }
}
