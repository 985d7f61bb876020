//! Login, logout, devices, step-up, and who is sent where.

use std::time::Duration;

use axum::http::header;
use tessera::http::SessionLayer;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_login_takes_a_new_token_and_the_old_one_fails_at_once() {
    let fixture = Fixture::new();
    let visitor = fixture.call("POST", "/set/basket/full", None).await.token();
    let answer = fixture.call("POST", "/login/alice", Some(&visitor)).await;
    let alice = answer.token();
    fixture
        .call("GET", "/me", Some(&visitor))
        .await
        .refused(401, "replaced");
    assert_eq!(fixture.call("GET", "/me", Some(&alice)).await.body, "alice");
    assert_eq!(
        fixture.call("GET", "/get/basket", Some(&alice)).await.body,
        "nothing"
    );
}

#[tokio::test]
async fn a_logout_removes_the_cookie_and_its_token_is_no_good() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    let answer = fixture.call("POST", "/logout", Some(&token)).await;
    assert!(answer.status.is_success());
    let removal = "__Host-tessera=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax";
    assert_eq!(answer.cookies(), [removal]);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    fixture
        .call("GET", "/me", Some(&token))
        .await
        .refused(401, "missing");
}

#[tokio::test]
async fn who_is_not_logged_in_is_told_401_or_sent_to_the_login_path() {
    let fixture = Fixture::new();
    let answer = fixture.call("GET", "/me", None).await;
    answer.refused(401, "token-absent");
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    // A session without a subject is no login.
    let visitor = fixture.call("POST", "/set/theme/dark", None).await.token();
    fixture
        .call("GET", "/me", Some(&visitor))
        .await
        .refused(401, "token-absent");

    let fixture = Fixture::with(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).login_path("/sign-in"),
    );
    let page = axum::http::Request::get("/me").header(header::ACCEPT, "text/html");
    let answer = fixture.send(page.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[header::LOCATION]),
        (303, &"/sign-in?return_to=%2Fme".parse().unwrap())
    );
    fixture.fail("get", "unavailable");
    let token = fixture.login("alice").await;
    fixture.fail("get", "unavailable");
    fixture
        .call("GET", "/me", Some(&token))
        .await
        .refused(503, "unavailable");
}

#[tokio::test]
async fn a_login_path_of_another_host_is_not_taken() {
    for path in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "",
        "/a\r\nb",
    ] {
        let fixture = Fixture::with(
            |sessions| sessions,
            |sessions| SessionLayer::new(sessions).login_path(path),
        );
        let page = axum::http::Request::get("/me").header(header::ACCEPT, "text/html");
        let answer = fixture.send(page.body(axum::body::Body::empty()).unwrap()).await;
        answer.refused(401, "token-absent");
    }
}

#[tokio::test]
async fn a_message_is_shown_once() {
    let fixture = Fixture::new();
    let token = fixture.call("POST", "/flash/saved", None).await.token();
    fixture.clock.advance(Duration::from_millis(1));
    fixture.call("POST", "/flash/twice", Some(&token)).await;
    assert_eq!(
        fixture.call("GET", "/messages", Some(&token)).await.body,
        "saved,twice"
    );
    assert_eq!(fixture.call("GET", "/messages", Some(&token)).await.body, "");
}

#[tokio::test]
async fn messages_of_two_requests_at_once_are_both_shown_and_there_are_at_most_sixteen() {
    let fixture = Fixture::new();
    let token = fixture.login("alice").await;
    let (one, two) = tokio::join!(
        fixture.call("POST", "/flash/one", Some(&token)),
        fixture.call("POST", "/flash/two", Some(&token))
    );
    assert!(one.status.is_success() && two.status.is_success());
    let shown = fixture.call("GET", "/messages", Some(&token)).await.body;
    let mut shown: Vec<&str> = shown.split(',').collect();
    shown.sort_unstable();
    assert_eq!(shown, ["one", "two"]);
    for n in 0..17 {
        fixture.clock.advance(Duration::from_millis(1));
        fixture.call("POST", &format!("/flash/m{n}"), Some(&token)).await;
    }
    let shown = fixture.call("GET", "/messages", Some(&token)).await.body;
    let wanted: Vec<String> = (1..17).map(|n| format!("m{n}")).collect();
    assert_eq!(shown, wanted.join(","));
}

#[tokio::test]
async fn devices_are_listed_and_ended_one_by_one_or_all_but_this() {
    let fixture = Fixture::new();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(fixture.login("alice").await);
    }
    let bob = fixture.login("bob").await;
    let listed = fixture.call("GET", "/devices", Some(&tokens[0])).await.body;
    let devices: Vec<&str> = listed.split(',').collect();
    assert_eq!(devices.len(), 3);
    assert_eq!(devices.iter().filter(|device| device.ends_with('*')).count(), 1);

    let other = devices.iter().find(|device| !device.ends_with('*')).unwrap();
    let path = format!("/revoke/{other}");
    // Nobody ends a session of somebody else.
    assert_eq!(fixture.call("POST", &path, Some(&bob)).await.body, "false");
    assert_eq!(fixture.call("POST", &path, Some(&tokens[0])).await.body, "true");
    let live = async |token: &String| fixture.call("GET", "/me", Some(token)).await.status.is_success();
    assert!(live(&tokens[0]).await && (live(&tokens[1]).await != live(&tokens[2]).await));

    assert_eq!(
        fixture
            .call("POST", "/revoke-others", Some(&tokens[0]))
            .await
            .body,
        "1"
    );
    assert!(live(&tokens[0]).await && !live(&tokens[1]).await && !live(&tokens[2]).await && live(&bob).await);
}

#[tokio::test]
async fn a_step_up_asks_for_a_login_of_the_last_minutes() {
    let fixture = Fixture::new();
    assert_eq!(fixture.call("GET", "/recent", None).await.body, "false");
    let token = fixture.login("alice").await;
    fixture.clock.advance(Duration::from_millis(299_999));
    assert_eq!(fixture.call("GET", "/recent", Some(&token)).await.body, "true");
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(fixture.call("GET", "/recent", Some(&token)).await.body, "false");
}
