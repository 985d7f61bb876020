//! The validity of an open's result: a host may reuse it until `holds_until`.
//!
//! Until then no part of the result may change. At `holds_until` the result is another one, or the token is refused.
//! Two moments bound the validity early by design, because their effect depends on more than one of them: the end of the
//! grace period after a renewal while no renewal is due, and the moment from which a renewal is due while the last one is not
//! settled.

#![expect(clippy::unwrap_used, reason = "what a test prepares with goes well")]

mod fixture;

use proptest::prelude::*;
use tessera_guest::call::Call;
use tessera_guest::engine::Engine;
use tessera_guest::error::Kind;
use tessera_guest::id::SessionId;
use tessera_guest::policy::{Policy, TokenFormat};
use tessera_guest::record::Head;
use tessera_guest::session;
use tessera_guest::snapshot::{KeepFields, Snapshot};
use tessera_guest::token::Token;
use tessera_guest::view::Opened;

use fixture::Fixture;

const NOW: u64 = 1_767_225_600_123;

/// One call on a session: `pass` milliseconds after the previous one, by one of the issued tokens, the newest as 0.
#[derive(Clone, Copy, Debug)]
struct Step {
    pass: u64,
    token: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Save,
    Rotate,
    Touch,
    LogIn,
    Reissue,
}

#[derive(Debug)]
struct Plan {
    policy: Policy,
    staleness: u64,
    steps: Vec<Step>,
    /// The token to open, the milliseconds until then, and by how many of them the clock is behind.
    token: usize,
    pass: u64,
    behind: u64,
}

fn passes() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, 0..2_000_u64, 0..12_000_u64]
}

fn policies() -> impl Strategy<Value = Policy> {
    let timeouts = (1_000..8_000_u64, 0..20_000_u64, 1_000..20_000_u64);
    let moments = (
        prop_oneof![Just(0), 0..1_000_u64],
        prop_oneof![Just(0), 0..3_000_u64],
        prop_oneof![Just(None), (1..9_000_u64).prop_map(Some)],
        prop_oneof![Just(0), 0..3_000_u64],
    );
    (timeouts, moments, any::<bool>()).prop_map(
        |((idle, more, lifetime), (touch, grace, renew, skew), jwt)| {
            let absolute_timeout_ms = idle + more;
            Policy {
                idle_timeout_ms: idle,
                absolute_timeout_ms,
                touch_interval_ms: touch,
                renew_interval_ms: renew
                    .map(|renew| grace + renew)
                    .filter(|renew| *renew <= absolute_timeout_ms),
                rotation_grace_ms: grace,
                token_lifetime_ms: lifetime,
                token_format: if jwt {
                    TokenFormat::Jwt
                } else {
                    TokenFormat::Compact
                },
                issuer: "i".into(),
                audience: "a".into(),
                clock_skew_ms: skew,
                ..Policy::default()
            }
        },
    )
}

fn plans() -> impl Strategy<Value = Plan> {
    let what = prop_oneof![
        1 => Just(What::Save),
        3 => Just(What::Rotate),
        3 => Just(What::Touch),
        1 => Just(What::LogIn),
        1 => Just(What::Reissue),
    ];
    let step = (passes(), 0..3_usize, what).prop_map(|(pass, token, what)| Step { pass, token, what });
    let end = (0..3_usize, passes(), prop_oneof![Just(0), 0..4_000_u64]);
    let steps = proptest::collection::vec(step, 0..6);
    (policies(), any::<bool>(), steps, end).prop_map(|(policy, stale, steps, (token, pass, behind))| Plan {
        staleness: if stale { policy.rotation_grace_ms } else { 0 },
        policy,
        steps,
        token,
        pass,
        behind,
    })
}

/// Executes the steps, and returns the issued tokens.
fn live(plan: &Plan, fixture: &Fixture, engine: &Engine) -> Vec<String> {
    let first = fixture.write(&session::draft(engine), "", 1, 0, |call, writing| {
        if plan.policy.token_format == TokenFormat::Jwt {
            session::authenticate(engine, call, writing, "alice", &KeepFields::Nothing)
        } else {
            session::save(engine, call, writing)
        }
    });
    let mut tokens = vec![first.unwrap().grant.token.unwrap()];
    for (name, step) in (2..).zip(&plan.steps) {
        fixture.now.set(fixture.now.get() + step.pass);
        let Some(opened) = shown(&tokens, step.token).and_then(|token| open(fixture, engine, token)) else {
            continue;
        };
        let changes = format!(r#"{{"set":{{"a":{name}}}}}"#);
        let ended = fixture.write(&opened.handle, &changes, name, 0, |call, writing| {
            match step.what {
                What::Save => session::save(engine, call, writing),
                What::Rotate => session::rotate(engine, call, writing),
                What::Touch => session::touch(engine, call, writing.handle, writing.writer, 0),
                What::LogIn => session::authenticate(engine, call, writing, "bob", &KeepFields::Everything),
                What::Reissue => session::reissue(engine, call, writing.handle),
            }
        });
        tokens.extend(ended.ok().and_then(|written| written.grant.token));
    }
    tokens
}

fn shown(tokens: &[String], from_last: usize) -> Option<&str> {
    tokens.iter().rev().nth(from_last).map(String::as_str)
}

fn open(fixture: &Fixture, engine: &Engine, token: &str) -> Option<Opened> {
    engine.open(&Call::new(fixture), token).ok()
}

/// An independent computation of the moments on which a result depends.
fn moments(policy: &Policy, head: &Head, expires_at: u64, token: &Token) -> Vec<u64> {
    let generations = &head.generations;
    let is_current = token.generation == generations.current;
    let is_jwt = policy.token_format == TokenFormat::Jwt;
    let confirmed_at = generations.confirmed_at;
    let skew = if is_jwt { policy.clock_skew_ms } else { 0 };
    let mut moments = vec![token.expires_at + skew, expires_at, head.ends_at];
    // A token from before a renewal is valid until the grace period ends, and no earlier renewal is possible.
    if let (Some(_), Some(confirmed_at)) = (generations.previous, confirmed_at) {
        moments.push(confirmed_at + policy.rotation_grace_ms);
    }
    if let (true, Some(interval)) = (is_current, policy.renew_interval_ms) {
        moments.push(generations.current.raised_at + interval);
    }
    // The confirmation of a new token is due at once.
    if !is_current || confirmed_at.is_some() {
        moments.extend(touch_due_at(policy, expires_at, head.ends_at));
    }
    // In the grace period the client has a newer token.
    if is_jwt && (is_current || confirmed_at.is_none()) {
        moments.push(token.issued_at + (token.expires_at - token.issued_at) / 2);
    }
    moments
}

/// The first moment at which a touch is due, by the documented rule.
fn touch_due_at(policy: &Policy, expires_at: u64, ends_at: u64) -> Option<u64> {
    let is_due = |now: u64| {
        let slid = (now + policy.idle_timeout_ms).min(ends_at);
        let gained = slid.saturating_sub(expires_at);
        gained > 0 && (gained >= policy.touch_interval_ms || slid == ends_at)
    };
    let began = expires_at - 2 * policy.absolute_timeout_ms;
    let span = 4 * policy.absolute_timeout_ms;
    let (mut not_yet, mut due) = (began, began + span);
    if !is_due(due) {
        return None;
    }
    while not_yet + 1 < due {
        let middle = not_yet + (due - not_yet) / 2;
        (not_yet, due) = if is_due(middle) {
            (not_yet, middle)
        } else {
            (middle, due)
        };
    }
    Some(due)
}

fn head(fixture: &Fixture, opened: &Opened) -> (Head, u64) {
    let entry = fixture.entry(&opened.key);
    let snapshot = Snapshot::read(SessionId([0; 16]), entry.value, entry.version).unwrap();
    (snapshot.head, entry.expires_at)
}

/// A stale store returns the record from before a renewal, and is read again.
#[test]
fn what_two_answers_have_decided_does_not_hold_for_one() {
    let fixture = Fixture::at(NOW);
    fixture.staleness.set(1_000);
    let engine = fixture.engine(&Policy::default());
    let first = fixture.write(&session::draft(&engine), "", 1, 0, |call, writing| {
        session::save(&engine, call, writing)
    });
    let opened = first.unwrap().opened;
    let before = fixture.entry(&opened.key);
    let renewed = fixture.write(&opened.handle, "", 1, 1, |call, writing| {
        session::rotate(&engine, call, writing)
    });
    let token = renewed.unwrap().grant.token.unwrap();
    assert!(open(&fixture, &engine, &token).is_some_and(|opened| opened.holds_until > NOW));
    *fixture.seed.borrow_mut() = Some((opened.key, before));
    fixture.asked.take();
    assert!(open(&fixture, &engine, &token).is_some_and(|opened| opened.holds_until == 0));
    assert_eq!(fixture.asked.take(), ["get fresh"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn an_answer_is_the_same_until_the_moment_it_names(plan in plans(), parts in any::<[u16; 4]>()) {
        let fixture = Fixture::at(NOW);
        fixture.staleness.set(plan.staleness);
        let engine = fixture.engine(&plan.policy);
        let tokens = live(&plan, &fixture, &engine);
        let asked_at = fixture.now.get() + plan.pass - plan.behind;
        fixture.now.set(asked_at);
        let Some(token) = shown(&tokens, plan.token) else { return Ok(()) };
        let verified = engine.verify(&Call::new(&fixture), token, None);
        if let Err(error) = &verified
            && error.is(Kind::TokenNotYetValid)
        {
            let (.., ahead) = error.clone().into_parts();
            prop_assert!(ahead > plan.policy.clock_skew_ms);
        }
        let Some(opened) = open(&fixture, &engine, token) else { return Ok(()) };
        let claims = verified.unwrap();
        prop_assert!(claims.token.not_before <= asked_at + plan.policy.clock_skew_ms);
        let (head, expires_at) = head(&fixture, &opened);
        let moments = moments(&plan.policy, &head, expires_at, &claims.token);

        let holds_until = moments.iter().copied().filter(|moment| *moment > asked_at).min().unwrap();
        prop_assert_eq!(opened.holds_until, holds_until);

        // The result is equal at the edges of each moment and at random moments between them.
        let edges = moments.iter().flat_map(|moment| [moment - 1, *moment, moment + 1]);
        let between = parts.map(|part| asked_at + (((holds_until - asked_at) * u64::from(part)) >> 16));
        for now in edges.chain(between).chain([holds_until - 1]) {
            if (asked_at..holds_until).contains(&now) {
                fixture.now.set(now);
                let again = open(&fixture, &engine, token);
                prop_assert_eq!(again.as_ref(), Some(&opened), "{}", now - asked_at);
            }
        }

        fixture.now.set(holds_until);
        let after = open(&fixture, &engine, token);
        let is_same = after.is_some_and(|after| Opened { holds_until, ..after } == opened);
        let settles_at = head.generations.confirmed_at.map(|at| at + plan.policy.rotation_grace_ms);
        let renews_at = plan.policy.renew_interval_ms.map(|interval| head.generations.current.raised_at + interval);
        let is_early = [settles_at, renews_at].contains(&Some(holds_until));
        prop_assert!(!is_same || is_early, "nothing changes at {}", holds_until - asked_at);
    }

    /// An inspection by the handle, with the host's entry, returns the same as an open by the token.
    #[test]
    fn a_handle_answers_as_its_token_does(plan in plans()) {
        let fixture = Fixture::at(NOW);
        let engine = fixture.engine(&plan.policy);
        let tokens = live(&plan, &fixture, &engine);
        let Some(token) = shown(&tokens, plan.token) else { return Ok(()) };
        let Some(opened) = open(&fixture, &engine, token) else { return Ok(()) };
        fixture.now.set(fixture.now.get() + plan.pass);
        let entry = fixture.entry(&opened.key);
        *fixture.seed.borrow_mut() = Some((opened.key.clone(), entry));
        let inspected = session::inspect(&engine, &Call::new(&fixture), &opened.handle);
        if let Some(opened) = open(&fixture, &engine, token) {
            let inspected = inspected.unwrap();
            prop_assert!(inspected.holds_until >= opened.holds_until);
            prop_assert_eq!(Opened { holds_until: opened.holds_until, ..inspected }, opened);
        }
    }
}
