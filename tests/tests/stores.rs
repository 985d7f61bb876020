//! The built-in stores pass the suite, and tests of their own.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tessera::Timestamp;
use tessera::store::{
    Capabilities, Condition, Deletion, Durability, Entry, Eviction, Expected, MemoryStore,
    MemoryStoreBuilder, Methods, Placement, SqliteStore, SqliteStoreBuilder, SqliteStoreError, Store,
    StoreError, StoreOp, StoreReply,
};
use tessera_tests::store_suite::{Report, Suite};

#[path = "stores/cache_over.rs"]
mod cache_over;
#[expect(dead_code, reason = "its main is for the command line")]
#[path = "../../host/examples/custom_store.rs"]
mod custom_store;
#[path = "stores/guards.rs"]
mod guards;
#[path = "stores/in_cache.rs"]
mod in_cache;
#[path = "stores/in_memory.rs"]
mod in_memory;
#[path = "stores/in_redis.rs"]
mod in_redis;
#[path = "stores/in_sql.rs"]
mod in_sql;
#[path = "stores/in_sqlite.rs"]
mod in_sqlite;
#[path = "stores/read_only.rs"]
mod read_only;
#[path = "stores/redis_eviction.rs"]
mod redis_eviction;
#[path = "stores/redis_formats.rs"]
mod redis_formats;
#[path = "stores/redis_layout.rs"]
mod redis_layout;
#[path = "stores/redis_limits.rs"]
mod redis_limits;
#[path = "stores/redis_trouble.rs"]
mod redis_trouble;
#[path = "stores/sql_pooler.rs"]
mod sql_pooler;
#[path = "stores/sql_trouble.rs"]
mod sql_trouble;
#[path = "stores/sqlite_file.rs"]
mod sqlite_file;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_keeps_the_suite() {
    let suite = Suite::new(async || memory().build())
        .with_sweep(|store, now| Box::pin(async move { Ok(MemoryStore::sweep(store, now)) }));
    nothing_skipped_and_all_hold("memory", &suite.run().await);
}

/// The example for whoever writes a store. `Methods` calls it as the engine does, by operations and replies.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_example_of_a_custom_store_keeps_the_suite() {
    let suite = Suite::new(async || Methods(custom_store::MapStore::default()))
        .with_sweep(|store, now| Box::pin(async move { Ok(store.sweep(now)) }));
    nothing_skipped_and_all_hold("the example", &suite.run().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_store_keeps_the_suite_with_either_durability() {
    for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
        let directory = TempDir::new().expect("a directory");
        let file = std::sync::atomic::AtomicUsize::new(0);
        let suite = Suite::new(async || {
            let n = file.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            sqlite()
                .durability(durability)
                .open(directory.path().join(format!("{n}.db")))
                .expect("a store")
        })
        .with_sweep(|store, now| {
            Box::pin(async move { store.sweep(now).await.map_err(|error| error.to_string()) })
        });
        nothing_skipped_and_all_hold(&format!("sqlite, {durability:?}"), &suite.run().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_store_does_not_offer_is_reported_as_skipped_by_name() {
    let excused = "values with nul come back byte for byte";
    let report = Suite::new(async || {
        Methods(Lesser {
            inner: memory().build(),
            breaks_its_word: false,
        })
    })
    .excuse(excused, "its text columns end at NUL")
    .run()
    .await;
    assert!(report.is_clean(), "{report}");
    let skipped: Vec<_> = report.skipped().collect();
    for name in [
        "an acknowledged insert is listed",
        "of 64 parallel inserts exactly one wins",
        excused,
    ] {
        assert!(skipped.contains(&name), "{name} was not skipped:\n{report}");
    }
    assert!(!skipped.contains(&"a get answers what was inserted"));
    assert!(
        report
            .to_string()
            .contains("skipped: an acknowledged insert is listed: no list by owner")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_breaks_the_contract_is_reported_as_failed_by_name() {
    let make = async || {
        Methods(Lesser {
            inner: memory().build(),
            breaks_its_word: true,
        })
    };
    let report = Suite::new(make)
        .excuse("no such property", "a mistake")
        .run()
        .await;
    assert!(!report.is_clean());
    let report = report.to_string();
    for name in [
        "a touch moves the expiry and keeps version and value",
        "a delete is done only while its condition holds",
        "delete many leaves entries with another guard",
        "no such property",
    ] {
        assert!(
            report.contains(&format!("FAILED: {name}: ")),
            "{name} did not fail:\n{report}"
        );
    }
}

/// Deletions of these keys, whatever guards their entries have.
fn whatever_guard(keys: &[String]) -> Vec<Deletion> {
    let deletion = |key: &String| Deletion {
        key: key.clone(),
        guard: None,
    };
    keys.iter().map(deletion).collect()
}

/// A store that states less than it has, and perhaps breaks its word.
struct Lesser {
    inner: MemoryStore,
    breaks_its_word: bool,
}

impl tessera::store::StoreService for Lesser {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: false,
            list_by_owner: false,
            ..Store::describe(&self.inner)
        }
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        if let StoreOp::ListOwned { .. } = op {
            return op.failed(StoreError::Unsupported);
        }
        let mut op = op.clone();
        match &mut op {
            _ if !self.breaks_its_word => {}
            StoreOp::Touch { key, .. } => {
                return StoreReply::Done(self.inner.get(now, key, true).await.map(|_| ()));
            }
            // Whatever the condition, it is met.
            StoreOp::Delete { key, condition } => {
                if let Ok(entry) = self.inner.get(now, key, true).await {
                    *condition = Condition::Guard(entry.guard);
                }
            }
            StoreOp::DeleteMany { deletions, .. } => {
                deletions.iter_mut().for_each(|deletion| deletion.guard = None);
            }
            _ => {}
        }
        tessera::store::StoreService::call(&self.inner, now, &op).await
    }
}

fn nothing_skipped_and_all_hold(store: &str, report: &Report) {
    // Not `print`, which the test harness would swallow: a skipped property is to be seen.
    let _ = writeln!(
        std::io::stderr(),
        "{store}: {} properties asked",
        report.lines.len()
    );
    assert!(report.is_clean(), "{store}:\n{report}");
    assert_eq!(
        report.skipped().collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "a built-in store offers everything"
    );
}

/// Without a sweeper: the suite has clocks of its own.
fn memory() -> MemoryStoreBuilder {
    MemoryStore::builder().sweep_interval(Duration::ZERO)
}

fn sqlite() -> SqliteStoreBuilder {
    SqliteStore::builder().sweep_interval(Duration::ZERO)
}

/// A moment at which nothing that these tests insert has expired.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn until(seconds: u64) -> Placement {
    let expires_at = NOW.saturating_add(Duration::from_secs(seconds));
    let ends_at = expires_at.saturating_add(Duration::from_secs(86_400));
    Placement {
        owner: None,
        previous_owner: None,
        guard: None,
        expires_at,
        ends_at,
    }
}

fn seconds(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

/// Polls once, as the driver does: answers what is there at once.
fn at_once<T>(question: impl Future<Output = T>) -> T {
    match pin!(question).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the answer is not there at the first poll"),
    }
}

/// Waits for an answer on this thread, without any runtime.
fn wait<T>(question: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut question = pin!(question);
    loop {
        match question.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Waits until something is so; a minute without it is a failure.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what}: not within a minute"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
