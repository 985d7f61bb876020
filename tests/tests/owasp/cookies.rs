//! The cookie's attributes, and what caches are told.

use axum::http::header;
use tessera::http::{Cookie, SameSite, SessionLayer, TOKEN_HEADER, TokenTransport};

use crate::client::Answer;
use crate::program;
use crate::site::{Site, handed_out, passes};

/// A cookie's attributes, in order of their names.
#[track_caller]
fn attributes(answer: &Answer) -> Vec<String> {
    let cookies: Vec<&str> = answer.all("set-cookie").collect();
    assert_eq!(cookies.len(), 1, "{answer:?}");
    attributes_of(cookies[0])
}

fn attributes_of(cookie: &str) -> Vec<String> {
    let mut attributes: Vec<String> = cookie.split("; ").skip(1).map(str::to_owned).collect();
    attributes.sort();
    attributes
}

/// ASVS 5.0, 3.3.1 to 3.3.4; ASVS 4, 3.4.1 to 3.4.5; Cheat Sheet, "Cookies"; NIST, section 5.1.1, items 1 to 6.
///
/// Also nothing else: no `Domain`, with which every host of the domain would get it.
#[test]
fn the_cookie_is_secure_http_only_same_site_and_of_one_host() {
    let site = Site::new();
    let mut browser = site.browser();
    let login = browser.call("POST", "/login/alice", None);
    let token = handed_out(&login);
    let lasting_a_day = ["HttpOnly", "Max-Age=86400", "Path=/", "SameSite=Lax", "Secure"];
    assert!(
        login
            .header("set-cookie")
            .expect("a cookie")
            .starts_with("__Host-")
    );
    for answer in [
        login,
        browser.call("POST", "/set/a/b", None),
        browser.post("/rotate", &token),
        browser.post("/login/bob", &token),
    ] {
        assert_eq!(attributes(&answer), lasting_a_day, "{answer:?}");
    }
}

/// NIST, section 5.1.1, item 4: the cookie expires with the session, or soon after, and no timeout relies on it.
#[test]
fn the_cookie_ends_with_the_session_and_not_after_it() {
    let site = Site::new();
    let mut browser = site.browser();
    let token = browser.login("alice");
    site.wait_millis(20 * 60_000 + 1);
    let answer = browser.post("/rotate", &token);
    assert!(
        attributes(&answer).contains(&"Max-Age=85199".to_owned()),
        "{answer:?}"
    );
}

/// Cheat Sheet, "Session Expiration": the client's side is ended by an empty value and an age in the past. Browsers take a
/// cookie of another path or domain for another cookie, so the rest has to be as it was set (RFC 6265, section 5.3, step 11).
#[test]
fn the_cookie_is_removed_with_the_attributes_it_was_set_with() {
    let shared = Cookie::builder()
        .name("__Secure-shop")
        .domain("shop.example")
        .path("/app")
        .same_site(SameSite::Strict);
    for cookie in [Cookie::default(), shared.build().unwrap()] {
        let name = cookie.name().to_owned();
        let layer = |sessions| SessionLayer::new(sessions).cookie(cookie);
        let site = Site::guarded(|sessions| sessions, layer, |router| router);
        let mut browser = site.browser();
        let login = browser.call("POST", "/login/alice", None);
        // Before it, beside a domain's, stands what removes the one of the host alone.
        let last = |answer: &Answer| answer.all("set-cookie").last().unwrap().to_owned();
        let login = last(&login);
        let (pair, _) = login.split_once(';').unwrap();
        let logout = browser.call_with("POST", "/logout", None, &[("Cookie", pair)]);
        assert!(passes(&logout), "{logout:?}");
        let logout = last(&logout);
        assert!(logout.starts_with(&format!("{name}=; ")), "{logout}");
        let mut set = attributes_of(&login);
        for attribute in &mut set {
            if attribute.starts_with("Max-Age=") {
                *attribute = "Max-Age=0".into();
            }
        }
        assert_eq!(attributes_of(&logout), set);
    }
}

/// ASVS 5.0, 14.3.2, and 14.2.2 of caches on the way: `Cache-Control: no-store`. Cheat Sheet, "Web Content Caching": a session
/// id must never be cached.
///
/// Whatever brings a token or takes one away is marked, also where the handler itself thinks that everybody may have it.
#[test]
fn no_answer_with_a_token_is_stored_by_a_cache() {
    let site = Site::new();
    let mut browser = site.browser();
    let token = browser.login("alice");
    for (path, token) in [
        ("/login/alice", None),
        ("/login-cached/alice", None),
        ("/set/a/b", None),
        ("/rotate", Some(&token)),
        ("/login-and-fail/bob", None),
        ("/logout", Some(&token)),
    ] {
        let answer = browser.call("POST", path, token.map(String::as_str));
        assert!(answer.header("set-cookie").is_some(), "{path}: {answer:?}");
        let told: Vec<&str> = answer.all("cache-control").collect();
        assert_eq!(told, ["no-store"], "{path}");
        assert!(
            answer.all("vary").any(|vary| vary.eq_ignore_ascii_case("cookie")),
            "{path}"
        );
    }
    // A refusal as well: it is one client's, and old at once.
    let refused = browser.get("/me", &token);
    assert_eq!(
        (refused.status, refused.header("cache-control")),
        (401, Some("no-store"))
    );

    // For programs, the same.
    let layer = |sessions| SessionLayer::new(sessions).transports([TokenTransport::Bearer]);
    let site = Site::guarded(|sessions| sessions, layer, |router| router);
    let answer = site.browser().call("POST", "/login-cached/alice", None);
    assert!(answer.header(TOKEN_HEADER.as_str()).is_some());
    assert_eq!(answer.all("cache-control").collect::<Vec<_>>(), ["no-store"]);
    assert_eq!(answer.header("vary"), Some(header::AUTHORIZATION.as_str()));
}

/// The same of the real program, all of whose answers are for one client: whatever is asked, and whether it is granted.
#[test]
fn no_answer_of_the_service_is_stored_by_a_cache() {
    let (_directory, server) = program(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let token = client.create(&key, Some("alice"));
    for (method, path, credentials) in [
        ("POST", "/v1/sessions", &key),
        ("GET", "/v1/session", &token),
        ("PATCH", "/v1/session", &token),
        ("POST", "/v1/session/rotate", &token),
        ("GET", "/v1/subjects/alice/sessions", &key),
        ("POST", "/v1/verify", &key),
        ("GET", "/auth", &token),
        ("GET", "/healthz", &key),
        ("DELETE", "/v1/session", &token),
        ("GET", "/v1/session", &token),
        ("GET", "/auth", &token),
        ("POST", "/v1/sessions", &token),
        ("GET", "/nothing/here", &key),
        ("PUT", "/v1/session", &token),
    ] {
        let answer = client.call(method, path, credentials, None);
        assert_eq!(
            answer.header("cache-control"),
            Some("no-store"),
            "{method} {path}: {answer:?}"
        );
    }
    server.stop();
}
