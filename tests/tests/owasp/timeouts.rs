//! How long a session lasts, told by the server's clock alone.

use std::time::Duration;

use tessera::Preset;

use crate::site::Site;

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(30 * 60);

/// Each way to begin, with its idle and its absolute timeout.
const PRESETS: [(Preset, Duration, Duration); 3] = [
    (
        Preset::Standard,
        Duration::from_secs(30 * 60),
        Duration::from_secs(24 * 3600),
    ),
    (
        Preset::Aal2,
        Duration::from_secs(3600),
        Duration::from_secs(24 * 3600),
    ),
    (
        Preset::Aal3,
        Duration::from_secs(15 * 60),
        Duration::from_secs(12 * 3600),
    ),
];

fn site(preset: Preset) -> Site {
    Site::with(|sessions| sessions.preset(preset))
}

/// ASVS 5.0, 7.3.1. Cheat Sheet, "Idle Timeout": enforced at the server. NIST, section 5.2, with the times of 2.2.3 and 2.3.3.
///
/// The request is the same before and after: only the server's clock has moved.
#[test]
fn the_idle_timeout_is_kept_at_the_server_to_the_millisecond() {
    for (preset, idle, _) in PRESETS {
        let site = site(preset);
        let mut browser = site.browser();
        let (early, late) = (browser.login("alice"), browser.login("alice"));
        site.wait(idle - MILLISECOND);
        assert_eq!(browser.subject(&early).as_deref(), Some("alice"), "{preset:?}");
        site.wait(MILLISECOND);
        assert_eq!(browser.subject(&late), None, "{preset:?}");
        // Activity too late revives nothing, and that of another session does not count.
        assert_eq!(browser.subject(&late), None);
        assert_eq!(browser.subject(&early).as_deref(), Some("alice"));
    }
}

/// Requests at these pauses, in milliseconds; then what becomes of two sessions that were asked for at each: the one is asked
/// for once more after the first time from there on, the other only after the second.
fn asked_at_pauses_then(touch_interval: Duration, first: Duration, second: Duration) -> [Option<String>; 2] {
    let site = Site::with(|sessions| {
        sessions.policy(|policy| {
            (policy.idle_timeout, policy.touch_interval) = (IDLE, touch_interval);
        })
    });
    let mut browser = site.browser();
    let (one, other) = (browser.login("alice"), browser.login("alice"));
    for pause in [
        1, 59_999, 60_000, 60_001, 500_000, 1_739_999, 7, 1_234_567, 59_999,
    ] {
        site.wait_millis(pause);
        assert_eq!(
            browser.subject(&one).as_deref(),
            Some("alice"),
            "after {pause} ms"
        );
        assert_eq!(
            browser.subject(&other).as_deref(),
            Some("alice"),
            "after {pause} ms"
        );
    }
    site.wait(first);
    // What asks for no session is no activity of it.
    assert_eq!(browser.get("/plain", &other).text, "plain");
    let early = browser.subject(&one);
    site.wait(second - first);
    [early, browser.subject(&other)]
}

/// NIST, section 5.2: activity resets the inactivity timeout. Cheat Sheet, "Idle Timeout": since the last request.
#[test]
fn activity_moves_the_idle_timeout_to_the_millisecond() {
    let alice = Some("alice".to_owned());
    let found = asked_at_pauses_then(Duration::ZERO, IDLE - MILLISECOND, IDLE);
    assert_eq!(found, [alice, None]);
}

/// The same where activity is written down at most once a minute, as it is unless a service says otherwise.
#[test]
fn activity_that_is_noted_once_a_minute_ends_a_session_early_and_never_late() {
    let alice = Some("alice".to_owned());
    let found = asked_at_pauses_then(MINUTE, IDLE - MINUTE, IDLE);
    assert_eq!(found, [alice, None]);
}

/// ASVS 5.0, 7.3.2. Cheat Sheet, "Absolute Timeout": regardless of activity. NIST, section 5.2, the overall timeout.
#[test]
fn the_absolute_timeout_ends_a_session_under_constant_activity() {
    for (preset, idle, absolute) in PRESETS {
        let site = site(preset);
        let mut browser = site.browser();
        let token = browser.login("alice");
        let pause = idle / 3;
        let mut passed = Duration::ZERO;
        while passed + pause < absolute {
            site.wait(pause);
            passed += pause;
            assert_eq!(browser.subject(&token).as_deref(), Some("alice"), "{passed:?}");
            assert_eq!(browser.post("/set/a/b", &token).status, 200);
        }
        site.wait(absolute - passed - MILLISECOND);
        assert_eq!(browser.subject(&token).as_deref(), Some("alice"), "{preset:?}");
        site.wait(MILLISECOND);
        assert_eq!(browser.subject(&token), None, "{preset:?}");
    }
}
