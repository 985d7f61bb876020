//! A new token where one is due, and what becomes of the old one.

use std::time::Duration;

use crate::site::{Site, handed_out, passes};

/// ASVS 5.0, 7.2.4: a new session token at authentication, and the one before is terminated. ASVS 4, 3.2.1. Cheat Sheet,
/// "Renew the Session ID After Any Privilege Level Change". NIST, section 5.1: the secret is made in direct response to an
/// authentication. This is what session fixation needs to be otherwise.
#[test]
fn a_login_gives_a_new_token_and_the_old_one_fails_at_once() {
    let site = Site::new();
    let (mut victim, mut attacker) = (site.browser(), site.browser());
    // The attacker's own, planted in the victim's browser.
    let fixed = handed_out(&attacker.call("POST", "/set/basket/full", None));
    let alice = handed_out(&victim.post("/login/alice", &fixed));
    assert_ne!(alice, fixed);
    // Not a millisecond has passed.
    attacker.get("/me", &fixed).refused(401, "replaced");
    assert!(
        passes(&attacker.post("/set/note/mine", &fixed)),
        "in a session of its own"
    );
    assert_eq!(victim.subject(&alice).as_deref(), Some("alice"));
    assert_eq!(victim.get("/get/note", &alice).text, "nothing");
    assert_eq!(
        victim.get("/get/basket", &alice).text,
        "nothing",
        "nor what was planted"
    );

    // Also at a second login, of the same user.
    let again = handed_out(&victim.post("/login/alice", &alice));
    attacker.get("/me", &alice).refused(401, "replaced");
    assert_eq!(victim.subject(&again).as_deref(), Some("alice"));
}

/// The same section of the Cheat Sheet: also at any other change of privilege, as from a user to an administrator.
/// ASVS 5.0, 7.2.4, "including re-authentication".
#[test]
fn a_change_of_privilege_gives_a_new_token_and_the_old_one_fails_at_once() {
    let site = Site::new();
    let mut browser = site.browser();
    let user = browser.login("alice");
    assert!(passes(&browser.post("/set/basket/full", &user)));
    let admin = handed_out(&browser.post("/step-up/alice", &user));
    assert_ne!(admin, user);
    browser.get("/me", &user).refused(401, "replaced");
    assert_eq!(browser.get("/arrival", &user).text, "replaced");
    assert_eq!(browser.get("/get/role", &admin).text, "admin");
    assert_eq!(
        browser.get("/get/basket", &admin).text,
        "full",
        "the session itself goes on"
    );
}

/// Cheat Sheet, "Renewal Timeout": the token is renewed after an interval; the one before is valid for a safety interval, and
/// is invalidated once the client has taken up the new one.
#[test]
fn after_a_renewal_the_old_token_fails_once_its_grace_has_passed() {
    let (interval, grace) = (Duration::from_secs(300), Duration::from_millis(10_000));
    let site = Site::with(|sessions| {
        sessions.policy(|policy| {
            policy.renew_interval = Some(interval);
            policy.rotation_grace = grace;
        })
    });
    let mut browser = site.browser();
    let old = browser.login("alice");
    site.wait(interval - Duration::from_millis(1));
    assert_eq!(browser.get("/me", &old).header("set-cookie"), None);
    site.wait_millis(1);
    let new = handed_out(&browser.get("/me", &old));
    assert_ne!(new, old);
    // Nobody has used the new one yet: the answer may have been lost on its way.
    site.wait(grace * 2);
    assert_eq!(browser.subject(&old).as_deref(), Some("alice"));
    assert_eq!(browser.subject(&new).as_deref(), Some("alice"));
    // From its first use on, the old one has its grace, to the millisecond.
    site.wait(grace - Duration::from_millis(1));
    assert_eq!(browser.subject(&old).as_deref(), Some("alice"));
    site.wait_millis(1);
    browser.get("/me", &old).refused(401, "reused");
    assert_eq!(browser.subject(&new).as_deref(), Some("alice"));
}
