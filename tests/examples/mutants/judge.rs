//! The tests that must detect a mutant.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tessera::Component;
use tessera::store::MemoryStore;
use tessera_tests::interleave::campaign::{campaigns, explore_all};
use tessera_tests::scenario::{self, Pace, Scenario};

const THREADS: usize = 2;
/// The campaigns, in their order: the quick ones first.
const CAMPAIGNS: &[&str] = &[
    "clocks-2",
    "stale-2",
    "failover-2",
    "shared-2-1",
    "evict-1-3",
    "renewals-2",
    "faults-2-2",
];

/// Returns the first test that a component fails, or `None` if it passes all.
pub(crate) fn find_fault(component: &Component) -> Option<String> {
    let scenarios = scenario::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"));
    let scenarios = match scenarios {
        Ok(scenarios) => scenarios,
        Err(error) => return Some(error),
    };
    [Pace::Own, Pace::NeverReady]
        .iter()
        .find_map(|pace| in_scenarios(component, &scenarios, *pace))
        .or_else(|| in_interleavings(component))
}

fn in_scenarios(component: &Component, scenarios: &[Scenario], pace: Pace) -> Option<String> {
    let (next, found, first) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                let Ok(runtime) = runtime else { return };
                while !found.load(Ordering::Relaxed)
                    && let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
                    if runtime
                        .block_on(scenario::run_on(component, scenario, store, pace))
                        .is_err()
                    {
                        found.store(true, Ordering::Relaxed);
                        if let Ok(mut first) = first.lock() {
                            *first = Some(format!("{}: {}", scenario.file, scenario.name));
                        }
                    }
                }
            });
        }
    });
    first.into_inner().ok().flatten()
}

fn in_interleavings(component: &Component) -> Option<String> {
    campaigns()
        .into_iter()
        .filter(|campaign| CAMPAIGNS.contains(&campaign.name.as_str()))
        .find_map(|campaign| {
            let (_, violations) = explore_all(&campaign.plans, component, campaign.how);
            let first = violations.first()?;
            Some(format!("{}: {}: {}", campaign.name, first.plan, first.what))
        })
}
