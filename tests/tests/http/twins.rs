//! Several cookies of one name, as a browser sends them after a change of `Path` or `Domain`.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use tessera::http::{Cookie, CookieError, SessionLayer};

use tracing_subscriber::util::SubscriberInitExt as _;

use crate::fixture::{Answer, COOKIE, Fixture, forged};

/// Sends a request with these tokens, in this order.
async fn send(fixture: &Fixture, method: &str, path: &str, tokens: &[&str]) -> Answer {
    let cookies: Vec<String> = tokens.iter().map(|token| format!("{COOKIE}={token}")).collect();
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::COOKIE, cookies.join("; "));
    fixture.send(request.body(Body::empty()).unwrap()).await
}

/// A token whose session has ended.
async fn dead(fixture: &Fixture) -> String {
    let token = fixture.login("ghost").await;
    fixture.call("POST", "/logout", Some(&token)).await;
    token
}

#[tokio::test]
async fn of_several_cookies_the_one_that_opens_counts() {
    let fixture = Fixture::new();
    let (alice, dead) = (fixture.login("alice").await, dead(&fixture).await);
    let forged = forged(&alice);
    for others in [vec![dead.as_str()], vec![&forged], vec![&dead, "x", &forged]] {
        for at in 0..=others.len() {
            let mut tokens = others.clone();
            tokens.insert(at, &alice);
            let answer = send(&fixture, "GET", "/me", &tokens).await;
            assert_eq!(answer.body, "alice", "{} of {}", at, tokens.len());
        }
    }
    // It is the session of the request in every other way.
    send(&fixture, "POST", "/set/theme/dark", &[&dead, &alice]).await;
    assert_eq!(fixture.call("GET", "/get/theme", Some(&alice)).await.body, "dark");
}

#[tokio::test]
async fn where_several_cookies_open_a_session_or_none_does_that_has_its_own_code() {
    let fixture = Fixture::new();
    let (alice, bob) = (fixture.login("alice").await, fixture.login("bob").await);
    let dead = dead(&fixture).await;
    for tokens in [[alice.as_str(), &bob], [&dead, &forged(&alice)]] {
        send(&fixture, "GET", "/me", &tokens)
            .await
            .refused(401, "token-ambiguous");
        assert_eq!(
            send(&fixture, "GET", "/arrival", &tokens).await.body,
            "token-ambiguous"
        );
        // Nobody is locked out: a login works, and what it hands out is the one that opens.
        let login = send(&fixture, "POST", "/login/carol", &tokens).await.token();
        if tokens[0] == dead {
            let tokens = [tokens[0], &login];
            assert_eq!(send(&fixture, "GET", "/me", &tokens).await.body, "carol");
        }
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_says_how_many_cookies_opened_a_session_and_names_none() {
    let fixture = Fixture::new();
    let (alice, bob) = (fixture.login("alice").await, fixture.login("bob").await);
    let log = Log::default();
    let sink = log.clone();
    let logged = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || sink.clone())
        .set_default();
    send(&fixture, "GET", "/me", &[&alice]).await;
    assert!(log.0.lock().unwrap().is_empty());
    // The 1st, 2nd, 4th, 8th of all such requests of the process is logged, and other tests send some as well.
    for _ in 0..100 {
        // The thread of another test may be the first at this line of the log.
        // `tracing` then caches for all threads that nobody reads it, because that thread has no subscriber.
        tracing::callsite::rebuild_interest_cache();
        send(&fixture, "GET", "/me", &[&alice, &bob]).await;
        if !log.0.lock().unwrap().is_empty() {
            break;
        }
    }
    drop(logged);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("WARN") && log.contains("of 2 different cookies of one name 2 open a session"),
        "{log}"
    );
    assert!(!log.contains(&alice) && !log.contains(&bob));
}

#[tokio::test]
async fn an_older_token_of_the_same_session_beside_the_newer_is_no_theft() {
    let fixture = Fixture::with(
        |sessions| sessions.policy(|policy| policy.reuse_rule = tessera::ReuseRule::EndSession),
        SessionLayer::new,
    );
    let old = fixture.login("alice").await;
    fixture.clock.advance(Duration::from_secs(60));
    let new = fixture.call("POST", "/rotate", Some(&old)).await.token();
    assert_eq!(fixture.call("GET", "/me", Some(&new)).await.body, "alice");
    fixture.clock.advance(Duration::from_secs(60));
    for tokens in [[old.as_str(), &new], [&new, &old]] {
        assert_eq!(send(&fixture, "GET", "/me", &tokens).await.body, "alice");
    }
    // Alone it is one.
    fixture
        .call("GET", "/me", Some(&old))
        .await
        .refused(401, "reused");
    fixture
        .call("GET", "/me", Some(&new))
        .await
        .refused(401, "missing");
}

#[tokio::test]
async fn only_so_many_cookies_are_tried() {
    let fixture = Fixture::new();
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(dead(&fixture).await);
    }
    let alice = fixture.login("alice").await;
    tokens.push(alice);
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    assert_eq!(send(&fixture, "GET", "/me", &tokens[1..]).await.body, "alice");
    fixture.questions();
    send(&fixture, "GET", "/me", &tokens)
        .await
        .refused(401, "token-ambiguous");
    assert!(fixture.questions().is_empty());
    // One that stands there often is one.
    let same = [tokens[4]; 20];
    assert_eq!(send(&fixture, "GET", "/me", &same).await.body, "alice");
}

#[tokio::test]
async fn an_outage_among_several_cookies_is_an_outage() {
    let fixture = Fixture::new();
    let (alice, dead) = (fixture.login("alice").await, dead(&fixture).await);
    for tokens in [[alice.as_str(), &dead], [&dead, &alice]] {
        fixture.fail("get", "unavailable");
        send(&fixture, "GET", "/me", &tokens)
            .await
            .refused(503, "unavailable");
    }
}

#[tokio::test]
async fn a_login_and_a_logout_remove_the_cookies_of_other_settings() {
    let cookie = Cookie::builder()
        .name("sid")
        .domain("example.com")
        .formerly("/shop", None)
        .formerly("/", Some("shop.example.com"))
        // Its own setting is not removed, however it is written.
        .formerly("/", Some(".Example.com"));
    let cookie = cookie.build().unwrap();
    let fixture = Fixture::with(
        |sessions| sessions,
        |sessions| SessionLayer::new(sessions).cookie(cookie),
    );
    let attributes = "Secure; HttpOnly; SameSite=Lax";
    let twins = [
        // The host's own, from before there was a domain.
        format!("sid=; Path=/; Max-Age=0; {attributes}"),
        format!("sid=; Path=/shop; Max-Age=0; {attributes}"),
        format!("sid=; Path=/; Domain=shop.example.com; Max-Age=0; {attributes}"),
    ];
    let login = fixture.call("POST", "/login/alice", None).await;
    let cookies = login.cookies();
    assert_eq!(cookies[..3], twins);
    assert_eq!(cookies.len(), 4);
    let (pair, set) = cookies[3].split_once("; ").unwrap();
    assert_eq!(
        set,
        format!("Path=/; Domain=example.com; Max-Age=86400; {attributes}")
    );
    let request = Request::post("/logout").header(header::COOKIE, pair);
    let logout = fixture.send(request.body(Body::empty()).unwrap()).await;
    let own = format!("sid=; Path=/; Domain=example.com; Max-Age=0; {attributes}");
    assert_eq!(logout.cookies()[..3], twins);
    assert_eq!(logout.cookies()[3..], [own]);
}

#[test]
fn an_earlier_setting_that_no_browser_took_is_refused() {
    for (builder, error) in [
        (Cookie::builder().formerly("/shop", None), CookieError::HostPrefix),
        (
            Cookie::builder().name("x").formerly("shop", None),
            CookieError::Path,
        ),
        (
            Cookie::builder().name("x").formerly("/", Some("a;b")),
            CookieError::Domain,
        ),
        (
            (0..9).fold(Cookie::builder().name("x"), |builder, n| {
                builder.formerly(format!("/{n}"), None)
            }),
            CookieError::TooManyFormer,
        ),
    ] {
        assert_eq!(builder.build(), Err(error));
    }
}
