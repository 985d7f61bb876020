//! Judges runs that have ended.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tessera::{Component, ConfigurationError};

use super::calls::{Call, Session, Standing, Told, World};
use super::clients::{Granted, HANDLES, generation_bytes, key_and_generation};
use super::contents::Contents;
use super::linear::{Observed, is_explained};
use super::model::{is_served, judge};
use super::plan::{Event, Fault, Plan};
use super::player::Player;
use super::run::{Run, Start};
use super::witness::Witness;

/// The maximum number of a call's writes.
const TRIES: usize = 8;
/// The maximum duration of a call's tries, in milliseconds.
const RETRY_WINDOW_MS: u64 = 25_000;

/// Judges the runs of one plan.
pub struct Judge<'a> {
    plan: &'a Plan,
    start: &'a Start,
    first: World,
    witness: Witness,
}

impl<'a> Judge<'a> {
    /// Creates a judge for runs with this start.
    ///
    /// # Errors
    /// If the component refuses the plan's policy.
    pub fn new(
        plan: &'a Plan,
        component: &Component,
        start: &'a Start,
        first: World,
    ) -> Result<Self, ConfigurationError> {
        Ok(Self {
            plan,
            start,
            first,
            witness: Witness::new(plan, component)?,
        })
    }

    /// Judges a run. Returns the numbers of judged calls and tokens.
    ///
    /// # Errors
    /// A description of the violation.
    pub fn verdict<P: Player>(&self, run: &Run<'_, P>) -> Result<(u64, u64), String> {
        let (contents, calls) = (run.contents(), run.calls());
        let last = worlds(contents);
        let live = contents
            .records
            .values()
            .filter(|stored| stored.expires_at.as_millis() > 0)
            .count();
        if last.len() != live {
            return Err("a stored record cannot be read".into());
        }
        if run.hangs() {
            return Err("a call waits for an event that never occurs".into());
        }
        let all = run.all_calls();
        all.iter().try_for_each(|call| self.is_fitting(call, &all))?;
        indexed(contents, &last)?;
        self.is_within_cap(run, &calls, &last)?;
        // After a failover that undid acknowledged writes, no order explains the results; only the other checks apply.
        if !self.plan.rolls_back() && !is_explained(&self.plan.rules, &self.first, &calls, &last) {
            return Err("no order of the calls explains their results and the stored records".into());
        }
        let tokens = self.show_tokens(run, &last)?;
        Ok((calls.len() as u64, tokens))
    }

    /// Checks a call for violations that no order of calls could explain.
    fn is_fitting(&self, call: &Observed, all: &[Observed]) -> Result<(), String> {
        let meanwhile = |other: &&Observed| other.ended >= call.began && other.began <= call.ended;
        let traps = self
            .plan
            .faults
            .iter()
            .any(|fault| matches!(fault, Fault::Trap | Fault::TrapAfter));
        let what = match &call.told {
            Some(Told::Odd(_)) => "an impossible result of this call",
            Some(Told::InstanceLost) if traps => return Ok(()),
            // The run ended before this call.
            None if self.is_adversary(call) => return Ok(()),
            Some(Told::Unavailable | Told::Unknown | Told::InstanceLost) | None if !call.faulted => {
                "a failure without a cause"
            }
            // These conflict only with changes of generations, of which no token survives as many as there are tries.
            Some(Told::Contended) if ends_or_logs_in(&call.call) && !waited(call) => {
                "an end or a login that failed because of other writes"
            }
            // Each of its tries met a write. Another call makes one write, a login a few.
            Some(Told::Contended)
                if !self.plan.has_adversary
                    && !waited(call)
                    && all.iter().filter(meanwhile).count() <= TRIES / 2 =>
            {
                "a contended call with too few concurrent calls"
            }
            Some(told) if !call.asked && asks(&call.call, told) => {
                "a result that requires the store, which was not called"
            }
            Some(Told::Reused) if self.plan.rolls_back() => "a theft signal that a failover caused",
            _ => return Ok(()),
        };
        Err(format!("{what}: {call:?}"))
    }

    fn is_adversary(&self, call: &Observed) -> bool {
        let client = call.call.handle().map(|handle| handle / HANDLES);
        self.plan.has_adversary && client == Some(self.plan.programs.len() - 1)
    }

    /// Checks that no subject has more sessions than the cap allows, apart from logins with an unknown result.
    fn is_within_cap<P: Player>(
        &self,
        run: &Run<'_, P>,
        calls: &[Observed],
        last: &World,
    ) -> Result<(), String> {
        // With clocks that differ or go back, the order of logins is not the order of their times.
        let back = |event: &Event| matches!(event, Event::ClockJumps(by) if *by < 0);
        let (Some(cap), true) = (
            self.plan.rules.cap,
            self.plan.clock_spread() == 0 && !self.plan.events.iter().any(back),
        ) else {
            return Ok(());
        };
        let of = |world: &World, subject: &str| {
            let of_subject = |session: &&Session| session.subject.as_deref() == Some(subject);
            world.values().filter(of_subject).count()
        };
        if self.plan.ticks {
            return self.is_made_good(run, cap, &|contents, subject| of(&worlds(contents), subject));
        }
        for subject in last.values().filter_map(|session| session.subject.as_deref()) {
            let is_open = |call: &&Observed| {
                let whose = matches!(&call.call, Call::Login { subject: whose, .. } if whose == subject);
                // A login in a session of the same subject makes that session the newest while another login counts.
                whose && !matches!(call.told, Some(Told::Token(1) | Told::TooMany))
            };
            let open = calls.iter().filter(is_open).count();
            // Logins in the same millisecond are ranked by id, so the first by rank may be the one that came last.
            let of_subject = last
                .values()
                .filter(|session| session.subject.as_deref() == Some(subject));
            let logins: Vec<_> = of_subject.map(|session| session.authenticated_at).collect();
            let at_once = logins
                .iter()
                .filter(|at| Some(*at) == logins.iter().max())
                .count();
            let count = of(last, subject);
            if count > cap.max(of(&self.first, subject)) + open + at_once.saturating_sub(1) {
                return Err(format!("{subject} has {count} sessions, but the cap is {cap}"));
            }
        }
        Ok(())
    }

    /// Checks that one more login restores the cap, or is refused if the cap is reached, however many were concurrent before.
    fn is_made_good<P: Player>(
        &self,
        run: &Run<'_, P>,
        cap: usize,
        count: &dyn Fn(&Contents, &str) -> usize,
    ) -> Result<(), String> {
        for subject in ["alice", "bob"] {
            let mut contents = run.contents().clone();
            let before = count(&contents, subject);
            let told = self.witness.enter(&mut contents, subject, run.now() + 1);
            let after = count(&contents, subject);
            let expected = match self.plan.rules.evicts {
                true => (Told::Token(1), (before + 1).min(cap)),
                false if before >= cap => (Told::TooMany, before),
                false => (Told::Token(1), before + 1),
            };
            if (&told, after) != (&expected.0, expected.1) {
                return Err(format!(
                    "{subject} has {before} sessions; after one more login with the result {told:?}, {after}"
                ));
            }
        }
        Ok(())
    }

    /// Whether another token has the same bytes for session, generation and time.
    ///
    /// If clocks differ, a generation that a failover undid and one that a call raised which began before the failover may have
    /// the same millisecond. They cannot be distinguished.
    fn is_twin(&self, tokens: &[Granted], granted: &Granted, subject: Option<&String>) -> bool {
        let is_twin = |other: &Granted| {
            let same = generation_bytes(&other.token) == generation_bytes(&granted.token);
            same && other.subject.as_ref() == subject
        };
        self.plan.rolls_back() && self.plan.clock_spread() > 0 && tokens.iter().any(is_twin)
    }

    /// Opens every issued token with an engine that took no part in the run. Returns the number of tokens.
    fn show_tokens<P: Player>(&self, run: &Run<'_, P>, last: &World) -> Result<u64, String> {
        let mut tokens = run.tokens();
        tokens.push(self.start.token.clone());
        let mut contents = run.contents().clone();
        let mut served: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for granted in &tokens {
            let (key, generation) = key_and_generation(&granted.token);
            if self.plan.rules.reuse_ends {
                // A theft signal ends the session, which must not affect the next token.
                contents.clone_from(run.contents());
            }
            let told = self.witness.open(&mut contents, &granted.token, run.now());
            if let Told::Opened { subject, .. } = &told {
                served.entry(key.clone()).or_default().insert(generation);
                if *subject != granted.subject && !self.is_twin(&tokens, granted, subject.as_ref()) {
                    return Err(format!(
                        "a token issued to {:?} opens a session of {subject:?}",
                        granted.subject
                    ));
                }
            }
            if self.plan.rolls_back() {
                if told == Told::Reused {
                    return Err("a theft signal that a failover caused".into());
                }
                continue;
            }
            let now = run.now().unsigned_abs();
            let expected = last
                .get(&key)
                .map(|session| judge(session, generation, now, self.plan.rules.grace));
            let fits = match told {
                Told::Missing => expected.is_none(),
                Told::Replaced => expected == Some(Standing::Replaced),
                Told::Reused => expected == Some(Standing::Reused),
                Told::Opened { .. } => expected.is_some_and(is_served),
                _ => false,
            };
            if !fits {
                return Err(format!(
                    "a token of generation {generation} has the result {told:?} and the status {expected:?}"
                ));
            }
        }
        match served.values().find(|generations| generations.len() > 2) {
            Some(generations) => Err(format!(
                "{} generations of one session are accepted",
                generations.len()
            )),
            None => Ok(tokens.len() as u64),
        }
    }
}

/// Whether a call is conditional only on the generations. No login in the plans keeps fields.
fn ends_or_logs_in(call: &Call) -> bool {
    matches!(call, Call::Destroy { .. } | Call::Login { .. })
}

/// Whether a clock jump during a call ended its tries.
fn waited(call: &Observed) -> bool {
    call.later
        .iter()
        .any(|later| later.abs_diff(call.now) > RETRY_WINDOW_MS)
}

/// Whether a result requires the store. Some are known without it: the grace of a generation is over, or it is renewed.
fn asks(call: &Call, told: &Told) -> bool {
    match call {
        Call::Open { .. } | Call::Revoke { .. } | Call::RevokeAll { .. } => true,
        Call::Login { .. } | Call::Destroy { .. } => !matches!(told, Told::Replaced | Told::Missing),
        Call::Save { .. } => matches!(told, Told::Done | Told::Token(_)),
        Call::Rotate { .. } | Call::Touch { .. } => false,
    }
}

/// Checks that every session with a subject is in the subject's index.
fn indexed(contents: &Contents, world: &World) -> Result<(), String> {
    let lost = world.iter().find(|(key, session)| {
        session
            .subject
            .as_ref()
            .is_some_and(|subject| !contents.index.contains(&(subject.clone(), (*key).clone())))
    });
    match lost {
        None => Ok(()),
        Some((_, session)) => Err(format!("a session of {:?} is not in the index", session.subject)),
    }
}

/// Converts the contents of the store to the model's form.
pub fn worlds(contents: &Contents) -> World {
    contents
        .records
        .iter()
        .filter(|(_, stored)| stored.expires_at.as_millis() > 0)
        .filter_map(|(key, stored)| Some((key.clone(), record(&stored.text)?)))
        .collect()
}

/// Converts the text of a record to a session of the model. `None` if it is not a record.
pub fn record(text: &str) -> Option<Session> {
    let record: Value = serde_json::from_str(text).ok()?;
    let counter = |name: &str| Some(record.get(name)?.get(0)?.as_u64()? as u32);
    let fields = record.get("fields")?.as_object()?;
    Some(Session {
        subject: record.get("subject")?.as_str().map(str::to_owned),
        fields: fields
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        authenticated_at: record.get("authenticated")?.as_u64(),
        current: counter("generation")?,
        previous: counter("previous"),
        floor: counter("floor")?,
        confirmed_at: record.get("confirmed")?.as_u64(),
        writer: None,
    })
}
