//! How sessions are ended, and that they stay so.

use std::thread;

use serde_json::json;

use crate::program;
use crate::site::{Site, handed_out, passes, sets_a_cookie};

/// More than one call of the engine ends.
const DEVICES: usize = 120;
const RACES: usize = 200;

/// ASVS 5.0, 7.4.1: after a logout no session can be resumed. ASVS 4, 3.3.1. Cheat Sheet, "Session Expiration": invalidated on
/// both sides, the server's is the one that counts. NIST, section 5.1, item 3 of the requirements on session secrets.
#[test]
fn a_token_replayed_after_logout_fails() {
    let site = Site::new();
    let (mut browser, mut thief) = (site.browser(), site.browser());
    let token = browser.login("alice");
    assert_eq!(thief.subject(&token).as_deref(), Some("alice"));
    assert!(passes(&browser.post("/logout", &token)));
    for _ in 0..2 {
        thief.get("/me", &token).refused(401, "missing");
        assert_eq!(thief.get("/get/a", &token).text, "nothing");
        // Nor does it come back by being used.
        let made = thief.post("/set/a/b", &token);
        assert_ne!(made.header("set-cookie"), None, "a session of its own");
    }
    // Under every token that the session ever had.
    let old = browser.login("alice");
    let new = handed_out(&browser.post("/rotate", &old));
    assert!(passes(&browser.post("/logout", &new)));
    for token in [&old, &new] {
        thief.get("/me", token).refused(401, "missing");
    }
}

/// The same against a request that was under way: it opened the session before the logout and saves after it.
#[test]
fn a_save_that_was_under_way_at_the_logout_revives_nothing() {
    let site = Site::new();
    let token = site.browser().login("alice");
    let slow = thread::scope(|scope| {
        let slow = scope.spawn(|| site.browser().post("/set-slowly/a/b", &token));
        site.door.wait();
        assert!(passes(&site.browser().post("/logout", &token)));
        site.door.let_one_through();
        slow.join().expect("an answer")
    });
    // It is told that its change is not stored, and gets no session either.
    slow.refused(401, "missing");
    assert!(!sets_a_cookie(&slow), "{slow:?}");
    site.browser().get("/me", &token).refused(401, "missing");
    assert_eq!(site.browser().get("/get/a", &token).text, "nothing");
}

/// The same with both at once, as they come; every order of their steps is in `interleavings.rs`.
///
/// Also of a renewal: where it came first, the logout ends what has the new token.
#[test]
fn a_logout_ends_a_session_that_is_saved_or_renewed_at_once() {
    let site = Site::new();
    for race in 0..RACES {
        let token = site.browser().login("alice");
        let path = ["/set/a/b", "/rotate"][race % 2];
        let (other, logout) = thread::scope(|scope| {
            let other = scope.spawn(|| site.browser().post(path, &token));
            let logout = site.browser().post("/logout", &token);
            (other.join().expect("an answer"), logout)
        });
        assert!(passes(&logout), "race {race}: {logout:?}");
        site.browser().get("/me", &token).refused(401, "missing");
        // A request that came after the logout has a session of its own, and nobody is logged in there.
        if sets_a_cookie(&other) {
            let token = handed_out(&other);
            assert_eq!(site.browser().subject(&token), None, "race {race}");
        }
    }
}

/// ASVS 5.0, 7.4.2 and 7.4.5: all sessions of an account are ended when it is disabled, and by an administrator. ASVS 4, 3.3.3.
///
/// On the real program, over SQLite: one request ends the sessions of every device, and of nobody else.
#[test]
fn revoke_all_ends_every_device() {
    let (_directory, server) = program(&[]);
    let (mut client, key) = (server.client(), server.service_key());
    let devices: Vec<String> = (0..DEVICES).map(|_| client.create(&key, Some("alice"))).collect();
    let bob = client.create(&key, Some("bob"));
    // One of them renewed, with two tokens that are good.
    let renewed = client
        .call("POST", "/v1/session/rotate", &devices[0], None)
        .token();

    let ended = client.call("DELETE", "/v1/subjects/alice/sessions", &key, None);
    assert_eq!(ended.ok(), json!({ "ended": DEVICES }));
    for token in devices.iter().chain([&renewed]) {
        client
            .call("GET", "/v1/session", token, None)
            .refused(401, "missing");
        client
            .call("PATCH", "/v1/session", token, Some(r#"{"set":{"a":1}}"#))
            .refused(401, "missing");
    }
    let listed = client.call("GET", "/v1/subjects/alice/sessions", &key, None).ok();
    assert_eq!(listed["sessions"], json!([]));
    assert_eq!(
        client.call("GET", "/v1/session", &bob, None).ok()["subject"],
        "bob"
    );
    server.stop();
}

/// ASVS 5.0, 7.4.3 and 7.5.2: a user sees all sessions, and ends any or all others. ASVS 4, 3.3.4.
#[test]
fn a_user_sees_every_device_and_ends_all_others() {
    let site = Site::new();
    let mut browser = site.browser();
    let mine: Vec<String> = (0..5).map(|_| browser.login("alice")).collect();
    let bob = browser.login("bob");
    assert_eq!(browser.get("/devices", &mine[0]).text.split(',').count(), 5);
    assert_eq!(browser.post("/revoke-others", &mine[0]).text, "4");
    for token in &mine[1..] {
        browser.get("/me", token).refused(401, "missing");
    }
    assert_eq!(browser.subject(&mine[0]).as_deref(), Some("alice"));
    assert_eq!(browser.subject(&bob).as_deref(), Some("bob"));
}
