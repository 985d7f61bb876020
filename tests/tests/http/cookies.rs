//! The cookie: its attributes, and those that no browser would keep.

use std::time::Duration;

use axum::http::header;
use tessera::http::{Cookie, CookieError, Lifetime, SameSite, SessionLayer};

use crate::fixture::Fixture;

#[tokio::test]
async fn the_cookie_is_safe_by_default_and_ends_with_the_session() {
    let fixture = Fixture::new();
    let answer = fixture.call("POST", "/login/alice", None).await;
    let (_, attributes) = answer.cookies()[0].split_once("; ").unwrap();
    assert_eq!(
        attributes,
        "Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax"
    );
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers[header::VARY], "cookie");
    // A renewed token lives no longer than its session.
    fixture.clock.advance(Duration::from_secs(20 * 60));
    let answer = fixture.call("POST", "/rotate", Some(&answer.token())).await;
    assert!(answer.cookies()[0].contains("; Max-Age=85200;"), "{answer:?}");
}

#[tokio::test]
async fn it_is_removed_with_the_attributes_it_was_set_with() {
    let cookie = Cookie::builder()
        .name("sid")
        .path("/shop")
        .domain("example.com")
        .same_site(SameSite::Strict);
    let cookie = cookie.build().unwrap();
    let fixture = Fixture::with(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).cookie(cookie),
    );
    let login = fixture.call("POST", "/login/alice", None).await;
    // Behind the one that removes what the host alone may have.
    let (pair, set) = login.cookies()[1].split_once("; ").unwrap();
    let request = axum::http::Request::post("/logout").header(header::COOKIE, pair);
    let logout = fixture
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(
        logout.cookies()[1..],
        [format!("sid=; {}", set.replace("Max-Age=86400", "Max-Age=0"))]
    );
}

#[tokio::test]
async fn a_browser_session_has_no_age() {
    let cookie = Cookie::builder()
        .lifetime(Lifetime::BrowserSession)
        .build()
        .unwrap();
    let fixture = Fixture::with(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).cookie(cookie),
    );
    let answer = fixture.call("POST", "/login/alice", None).await;
    assert!(!answer.cookies()[0].contains("Max-Age"));
    assert!(
        fixture
            .call("POST", "/logout", Some(&answer.token()))
            .await
            .cookies()[0]
            .contains("; Max-Age=0;")
    );
}

#[test]
fn what_browsers_reject_is_refused_at_construction() {
    let refused = [
        (Cookie::builder().domain("example.com"), CookieError::HostPrefix),
        (Cookie::builder().path("/shop"), CookieError::HostPrefix),
        (Cookie::builder().secure(false), CookieError::HostPrefix),
        (
            Cookie::builder().name("__hOsT-x").secure(false),
            CookieError::HostPrefix,
        ),
        (
            Cookie::builder().name("__Secure-x").secure(false),
            CookieError::SecurePrefix,
        ),
        (
            Cookie::builder()
                .name("x")
                .secure(false)
                .same_site(SameSite::None),
            CookieError::SameSiteNone,
        ),
        (Cookie::builder().name(""), CookieError::Name),
        (Cookie::builder().name("a b"), CookieError::Name),
        (Cookie::builder().name("a=b"), CookieError::Name),
        (Cookie::builder().name("x".repeat(1025)), CookieError::Name),
        (Cookie::builder().name("x").path("shop"), CookieError::Path),
        (Cookie::builder().name("x").path("/;HttpOnly"), CookieError::Path),
        (
            Cookie::builder().name("x").path("/\r\nSet-Cookie: y=z"),
            CookieError::Path,
        ),
        (
            Cookie::builder().name("x").domain("example.com; Path=/"),
            CookieError::Domain,
        ),
        (Cookie::builder().name("x").domain(""), CookieError::Domain),
    ];
    for (builder, error) in refused {
        assert_eq!(builder.clone().build(), Err(error), "{builder:?}");
    }
    for builder in [
        Cookie::builder(),
        Cookie::builder().name("x").secure(false),
        Cookie::builder()
            .name("__Secure-x")
            .domain("example.com")
            .path("/shop"),
        Cookie::builder().same_site(SameSite::None),
        Cookie::builder().name("x".repeat(1024)),
    ] {
        assert!(builder.clone().build().is_ok(), "{builder:?}");
    }
}

#[tokio::test]
async fn name_and_value_together_are_at_most_4096_bytes() {
    // A JWT can be made as long as one likes, by a field that it carries.
    let fixture = |name: String| {
        let jwt = |sessions: tessera::SessionsBuilder| {
            sessions.policy(|policy| {
                policy.token_format = tessera::TokenFormat::Jwt;
                (policy.issuer, policy.audience) = ("i".into(), "a".into());
                policy.token_fields = vec!["f".into()];
            })
        };
        let cookie = Cookie::builder().name(name).build().unwrap();
        Fixture::with(jwt, |sessions| SessionLayer::new(sessions).cookie(cookie))
    };
    let path = format!("/login-with/alice/f/{}", "v".repeat(2200));
    let probe = fixture("p".into()).call("POST", &path, None).await;
    let token = probe.cookies()[0].split_once(';').unwrap().0.len() - "p=".len();
    let fits = fixture("x".repeat(4096 - token)).call("POST", &path, None).await;
    assert!(fits.status.is_success() && fits.cookies().len() == 1, "{fits:?}");
    let beyond = fixture("x".repeat(4097 - token)).call("POST", &path, None).await;
    beyond.refused(500, "other");
    assert!(beyond.cookies().is_empty());
}

#[tokio::test]
async fn plain_http_needs_the_switch_that_says_so() {
    let cookie = Cookie::insecure_for_local_development();
    let fixture = Fixture::with(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).cookie(cookie),
    );
    let answer = fixture.call("POST", "/login/alice", None).await;
    let cookie = answer.cookies()[0];
    assert!(cookie.starts_with("tessera=") && !cookie.contains("Secure") && cookie.contains("HttpOnly"));
}
