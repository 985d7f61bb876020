//! For how long an answer holds, through the component: a host that remembers its opens answers as one that asks the engine each
//! time, whatever the policy, the steps before and the clock.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tessera::store::{MemoryStore, Store};
use tessera::{Clock, Component, KeepFields, Policy, Sessions, Timestamp, TokenFormat};

const BEGIN: u64 = 1_767_225_600_123;

/// A clock that stands where it is put.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Hand {
    fn put(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug)]
enum What {
    Save,
    Rotate,
    Touch,
    LogIn,
    Reissue,
    Destroy,
}

/// What is done with a session, after so many milliseconds, by one of the tokens that were handed out, the newest as 0.
#[derive(Clone, Copy, Debug)]
struct Step {
    pass: u64,
    token: usize,
    what: What,
}

/// The policy's times, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    idle: u64,
    absolute: u64,
    touch: u64,
    grace: u64,
    renew: Option<u64>,
    lifetime: u64,
    skew: u64,
    format: TokenFormat,
}

impl Times {
    fn set(self, policy: &mut Policy) {
        let millis = Duration::from_millis;
        (policy.idle_timeout, policy.absolute_timeout) = (millis(self.idle), millis(self.absolute));
        (policy.touch_interval, policy.rotation_grace) = (millis(self.touch), millis(self.grace));
        (policy.renew_interval, policy.token_lifetime) = (self.renew.map(millis), millis(self.lifetime));
        (policy.clock_skew, policy.token_format) = (millis(self.skew), self.format);
        (policy.issuer, policy.audience) = ("i".into(), "a".into());
    }

    /// The spans after which something falls due or ends, counted from a step.
    fn spans(self) -> Vec<u64> {
        let slid = self.idle.saturating_sub(self.touch);
        let mut spans = vec![0, self.idle, self.absolute, self.touch, slid, self.grace];
        // A JWT counts in whole seconds.
        let whole = self.lifetime / 1000 * 1000;
        spans.extend([whole, whole / 2, whole + self.skew, self.lifetime / 2, self.skew]);
        spans.extend(self.renew);
        spans
    }
}

fn times() -> impl Strategy<Value = Times> {
    let long = (1_000..8_000_u64, 0..20_000_u64, 1_000..20_000_u64);
    let short = (
        prop_oneof![Just(0), 0..1_000_u64],
        prop_oneof![Just(0), 0..3_000_u64],
        prop_oneof![Just(None), (1..9_000_u64).prop_map(Some)],
        prop_oneof![Just(0), 0..3_000_u64],
    );
    (long, short, any::<bool>()).prop_map(|((idle, more, lifetime), (touch, grace, renew, skew), jwt)| {
        let absolute = idle + more;
        Times {
            idle,
            absolute,
            touch,
            grace,
            renew: renew
                .map(|renew| grace + renew)
                .filter(|renew| *renew <= absolute),
            lifetime,
            skew,
            format: if jwt {
                TokenFormat::Jwt
            } else {
                TokenFormat::Compact
            },
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let what = prop_oneof![
        4 => Just(What::Save),
        4 => Just(What::Rotate),
        4 => Just(What::Touch),
        2 => Just(What::LogIn),
        2 => Just(What::Reissue),
        1 => Just(What::Destroy),
    ];
    let pass = prop_oneof![0..4_u64, 0..2_000_u64, 0..9_000_u64];
    let step = (pass, 0..3_usize, what).prop_map(|(pass, token, what)| Step { pass, token, what });
    proptest::collection::vec(step, 0..6)
}

fn sessions(times: Times, clock: &Hand, store: impl Store, remembered: usize) -> Sessions {
    let component = Component::embedded().expect("the embedded component runs here");
    let builder = Sessions::builder_with(component);
    let builder = builder
        .signing_key("k", [7; 32])
        .clock(clock.clone())
        .instances(1);
    let builder = builder
        .remembered_sessions(remembered)
        .policy(|policy| times.set(policy));
    builder.build(store).expect("the policy is fit")
}

/// All that an open answers.
async fn answer(sessions: &Sessions, token: &str) -> impl Debug + PartialEq {
    let opened = sessions.open(token).await;
    let seen = opened.and_then(|session| Ok((session.details()?, session.entries()?)));
    seen.map_err(|error| error.to_string())
}

/// Does a step, and answers the token that it handed out.
async fn take(step: Step, number: usize, token: &str, sessions: &Sessions) -> Option<String> {
    let session = sessions.open(token).await.ok()?;
    if !matches!(step.what, What::Touch) {
        session.set("number", &number).ok()?;
    }
    let granted = match step.what {
        What::Save => session.save().await,
        What::Rotate => session.rotate().await,
        What::Touch => {
            let _ = session.touch().await;
            return None;
        }
        What::LogIn => session.authenticate_keeping("bob", &KeepFields::Everything).await,
        What::Reissue => session.reissue().await,
        What::Destroy => {
            let _ = session.destroy().await;
            return None;
        }
    };
    granted.ok()?.token
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_remembered_open_is_what_the_engine_would_answer(
        times in times(),
        steps in steps(),
        behind in prop_oneof![Just(0), 0..4_000_u64],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (clock, store) = (Hand::default(), MemoryStore::builder().sweep_interval(Duration::ZERO).build());
        let remembering = sessions(times, &clock, store.clone(), 64);
        let asking = sessions(times, &clock, store, 0);
        runtime.block_on(async {
            let mut now = BEGIN;
            clock.put(now);
            let first = remembering.create().authenticate("alice").await.expect("a first login");
            let mut tokens = vec![first.token.expect("its token")];
            let mut moments: Vec<u64> = Vec::new();
            let last = Step { pass: 0, token: 0, what: What::Touch };
            for (number, step) in steps.iter().chain([&last]).enumerate() {
                moments.extend(times.spans().into_iter().flat_map(|span| [now + span - 1, now + span, now + span + 1]));
                moments.sort_unstable();
                moments.dedup();
                let until = now + step.pass;
                // Up to the next step each moment at which an answer could change; after the last, all that are left.
                let probes = moments.iter().copied().filter(|moment| *moment >= now && (number == steps.len() || *moment < until));
                for moment in probes.chain([until, until.saturating_sub(behind)]) {
                    clock.put(moment);
                    for token in tokens.iter().rev().take(3) {
                        let (ours, theirs) = (answer(&remembering, token).await, answer(&asking, token).await);
                        prop_assert_eq!(ours, theirs, "{} ms after the begin", moment - BEGIN.min(moment));
                    }
                }
                now = until;
                clock.put(now);
                let place = tokens.len().saturating_sub(1 + step.token);
                tokens.extend(take(*step, number, &tokens[place].clone(), &remembering).await);
            }
            Ok(())
        })?;
    }
}
