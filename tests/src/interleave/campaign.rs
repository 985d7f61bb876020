//! Runs many plans on all cores.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use tessera::Component;

use super::explore::{explore, sample};
use super::plan::{
    Act, ENDS, EVERYTHING, Event, Fault, LOGINS, Plan, RENEWALS, REVOCATIONS, SAVES, SAVES_AND_RENEWS,
    combinations,
};
use super::report::{Report, Violation};
use crate::lock;

/// How the runs of a plan are chosen.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// All runs, up to this number.
    All(u64),
    /// This number of runs, each choice drawn at random from this seed.
    Sample(u64, u64),
}

/// Explores all plans. Returns the sum of their reports, and the first violation of each plan that has one.
pub fn explore_all(plans: &[Plan], component: &Component, how: How) -> (Report, Vec<Box<Violation>>) {
    explore_each(plans, component, how, &|_, _| ())
}

/// The same. Calls `told` for each plan without a violation.
pub fn explore_each(
    plans: &[Plan],
    component: &Component,
    how: How,
    told: &(dyn Fn(&Plan, &Report) + Sync),
) -> (Report, Vec<Box<Violation>>) {
    let (open, ended) = (
        Mutex::new(plans.iter()),
        Mutex::new((Report::default(), Vec::new())),
    );
    let work = || {
        loop {
            let Some(plan) = lock(&open).next() else { return };
            let outcome = match how {
                How::All(most_runs) => explore(plan, component, most_runs),
                How::Sample(runs, seed) => sample(plan, component, runs, seed),
            };
            let mut ended = lock(&ended);
            match outcome {
                Ok(report) => {
                    told(plan, &report);
                    ended.0.add(&report);
                }
                Err(violation) => ended.1.push(violation),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    ended
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A named set of plans.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The name on the command line.
    pub name: String,
    /// The plans.
    pub plans: Vec<Plan>,
    /// How their runs are chosen.
    pub how: How,
    /// Whether only the command runs it, because it takes long.
    pub long: bool,
}

/// The number of random runs of a plan that has too many for all.
const DRAWN: u64 = 2_000;
const SEED: u64 = 20_261_121;

const LOSSES: &[Fault] = &[
    Fault::Unavailable,
    Fault::Lost,
    Fault::ProcessGone,
    Fault::ProcessGoneAfter,
    Fault::CallerGone,
];
/// The losses that a shared instance survives.
const SHARED_LOSSES: &[Fault] = &[Fault::Unavailable, Fault::Lost, Fault::CallerGone];
/// Slightly longer than the grace.
const PAST_GRACE_MS: i64 = 10_001;

/// All campaigns.
pub fn campaigns() -> Vec<Campaign> {
    let mut all = Vec::new();
    let mut add = |name: &str,
                   programs: &[&[Act]],
                   clients: usize,
                   how: How,
                   long: bool,
                   change: &dyn Fn(Plan) -> Plan| {
        let plans = combinations(programs, clients).into_iter().map(change).collect();
        all.push(Campaign {
            name: name.to_owned(),
            plans,
            how,
            long,
        });
    };
    let every = How::All(u64::MAX);
    let drawn = How::Sample(DRAWN, SEED);

    add("faults-2-2", EVERYTHING, 2, every, false, &|plan| {
        plan.failing(2, LOSSES)
    });
    add("faults-3-1", EVERYTHING, 3, every, false, &|plan| {
        plan.failing(1, LOSSES)
    });
    add("faults-3-2", EVERYTHING, 3, every, true, &|plan| {
        plan.failing(2, LOSSES)
    });

    let renewals = |plan: Plan| {
        let mut plan = plan
            .failing(2, &[Fault::Lost])
            .with_events(2, &[Event::ClockJumps(PAST_GRACE_MS)]);
        plan.rules.reuse_ends = true;
        plan
    };
    add("renewals-2", RENEWALS, 2, every, false, &renewals);
    add("renewals-3", RENEWALS, 3, drawn, false, &renewals);
    add("renewals-3-all", RENEWALS, 3, every, true, &|plan| Plan {
        most_faults: 1,
        ..renewals(plan)
    });

    for (rule, evicts) in [("evict", true), ("refuse", false)] {
        for cap in [1, 2] {
            let capped = |mut plan: Plan| {
                (plan.rules.cap, plan.rules.evicts) = (Some(cap), evicts);
                plan
            };
            let failing = |plan: Plan| capped(plan.failing(2, &[Fault::Unavailable, Fault::Lost]));
            add(&format!("{rule}-{cap}-2"), LOGINS, 2, every, false, &failing);
            add(&format!("{rule}-{cap}-3"), LOGINS, 3, every, false, &capped);
            // Each run ends with one more login, which must restore the cap.
            let ticking = |plan: Plan| Plan {
                ticks: true,
                ..capped(plan)
            };
            add(
                &format!("{rule}-{cap}-ticking-3"),
                LOGINS,
                3,
                every,
                false,
                &ticking,
            );
        }
    }

    add("stale-2", EVERYTHING, 2, every, false, &|plan| {
        plan.failing(2, &[Fault::StaleRead, Fault::Lost])
    });
    add("stale-3", EVERYTHING, 3, every, false, &|plan| {
        plan.failing(1, &[Fault::StaleRead])
    });

    add("stale-renewals-2", RENEWALS, 2, every, false, &|plan| {
        plan.failing(2, &[Fault::StaleRead, Fault::Lost])
    });
    add("stale-renewals-3", RENEWALS, 3, drawn, false, &|plan| {
        plan.failing(3, &[Fault::StaleRead, Fault::Lost])
    });

    let apart = |mut plan: Plan| {
        plan.clocks = (0..plan.programs.len() as i64)
            .map(|client| 4_000 * (client - 1))
            .collect();
        plan
    };
    let jumps = [
        Event::ClockJumps(PAST_GRACE_MS),
        Event::ClockJumps(-PAST_GRACE_MS),
    ];
    let clocks = |plan: Plan| apart(plan.with_events(2, &jumps));
    add("clocks-2", RENEWALS, 2, every, false, &clocks);
    add("clocks-3", EVERYTHING, 3, drawn, false, &clocks);

    let failover = |plan: Plan| plan.with_events(1, &[Event::RolledBack(1), Event::RolledBack(2)]);
    add("failover-2", EVERYTHING, 2, every, false, &failover);
    add("failover-renewals-2", RENEWALS, 2, every, false, &failover);
    add("failover-3", EVERYTHING, 3, drawn, false, &failover);
    add("failover-clocks-2", RENEWALS, 2, every, false, &|plan| {
        apart(failover(plan))
    });

    let revocations = |plan: Plan| plan.failing(2, &[Fault::Unavailable, Fault::Lost]);
    add("revocations-2", REVOCATIONS, 2, every, false, &revocations);
    add("revocations-3", REVOCATIONS, 3, every, false, &|plan| plan);
    // A thief with the owner's token saves and renews for as long as the others run.
    let jump = [Event::ClockJumps(PAST_GRACE_MS)];
    let saves = |plan: Plan| plan.failing(1, &[Fault::Lost]).against(SAVES);
    let renews = |plan: Plan| plan.with_events(2, &jump).against(SAVES_AND_RENEWS);
    add("flood-saves-1", ENDS, 1, every, false, &saves);
    add("flood-saves-2", ENDS, 2, drawn, false, &saves);
    add("flood-saves-2-all", ENDS, 2, every, true, &saves);
    add("flood-renews-1", ENDS, 1, every, false, &renews);
    add("flood-renews-2", ENDS, 2, drawn, false, &renews);
    add("flood-renews-2-all", ENDS, 2, every, true, &renews);

    let shared = |faults: usize| {
        move |plan: Plan| Plan {
            shared: true,
            ..plan.failing(faults, SHARED_LOSSES)
        }
    };
    add("shared-2-1", EVERYTHING, 2, every, false, &shared(1));
    add("shared-2-2", EVERYTHING, 2, every, true, &shared(2));
    add("shared-3", EVERYTHING, 3, drawn, false, &shared(2));
    add("shared-3-0", EVERYTHING, 3, every, true, &shared(0));
    all
}

/// The campaigns for an engine that traps on the store's reply `trap`.
pub fn traps() -> Vec<Campaign> {
    let campaign = |name: &str, clients: usize, faults: usize| {
        let failing = |plan: Plan| plan.failing(faults, &[Fault::Trap, Fault::TrapAfter]);
        let plans = combinations(EVERYTHING, clients)
            .into_iter()
            .map(failing)
            .collect();
        Campaign {
            name: name.to_owned(),
            plans,
            how: How::All(u64::MAX),
            long: false,
        }
    };
    vec![campaign("traps-2", 2, 2), campaign("traps-3", 3, 1)]
}
