//! Random sequences of calls of the public API, each outcome predicted by a model: over a store that answers at once and over
//! one that never does, through the same component.

#![expect(
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "boundary/fixture.rs"]
mod fixture;
#[path = "boundary/handle.rs"]
mod handle;
#[path = "boundary/model.rs"]
mod model;
#[path = "boundary/oracle.rs"]
mod oracle;
#[path = "boundary/plan.rs"]
mod plan;
#[path = "boundary/setting.rs"]
mod setting;
#[path = "boundary/told.rs"]
mod told;
#[path = "boundary/values.rs"]
mod values;
#[path = "boundary/writes.rs"]
mod writes;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tessera::Component;
use tessera::store::MemoryStore;
use tessera_tests::stores::NeverReady;

use fixture::Fixture;
use model::Model;
use plan::{Call, Rules};
use told::Told;

/// More with `PROPTEST_CASES`.
const SEQUENCES: u32 = 1024;
const CALLS: usize = 40;

/// How often each kind of call ended in each way.
type Counts = BTreeMap<(String, String), u32>;

fn memory() -> MemoryStore {
    MemoryStore::builder().sweep_interval(Duration::ZERO).build()
}

async fn judge(
    component: &Component,
    rules: Rules,
    calls: &[Call],
    counts: &RefCell<Counts>,
) -> Result<(), TestCaseError> {
    let mut model = Model::new(rules);
    let mut fixtures = [
        Fixture::new(component, rules, memory()).await,
        Fixture::new(component, rules, NeverReady::new(memory())).await,
    ];
    for (step, call) in calls.iter().enumerate() {
        let damage_shows = match call {
            Call::Open(shown) | Call::Verify(shown) => fixtures[0].damage_shows(shown),
            _ => true,
        };
        let predicted = model.predict(call, damage_shows);
        for (fixture, name) in fixtures.iter_mut().zip(["at once", "never at once"]) {
            let said = fixture.said.len();
            let told = fixture.call(call).await;
            prop_assert_eq!(&told, &predicted, "step {}, {:?}, {}", step, call, name);
            let secrets = fixture.secrets();
            let leak = fixture.said[said..]
                .iter()
                .find(|text| secrets.iter().any(|secret| text.contains(secret)));
            prop_assert!(
                leak.is_none(),
                "step {}, {:?} says a secret: {:?}",
                step,
                call,
                leak
            );
        }
        let [at_once, never] = &fixtures;
        prop_assert_eq!(&at_once.said, &never.said, "step {}", step);
        // Random bytes are asked for once, however often a call is repeated.
        prop_assert_eq!(
            (&at_once.tokens, &at_once.csrf),
            (&never.tokens, &never.csrf),
            "step {}",
            step
        );
        if predicted != Told::Skipped {
            *counts
                .borrow_mut()
                .entry((call.kind(), predicted.kind()))
                .or_default() += 1;
        }
    }
    Ok(())
}

#[test]
fn whatever_is_called_answers_as_foretold_over_stores_that_answer_at_once_and_never() {
    let component = Component::embedded().expect("the embedded component runs here");
    let config = Config {
        cases: SEQUENCES.max(Config::default().cases),
        failure_persistence: None,
        ..Config::default()
    };
    let (counts, cases) = (RefCell::new(Counts::new()), Cell::new(0_u32));
    let strategy = (plan::any_rules(), plan::any_calls(CALLS));
    // The same calls each time, so that what they reach is the same.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let ran = TestRunner::new_with_rng(config, rng).run(&strategy, |(rules, calls)| {
        cases.set(cases.get() + 1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime
            .expect("a runtime")
            .block_on(judge(&component, rules, &calls, &counts))
    });
    if let Err(refuted) = ran {
        panic!("{refuted}");
    }
    let counts = counts.into_inner();
    let calls: u32 = counts.values().sum();
    println!(
        "{calls} calls of {} sequences judged, each over two stores",
        cases.get()
    );
    let mut ways: BTreeMap<&str, u32> = BTreeMap::new();
    for ((_, way), count) in &counts {
        *ways.entry(way).or_default() += count;
    }
    println!("{ways:?}");
    // What is not reached is not tried.
    for way in [
        "closed",
        "missing",
        "replaced",
        "reused",
        "draft",
        "token",
        "csrf",
        "argument",
        "value",
        "limit",
        "conflict",
        "subject-required",
        "convert",
        "granted",
        "listed",
        "claimed",
    ] {
        assert!(ways.contains_key(way), "no call ended as {way}: {ways:?}");
    }
}
