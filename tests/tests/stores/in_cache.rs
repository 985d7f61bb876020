//! What is the cache's alone: how old an answer may be, and what is asked of the store behind.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tessera::store::{CachedStore, Cause, Condition, Expected, Methods, StoreOp, StoreReply, StoreService};
use tokio::sync::Notify;

use super::*;

const MAX_STALE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cache_keeps_the_suite() {
    let suite = Suite::new(async || Methods(CachedStore::new(memory().build(), MAX_STALE)));
    nothing_but_the_sweep_skipped("cached, 5 s", &suite.run().await);
    let suite = Suite::new(async || Methods(CachedStore::for_one_process(memory().build())));
    nothing_but_the_sweep_skipped("cached, one process", &suite.run().await);
}

/// Sweeping is the store's behind.
#[track_caller]
pub(super) fn nothing_but_the_sweep_skipped(name: &str, report: &Report) {
    let _ = writeln!(
        std::io::stderr(),
        "{name}: {} properties asked",
        report.lines.len()
    );
    assert!(report.is_clean(), "{report}");
    let others: Vec<&str> = report.skipped().filter(|name| !name.contains("swe")).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// A store whose reads can be held up after they have read, counted, and made to fail.
#[derive(Clone)]
struct Held {
    inner: MemoryStore,
    reads: Arc<AtomicUsize>,
    holds: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
    /// Deletes are done later than they are answered, with an error.
    late: Arc<AtomicBool>,
    released: Arc<Notify>,
}

impl Held {
    fn new() -> Self {
        Self {
            inner: memory().build(),
            reads: Arc::default(),
            holds: Arc::default(),
            fails: Arc::default(),
            late: Arc::default(),
            released: Arc::default(),
        }
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl StoreService for Held {
    fn describe(&self) -> Capabilities {
        StoreService::describe(&self.inner)
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let failed = || op.failed(StoreError::Unavailable(Cause::new("as the test asks")));
        match op {
            StoreOp::Get { .. } => {
                self.reads.fetch_add(1, Ordering::SeqCst);
                let reply = self.inner.call(now, op).await;
                if self.holds.load(Ordering::SeqCst) {
                    self.released.notified().await;
                }
                if self.fails.load(Ordering::SeqCst) {
                    return failed();
                }
                reply
            }
            StoreOp::Delete { .. } if self.late.load(Ordering::SeqCst) => failed(),
            _ => self.inner.call(now, op).await,
        }
    }
}

fn text(answer: Result<Entry, StoreError>) -> String {
    answer.map_or_else(|error| error.to_string(), |entry| entry.value.to_string())
}

#[tokio::test(start_paused = true)]
async fn what_another_process_has_destroyed_is_served_for_max_stale_and_no_longer() {
    let shared = memory().build();
    let (mine, theirs) = (
        Methods(CachedStore::new(shared.clone(), MAX_STALE)),
        Methods(CachedStore::new(shared, MAX_STALE)),
    );
    mine.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    assert_eq!(text(mine.get(NOW, "key", false).await), "1");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(
        theirs
            .delete(NOW, "key", &Condition::Guard(0))
            .await
            .expect("deleted")
    );
    assert!(matches!(
        theirs.get(NOW, "key", false).await,
        Err(StoreError::Missing)
    ));

    tokio::time::advance(Duration::from_millis(2_999)).await;
    assert_eq!(text(mine.get(NOW, "key", false).await), "1");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(
        mine.get(NOW, "key", false).await,
        Err(StoreError::Missing)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_read_shows_what_others_wrote_and_later_reads_do_not_go_back() {
    let shared = memory().build();
    let mine = Methods(CachedStore::new(shared.clone(), MAX_STALE));
    let version = mine.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    assert_eq!(text(mine.get(NOW, "key", false).await), "1");
    shared
        .replace(NOW, "key", "2", Expected::Version(version), &until(60))
        .await
        .expect("replaced");
    assert_eq!(text(mine.get(NOW, "key", false).await), "1");
    assert_eq!(text(mine.get(NOW, "key", true).await), "2");
    assert_eq!(text(mine.get(NOW, "key", false).await), "2");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_others_have_touched_lives_on() {
    let shared = memory().build();
    let mine = Methods(CachedStore::for_one_process(shared.clone()));
    mine.insert(NOW, "key", "1", &until(10)).await.expect("inserted");
    assert_eq!(text(mine.get(NOW, "key", false).await), "1");
    shared
        .touch(NOW, "key", None, until(60).expires_at)
        .await
        .expect("touched");
    let later = NOW.saturating_add(Duration::from_secs(20));
    assert_eq!(text(mine.get(later, "key", false).await), "1");
}

#[tokio::test]
async fn a_read_from_before_a_write_is_not_kept_after_it() {
    for write in ["replace", "touch", "delete", "delete-many"] {
        let held = Held::new();
        let cached = Arc::new(Methods(CachedStore::for_one_process(held.clone())));
        let at = Placement {
            owner: Some("owner".into()),
            ..until(60)
        };
        let version = cached.insert(NOW, "key", "1", &at).await.expect("inserted");
        held.holds.store(true, Ordering::SeqCst);
        let reader = Arc::clone(&cached);
        let read = tokio::spawn(async move { reader.get(NOW, "key", false).await });
        while held.reads() == 0 {
            tokio::task::yield_now().await;
        }
        held.holds.store(false, Ordering::SeqCst);
        match write {
            "replace" => drop(
                cached
                    .replace(NOW, "key", "2", Expected::Version(version), &at)
                    .await
                    .expect("replaced"),
            ),
            "touch" => cached
                .touch(NOW, "key", Some("owner"), until(90).expires_at)
                .await
                .expect("touched"),
            "delete" => assert!(
                cached
                    .delete(NOW, "key", &Condition::Owner("owner".into()))
                    .await
                    .expect("deleted")
            ),
            _ => assert_eq!(
                cached
                    .delete_many(NOW, &whatever_guard(&["key".to_owned()]), "owner")
                    .await
                    .expect("deleted"),
                1
            ),
        }
        // What was read before the write comes only now.
        held.released.notify_waiters();
        assert_eq!(text(read.await.expect("no panic")), "1");
        let now = cached.get(NOW, "key", false).await;
        match write {
            "replace" => assert_eq!(text(now), "2"),
            "touch" => assert_eq!(now.expect("there").expires_at, until(90).expires_at),
            _ => assert!(matches!(now, Err(StoreError::Missing))),
        }
    }
}

#[tokio::test]
async fn many_who_miss_at_once_ask_once_and_if_that_fails_each_for_themselves() {
    for fails in [false, true] {
        let held = Held::new();
        let cached = Arc::new(Methods(CachedStore::new(held.clone(), MAX_STALE)));
        cached
            .insert(NOW, "key", "1", &until(60))
            .await
            .expect("inserted");
        held.holds.store(true, Ordering::SeqCst);
        held.fails.store(fails, Ordering::SeqCst);
        let readers: Vec<_> = (0..64)
            .map(|_| {
                let cached = Arc::clone(&cached);
                tokio::spawn(async move { cached.get(NOW, "key", false).await })
            })
            .collect();
        while held.reads() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(held.reads(), 1);
        held.released.notify_waiters();
        if fails {
            // All the others at once, not one after the other.
            while held.reads() < 64 {
                tokio::task::yield_now().await;
            }
            held.released.notify_waiters();
        }
        for reader in readers {
            let answer = reader.await.expect("no panic");
            assert_eq!(answer.is_err(), fails);
        }
        assert_eq!(held.reads(), if fails { 64 } else { 1 });
    }
}

#[tokio::test]
async fn who_goes_away_while_others_wait_leaves_the_question_to_them() {
    let held = Held::new();
    let cached = Arc::new(Methods(CachedStore::new(held.clone(), MAX_STALE)));
    cached
        .insert(NOW, "key", "1", &until(60))
        .await
        .expect("inserted");
    held.holds.store(true, Ordering::SeqCst);
    let read = |cached: &Arc<Methods<CachedStore<Held>>>| {
        let cached = Arc::clone(cached);
        tokio::spawn(async move { cached.get(NOW, "key", false).await })
    };
    let (first, second) = (read(&cached), read(&cached));
    while held.reads() == 0 {
        tokio::task::yield_now().await;
    }
    held.holds.store(false, Ordering::SeqCst);
    first.abort();
    assert_eq!(text(second.await.expect("no panic")), "1");
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_that_takes_effect_late_is_seen_at_once() {
    let held = Held::new();
    let cached = Methods(CachedStore::for_one_process(held.clone()));
    cached
        .insert(NOW, "key", "1", &until(600))
        .await
        .expect("inserted");
    assert_eq!(text(cached.get(NOW, "key", false).await), "1");
    held.late.store(true, Ordering::SeqCst);
    cached
        .delete(NOW, "key", &Condition::Guard(0))
        .await
        .expect_err("nobody knows");
    assert_eq!(text(cached.get(NOW, "key", false).await), "1");
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(text(cached.get(NOW, "key", false).await), "1");
    // Only now the server does what it was asked.
    held.inner
        .delete(NOW, "key", &Condition::Guard(0))
        .await
        .expect("deleted");
    let gone = cached.get(NOW, "key", false).await;
    assert!(matches!(gone, Err(StoreError::Missing)));
}

#[tokio::test(start_paused = true)]
async fn a_key_in_doubt_is_kept_again_after_a_minute() {
    let held = Held::new();
    let cached = Methods(CachedStore::for_one_process(held.clone()));
    cached
        .insert(NOW, "key", "1", &until(600))
        .await
        .expect("inserted");
    held.late.store(true, Ordering::SeqCst);
    cached
        .delete(NOW, "key", &Condition::Guard(0))
        .await
        .expect_err("nobody knows");
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..3 {
        assert_eq!(text(cached.get(NOW, "key", false).await), "1");
    }
    assert_eq!(held.reads(), 1);
}

#[tokio::test]
async fn what_is_forgotten_is_read_again() {
    let held = Held::new();
    let cached = Methods(CachedStore::for_one_process(held.clone()));
    cached
        .insert(NOW, "key", "1", &until(60))
        .await
        .expect("inserted");
    for reads in 1..=3 {
        for _ in 0..2 {
            assert_eq!(text(cached.get(NOW, "key", false).await), "1");
        }
        assert_eq!(held.reads(), reads);
        if reads == 1 {
            cached.forget("key");
        } else {
            cached.forget_all();
        }
    }
}

/// Readers and writers at once: no `get` that begins after a write was acknowledged answers what was there before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_one_process_no_read_is_older_than_an_acknowledged_write() {
    let cached = Arc::new(Methods(CachedStore::new(memory().build(), MAX_STALE)));
    let version = cached
        .insert(NOW, "key", "0", &until(60))
        .await
        .expect("inserted");
    let (acknowledged, version) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(version)));
    let mut tasks = Vec::new();
    for task in 0..8 {
        let (cached, acknowledged) = (Arc::clone(&cached), Arc::clone(&acknowledged));
        let version = Arc::clone(&version);
        tasks.push(tokio::spawn(async move {
            for n in 1..=4_000_usize {
                if task == 0 {
                    let expected = *version.lock().expect("no panic");
                    let text = n.to_string();
                    let written = cached
                        .replace(NOW, "key", &text, Expected::Version(expected), &until(60))
                        .await;
                    *version.lock().expect("no panic") = written.expect("replaced");
                    acknowledged.store(n, Ordering::SeqCst);
                } else {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let read = text(cached.get(NOW, "key", false).await);
                    assert!(read.parse::<usize>().expect("a number") >= before);
                }
                if n % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("no stale read");
    }
}

#[tokio::test]
async fn it_keeps_no_more_than_it_is_given() {
    let held = Held::new();
    let cached = Methods(CachedStore::new(held.clone(), MAX_STALE).capacity_bytes(64 * 1024));
    let value = "v".repeat(1024);
    for n in 0..1_000 {
        let key = format!("key {n}");
        cached
            .insert(NOW, &key, &value, &until(60))
            .await
            .expect("inserted");
        cached.get(NOW, &key, false).await.expect("read");
    }
    let mut hits = 0;
    for n in 0..1_000 {
        let reads = held.reads();
        cached.get(NOW, &format!("key {n}"), false).await.expect("read");
        hits += usize::from(held.reads() == reads);
    }
    // A KiB each, and what goes with it.
    assert!((10..=64).contains(&hits), "{hits} are kept");
}
