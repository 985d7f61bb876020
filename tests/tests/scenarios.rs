//! Every scenario of `tests/scenarios/`, over stores that answer at once and stores that never do.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tessera::store::{CachedStore, Durability, MemoryStore, RedisStore, RedisUrl, SqlStore, SqliteStore};
use tessera_tests::scenario::{self, Pace, Scenario};
use tessera_tests::servers::{MariaDb, Postgres, RedisCluster, RedisSentinels, RedisServer, Server};

#[path = "scenarios/coverage.rs"]
mod coverage;
#[path = "scenarios/mistakes.rs"]
mod mistakes;

/// How many run at a time: most of it is waiting for files.
const AT_ONCE: usize = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn scenarios() -> Vec<Scenario> {
    scenario::load(&folder()).expect("the scenarios can be read")
}

/// Runs all, several at a time. `TESSERA_SCENARIO` selects some of them.
fn all_pass(over: &str, run: impl AsyncFn(Scenario) -> Result<(), String> + Sync) {
    let chosen = scenario::chosen().expect("scenarios");
    let run = async |(): &(), scenario: &Scenario| run(scenario.clone()).await;
    let failures = scenario::each(&chosen, AT_ONCE, || Ok(()), run).expect("runtimes");
    // Not `print`, whose text the test harness would capture.
    let _ = writeln!(
        std::io::stderr(),
        "{over}: {} scenarios, {} failed",
        chosen.len(),
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{over}: {} of {} failed\n{}",
        failures.len(),
        chosen.len(),
        failures.join("\n")
    );
}

/// Without a sweeper: the scenarios have a clock of their own.
fn memory() -> MemoryStore {
    MemoryStore::builder().sweep_interval(Duration::ZERO).build()
}

fn sqlite(directory: &TempDir, scenario: &Scenario) -> SqliteStore {
    // Any name that no other scenario of this directory has.
    let name: String = format!("{}-{}", scenario.file, scenario.name)
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte)
            } else {
                '-'
            }
        })
        .collect();
    let builder = SqliteStore::builder()
        .sweep_interval(Duration::ZERO)
        .durability(Durability::ProcessCrash);
    builder
        .readers(1)
        .open(directory.path().join(name))
        .expect("a file in a new directory")
}

#[test]
fn all_scenarios_pass_over_memory() {
    all_pass("memory", async |scenario| {
        scenario::run(&scenario, memory(), Pace::Own).await
    });
}

/// The others run with what is remembered.
#[test]
fn all_scenarios_pass_where_nothing_is_remembered_of_opens() {
    all_pass("memory, forgetful", async |scenario| {
        scenario::run(&scenario, memory(), Pace::Forgetful).await
    });
}

#[test]
fn all_scenarios_pass_over_memory_that_never_answers_at_once() {
    all_pass("memory, never ready", async |scenario| {
        scenario::run(&scenario, memory(), Pace::NeverReady).await
    });
}

#[test]
fn all_scenarios_pass_over_sqlite() {
    let directory = TempDir::new().expect("a directory");
    all_pass("sqlite", async |scenario| {
        scenario::run(&scenario, sqlite(&directory, &scenario), Pace::Own).await
    });
}

#[test]
fn all_scenarios_pass_over_sqlite_that_never_answers_at_once() {
    let directory = TempDir::new().expect("a directory");
    all_pass("sqlite, never ready", async |scenario| {
        scenario::run(&scenario, sqlite(&directory, &scenario), Pace::NeverReady).await
    });
}

/// All over one Redis, each under a prefix of its own.
fn all_pass_in_redis(over: &str, url: &str) {
    let stores = AtomicUsize::new(0);
    all_pass(over, async |scenario| {
        let n = stores.fetch_add(1, Ordering::Relaxed);
        let url: RedisUrl = format!("{url}?prefix={n}:").parse().expect("a URL");
        let store = RedisStore::open(&url).await.expect("an open store");
        scenario::run(&scenario, store, Pace::Own).await
    });
}

#[test]
fn all_scenarios_pass_over_redis() {
    all_pass_in_redis("redis", &RedisServer::start(&[]).url());
}

#[test]
fn all_scenarios_pass_over_a_cluster_of_redis() {
    all_pass_in_redis("redis, Cluster", &RedisCluster::start(&[]).url());
}

#[test]
fn all_scenarios_pass_over_a_redis_that_sentinels_name() {
    all_pass_in_redis("redis, Sentinel", &RedisSentinels::start(&[]).url());
}

#[test]
fn all_scenarios_pass_over_a_cache_over_redis_and_over_one_over_postgres() {
    let (redis, postgres, stores) = (RedisServer::start(&[]), Postgres::start(), AtomicUsize::new(0));
    all_pass("cached, redis", async |scenario| {
        let n = stores.fetch_add(1, Ordering::Relaxed);
        let url: RedisUrl = format!("{}?prefix={n}:", redis.url()).parse().expect("a URL");
        let store = RedisStore::open(&url).await.expect("an open store");
        scenario::run(&scenario, CachedStore::for_one_process(store), Pace::Own).await
    });
    all_pass("cached, postgres", async |scenario| {
        let builder = SqlStore::builder()
            .sweep_interval(Duration::ZERO)
            .max_connections(4);
        let builder = builder.table(format!("cached{}", stores.fetch_add(1, Ordering::Relaxed)));
        let store = builder.open(&postgres.url()).await.expect("a store");
        scenario::run(&scenario, CachedStore::for_one_process(store), Pace::Own).await
    });
}

/// All over one server, each in a table of its own.
fn all_pass_in(over: &str, server: &impl Server, pace: Pace) {
    let tables = AtomicUsize::new(0);
    all_pass(over, async |scenario| {
        let builder = SqlStore::builder()
            .sweep_interval(Duration::ZERO)
            .max_connections(4)
            .table(format!("scenario{}", tables.fetch_add(1, Ordering::Relaxed)));
        let store = builder.open(&server.url()).await.expect("a store");
        scenario::run(&scenario, store, pace).await
    });
}

#[test]
fn all_scenarios_pass_over_postgres() {
    all_pass_in("postgres", &Postgres::start(), Pace::Own);
}

#[test]
fn all_scenarios_pass_over_mariadb() {
    all_pass_in("mariadb", &MariaDb::start(), Pace::Own);
}
