//! Requests that another site makes a browser send.

use tessera::http::{CSRF_HEADER, CsrfLayer, SessionLayer};

use crate::independent::base64url;
use crate::site::{Browser, Site, handed_out, passes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn site() -> Site {
    Site::guarded(
        |sessions| sessions,
        SessionLayer::new,
        |router| router.layer(CsrfLayer::new()),
    )
}

/// What the page of a session holds.
fn page(browser: &mut Browser, token: &str) -> String {
    browser.get("/csrf", token).text
}

/// The code of a refusal, or `passed`.
fn change(browser: &mut Browser, token: &str, csrf: &str) -> String {
    let answer = browser.call_with("POST", "/set/a/b", Some(token), &[(CSRF_HEADER, csrf)]);
    if passes(&answer) {
        "passed".into()
    } else {
        answer.code()
    }
}

/// ASVS 5.0, 3.5.1. NIST, section 5.1: what is posted holds an identifier of the session, which is verified. OWASP Cross-Site
/// Request Forgery Prevention Cheat Sheet, on tokens bound to the session.
///
/// Another session's is refused, of another user or of the same; so is what was handed out before the last login, and anything
/// that differs in one bit. A renewal leaves it good.
#[test]
fn a_csrf_token_is_good_in_its_own_session_alone() {
    let site = site();
    let mut browser = site.browser();
    let (alice, twin, bob) = (
        browser.login("alice"),
        browser.login("alice"),
        browser.login("bob"),
    );
    let csrf = page(&mut browser, &alice);
    assert_eq!(change(&mut browser, &alice, &csrf), "passed");
    for other in [&twin, &bob] {
        let others = page(&mut browser, other);
        assert_eq!(change(&mut browser, other, &others), "passed");
        assert_eq!(change(&mut browser, &alice, &others), "invalid-csrf-token");
        assert_eq!(change(&mut browser, other, &csrf), "invalid-csrf-token");
    }
    assert_eq!(change(&mut browser, &alice, ""), "invalid-csrf-token");
    let absent = browser.post("/set/a/b", &alice);
    absent.refused(403, "csrf-token-absent");

    let renewed = browser.call_with("POST", "/rotate", Some(&alice), &[(CSRF_HEADER, &csrf)]);
    let renewed = handed_out(&renewed);
    assert_eq!(
        change(&mut browser, &renewed, &csrf),
        "passed",
        "a page that is open goes on"
    );
    let again = browser.call_with("POST", "/login/alice", Some(&renewed), &[(CSRF_HEADER, &csrf)]);
    let again = handed_out(&again);
    assert_eq!(change(&mut browser, &again, &csrf), "invalid-csrf-token");
    let newer = page(&mut browser, &again);
    assert_eq!(change(&mut browser, &again, &newer), "passed");
}

/// The same, of what is nearly one: each bit of it counts, of the mask as of the mac under it, and nothing of a token that the
/// client holds is one.
#[test]
fn a_csrf_token_that_differs_in_one_bit_is_refused() {
    let site = site();
    let mut browser = site.browser();
    let alice = browser.login("alice");
    let csrf = page(&mut browser, &alice);
    let bytes = URL_SAFE_NO_PAD.decode(&csrf).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let refused = change(&mut browser, &alice, &base64url(&other));
        assert_eq!(refused, "invalid-csrf-token", "bit {bit}");
    }
    let (_, mac) = alice.rsplit_once('.').unwrap();
    for other in [mac, &alice, &csrf[1..]] {
        assert_eq!(change(&mut browser, &alice, other), "invalid-csrf-token");
    }
    // Masked anew for each page, so that nothing of it stands twice (BREACH).
    let next = page(&mut browser, &alice);
    assert_ne!(next, csrf);
    assert_eq!(change(&mut browser, &alice, &next), "passed");
}
