//! Every store under load with faults: what was acknowledged is found. Longer with `cargo xtask chaos`.

use std::io::Write as _;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tessera_tests::chaos::{SEED, Store, run};

/// Each for so long, unless `TESSERA_FAULTED_SECONDS` says otherwise.
const SECONDS: u64 = 30;

/// So many at a time: each is two services, a database and eight clients.
const AT_ONCE: u32 = 2;
static UNDER_WAY: Mutex<u32> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A place among those under way, given back also by a test that panics.
struct Turn;

impl Turn {
    fn take() -> Self {
        let count = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let free = ENDED.wait_while(count, |count| *count >= AT_ONCE);
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

fn loses_nothing(store: Store) {
    let _turn = Turn::take();
    let load = Duration::from_secs(number("TESSERA_FAULTED_SECONDS", SECONDS));
    let report = run(store, number("TESSERA_SEED", SEED), load);
    let line = report.line() + "\n";
    // Not captured: these are the numbers.
    let _ = std::io::stdout().write_all(line.as_bytes());
    assert!(report.wrong.is_empty(), "{line}{:#?}", report.wrong);
    assert_eq!(report.acknowledged, report.found, "{line}");
    assert!(
        report.acknowledged.iter().all(|count| *count > 0) && report.faults.len() >= 3,
        "too little happened: {line}"
    );
}

#[test]
fn redis_under_faults_loses_nothing_that_was_acknowledged() {
    loses_nothing(Store::Redis);
}

#[test]
fn caches_before_redis_under_faults_are_old_by_their_bound_at_most() {
    loses_nothing(Store::CachedRedis);
}

#[test]
fn postgres_under_faults_loses_nothing_that_was_acknowledged() {
    loses_nothing(Store::Postgres);
}

#[test]
fn mariadb_under_faults_loses_nothing_that_was_acknowledged() {
    loses_nothing(Store::MariaDb);
}

#[test]
fn sqlite_under_killed_services_loses_nothing_that_was_acknowledged() {
    loses_nothing(Store::Sqlite);
}
