//! Ten clients at once, longer and wilder than all orders can be taken of. Drawn from a seed, made small when something is wrong.

use std::cell::RefCell;
use std::io::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tessera::Component;
use tessera_tests::interleave::explore::drawn;
use tessera_tests::interleave::plan::{Act, Event, Fault, Plan};
use tessera_tests::interleave::report::Report;

const CLIENTS: usize = 10;
/// All cases together.
const STEPS: u64 = 100_000;
/// Another is taken from `TESSERA_SEED`; it is told, so that a failure can be repeated.
const SEED: u64 = 20_261_121;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        // What ends sessions is rare, so that they live long enough for the rest.
        20 => Just(Act::Open),
        30 => prop_oneof![Just(Act::Save("a")), Just(Act::Save("b")), Just(Act::Save("c"))],
        15 => Just(Act::Rotate),
        10 => Just(Act::Touch),
        2 => prop_oneof![Just(Act::Login("alice")), Just(Act::Login("bob"))],
        2 => prop_oneof![Just(Act::Enter("alice")), Just(Act::Enter("bob"))],
        1 => Just(Act::Destroy),
        1 => Just(Act::RevokeAll("alice")),
    ]
}

/// A client opens the session first, or makes one.
fn program() -> impl Strategy<Value = Vec<Act>> {
    (
        prop_oneof![8 => Just(Act::Open), 1 => Just(Act::Enter("alice"))],
        vec(act(), 6..14),
    )
        .prop_map(|(first, then)| [vec![first], then].concat())
}

fn plan() -> impl Strategy<Value = Plan> {
    let faults = vec(
        prop_oneof![
            Just(Fault::Unavailable),
            Just(Fault::Lost),
            Just(Fault::CallerGone),
            Just(Fault::ProcessGone),
            Just(Fault::ProcessGoneAfter)
        ],
        0..3,
    );
    (
        vec(program(), CLIENTS),
        faults,
        any::<bool>(),
        1..4_usize,
        any::<bool>(),
    )
        .prop_map(|(programs, faults, reuse_ends, cap, evicts)| {
            let mut plan = Plan::new(programs)
                .with_events(0, &[Event::ClockJumps(10_001)])
                .failing(4, &faults);
            plan.rules.reuse_ends = reuse_ends;
            (plan.rules.cap, plan.rules.evicts) = (Some(cap), evicts);
            plan
        })
}

#[test]
fn ten_clients_over_a_hundred_thousand_steps_lose_revive_and_misjudge_nothing() {
    let component = Component::embedded().expect("the embedded component runs here");
    let seed = std::env::var("TESSERA_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(SEED);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config {
        failure_persistence: None,
        // Otherwise as few as there are cases.
        max_shrink_iters: 20_000,
        ..Config::with_cases(1)
    };
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let total = RefCell::new(Report::default());
    while total.borrow().steps < STEPS {
        let strategy = (plan(), vec(any::<u16>(), 1_000));
        let ran = runner.run(&strategy, |(plan, numbers)| {
            let report = drawn(&plan, &component, &numbers);
            let report = report.map_err(|violation| TestCaseError::fail(violation.to_string()))?;
            total.borrow_mut().add(&report);
            Ok(())
        });
        if let Err(failure) = ran {
            panic!("TESSERA_SEED={seed}: {failure}");
        }
        // A runner that has had its cases runs no more.
        runner = TestRunner::new_with_rng(config.clone(), runner.new_rng());
    }
    let _ = writeln!(std::io::stderr(), "seed {seed}: {}", total.borrow());
}
