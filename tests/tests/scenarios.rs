//! Every scenario of `tests/scenarios/`, over stores that answer at once and stores that never do.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tessera::store::{Durability, MemoryStore, SqliteStore};
use tessera_tests::scenario::{self, Pace, Scenario};

#[path = "scenarios/coverage.rs"]
mod coverage;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn scenarios() -> Vec<Scenario> {
    scenario::load(&folder()).expect("the scenarios can be read")
}

/// Runs all, and tells of every one that failed. `TESSERA_SCENARIO` names a part of those to be run.
async fn all_pass<'a, F>(over: &str, scenarios: &'a [Scenario], run: impl Fn(&'a Scenario) -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let wanted = std::env::var("TESSERA_SCENARIO").unwrap_or_default();
    let (mut ran, mut failures) = (0, Vec::new());
    for scenario in scenarios {
        if format!("{}: {}", scenario.file, scenario.name).contains(&wanted) {
            ran += 1;
            failures.extend(run(scenario).await.err());
        }
    }
    let _ = writeln!(std::io::stderr(), "{over}: {ran} scenarios, {} failed", failures.len());
    assert!(failures.is_empty(), "{over}: {} of {ran} failed\n{}", failures.len(), failures.join("\n"));
    assert!(ran > 0, "no scenario is called so: {wanted}");
}

/// Without a sweeper: the scenarios have a clock of their own.
fn memory() -> MemoryStore {
    MemoryStore::builder().sweep_interval(Duration::ZERO).build()
}

fn sqlite(directory: &TempDir, scenario: &Scenario) -> SqliteStore {
    // Any name that no other scenario of this directory has.
    let name: String = format!("{}-{}", scenario.file, scenario.name)
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte) } else { '-' })
        .collect();
    let builder = SqliteStore::builder().sweep_interval(Duration::ZERO).durability(Durability::ProcessCrash);
    builder.readers(1).open(directory.path().join(name)).expect("a file in a new directory")
}

#[tokio::test]
async fn all_scenarios_pass_over_memory() {
    let scenarios = scenarios();
    all_pass("memory", &scenarios, |scenario| scenario::run(scenario, memory(), Pace::Own)).await;
}

#[tokio::test]
async fn all_scenarios_pass_over_memory_that_never_answers_at_once() {
    let scenarios = scenarios();
    all_pass("memory, never ready", &scenarios, |scenario| scenario::run(scenario, memory(), Pace::NeverReady))
        .await;
}

#[tokio::test]
async fn all_scenarios_pass_over_sqlite() {
    let (scenarios, directory) = (scenarios(), TempDir::new().expect("a directory"));
    all_pass("sqlite", &scenarios, |scenario| scenario::run(scenario, sqlite(&directory, scenario), Pace::Own)).await;
}

#[tokio::test]
async fn all_scenarios_pass_over_sqlite_that_never_answers_at_once() {
    let (scenarios, directory) = (scenarios(), TempDir::new().expect("a directory"));
    all_pass("sqlite, never ready", &scenarios, |scenario| {
        scenario::run(scenario, sqlite(&directory, scenario), Pace::NeverReady)
    })
    .await;
}
