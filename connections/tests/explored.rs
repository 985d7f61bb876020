//! Every order of the steps of a sender, two nodes and a client over one mailbox, with lost answers, cut sockets, failovers and
//! small bounds. A judge checks what the client has received, in each of these runs.
//!
//! The judge's rules are the guarantees of `docs/connections.md`:
//!
//! - Without a gap in between, the client receives each number once, in order.
//! - A message that was acknowledged and not lost by the store is received, or covered by a gap that is reported after it, or by
//!   an end.
//! - After an end, the client receives nothing.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

#[path = "explored/judge.rs"]
mod judge;
#[path = "explored/world.rs"]
mod world;

use std::collections::HashSet;

use tessera_connections::Overflow;

use self::world::{Mutation, STEPS, World};

/// The steps of a run; others by `TESSERA_DEPTH`.
const DEPTH: usize = 7;

/// Runs every order of the steps; returns the number of states, and the first violation.
fn explore(overflow: Overflow, mutation: Mutation) -> (usize, Option<String>) {
    let depth_limit = std::env::var("TESSERA_DEPTH")
        .ok()
        .and_then(|depth| depth.parse().ok());
    let depth_limit: usize = depth_limit.unwrap_or(DEPTH);
    let mut seen = HashSet::new();
    let mut open = vec![(World::new(), 0)];
    while let Some((world, depth)) = open.pop() {
        let mut drained = world.clone();
        drained.drain(mutation);
        if let Err(violation) = drained.judge(overflow) {
            return (
                seen.len(),
                Some(format!("{violation}\n{:?}\n{:?}", world.trace, drained.received)),
            );
        }
        if depth == depth_limit {
            continue;
        }
        for step in STEPS {
            let mut next = world.clone();
            if next.step(step, overflow, mutation) && seen.insert((depth, next.state())) {
                open.push((next, depth + 1));
            }
        }
    }
    (seen.len(), None)
}

#[test]
fn every_order_of_steps_keeps_the_guarantees() {
    for overflow in [Overflow::Refuse, Overflow::DropOldest, Overflow::End] {
        let (states, violation) = explore(overflow, Mutation::None);
        eprintln!(
            "{overflow:?}: {states} states, {} violations",
            usize::from(violation.is_some())
        );
        assert_eq!(violation, None, "{overflow:?}");
        assert!(states > 10_000);
    }
}

#[test]
fn the_judge_finds_each_deliberate_fault() {
    for mutation in [
        Mutation::NumberAlone,
        Mutation::SilentGap,
        Mutation::EarlyAcknowledgement,
        Mutation::ForeignAcknowledgement,
        Mutation::NoTakeOver,
        Mutation::HastyEnd,
        Mutation::BlindRetry,
    ] {
        let found = [Overflow::Refuse, Overflow::DropOldest, Overflow::End]
            .into_iter()
            .find_map(|overflow| explore(overflow, mutation).1);
        let found = found.unwrap_or_else(|| panic!("{mutation:?} is not found"));
        eprintln!("{mutation:?}: {found}");
    }
}
