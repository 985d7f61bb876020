//! The built-in stores keep the suite, and what is theirs alone.

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
    Durability, Eviction, MemoryStore, MemoryStoreBuilder, Placement, SqliteStore, SqliteStoreBuilder,
    SqliteStoreError, Store, StoreError,
};
use tessera_tests::store_suite::{Report, Suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_keeps_the_suite() {
    let suite = Suite::new(async || memory().build())
        .with_sweep(|store, now| Box::pin(async move { Ok(MemoryStore::sweep(store, now)) }));
    nothing_skipped_and_all_hold("memory", &suite.run().await);
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

mod in_memory {
    use super::*;

    #[test]
    fn every_answer_is_there_at_the_first_poll_without_a_runtime() {
        let store = MemoryStore::new();
        let at = Placement {
            owner: Some("owner".to_owned()),
            ..until(60)
        };
        let version = at_once(store.insert(NOW, "key", "1", &at)).expect("inserted");
        at_once(store.get(NOW, "key", false)).expect("there");
        at_once(store.replace(NOW, "key", "2", version, &at)).expect("replaced");
        at_once(store.touch(NOW, "key", None, at.expires_at)).expect("touched");
        at_once(store.get_many(NOW, &["key".to_owned()])).expect("read");
        at_once(store.list_owned(NOW, "owner", "", 1)).expect("listed");
        at_once(store.delete_many(NOW, &["key".to_owned()], "owner")).expect("deleted");
        at_once(store.delete(NOW, "key", None)).expect("asked");
    }

    #[test]
    fn a_get_shares_the_stored_text() {
        let store = memory().build();
        at_once(store.insert(NOW, "key", "1", &until(60))).expect("inserted");
        let [first, second] = [(); 2].map(|()| at_once(store.get(NOW, "key", false)).expect("there").value);
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn a_clone_is_the_same_store() {
        let store = memory().build();
        at_once(store.clone().insert(NOW, "key", "1", &until(60))).expect("inserted");
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn the_capacity_is_exact_however_many_threads_insert() {
        for eviction in [Eviction::Refuse, Eviction::SoonestExpiry] {
            let store = memory().capacity(500).eviction(eviction).build();
            let done: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|thread| {
                        let store = &store;
                        scope.spawn(move || {
                            let insert = |n: u64| {
                                let done =
                                    at_once(store.insert(NOW, &format!("{thread} {n}"), "1", &until(60 + n)));
                                assert!(store.len() <= 500);
                                match done {
                                    Ok(_) => true,
                                    Err(StoreError::Full) => false,
                                    Err(error) => panic!("{error}"),
                                }
                            };
                            (0..200_u64).filter(|n| insert(*n)).count()
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("no panic"))
                    .sum()
            });
            assert_eq!(store.len(), 500);
            assert_eq!(store.count_live(NOW), 500);
            match eviction {
                Eviction::Refuse => assert_eq!((done, store.evicted()), (500, 0)),
                _ => assert_eq!(store.evicted(), done as u64 - 500),
            }
        }
    }

    #[test]
    fn a_full_store_refuses_and_keeps_what_it_has() {
        let store = memory().capacity(2).build();
        let version = at_once(store.insert(NOW, "a", "1", &until(60))).expect("inserted");
        at_once(store.insert(NOW, "b", "1", &until(60))).expect("inserted");
        assert!(matches!(
            at_once(store.insert(NOW, "c", "1", &until(60))),
            Err(StoreError::Full)
        ));
        assert!(matches!(
            at_once(store.insert(NOW, "a", "1", &until(60))),
            Err(StoreError::Stale)
        ));
        at_once(store.replace(NOW, "a", "2", version, &until(60))).expect("a replace needs no room");
        assert!(at_once(store.delete(NOW, "b", None)).expect("deleted"));
        at_once(store.insert(NOW, "c", "1", &until(60))).expect("room again");
        assert_eq!((store.len(), store.evicted()), (2, 0));
    }

    #[test]
    fn a_full_store_makes_room_from_what_expired_longest_ago() {
        for eviction in [Eviction::Refuse, Eviction::SoonestExpiry] {
            let store = memory().capacity(3).eviction(eviction).build();
            for (key, life) in [("second", 20), ("first", 10), ("alive", 60)] {
                at_once(store.insert(NOW, key, "1", &until(life))).expect("inserted");
            }
            at_once(store.insert(seconds(30), "new", "1", &until(90))).expect("room");
            // To a caller whose clock is behind, only what expired first is gone.
            assert!(matches!(
                at_once(store.get(NOW, "first", true)),
                Err(StoreError::Missing)
            ));
            at_once(store.get(NOW, "second", true)).expect("still held");
            at_once(store.get(NOW, "alive", true)).expect("alive");
            assert_eq!((store.len(), store.evicted()), (3, 0));
        }
    }

    #[test]
    fn soonest_expiry_evicts_the_live_entry_that_expires_first_and_its_row() {
        let store = memory().capacity(3).eviction(Eviction::SoonestExpiry).build();
        for (key, life) in [("b", 20), ("a", 10), ("c", 30)] {
            let at = Placement {
                owner: Some("owner".to_owned()),
                ..until(life)
            };
            at_once(store.insert(NOW, key, "1", &at)).expect("inserted");
        }
        // Touched, the first is the last.
        at_once(store.touch(NOW, "a", None, seconds(40))).expect("touched");
        at_once(store.insert(NOW, "d", "1", &until(50))).expect("evicts");
        assert!(matches!(
            at_once(store.get(NOW, "b", true)),
            Err(StoreError::Missing)
        ));
        let page = at_once(store.list_owned(NOW, "owner", "", 10)).expect("listed");
        assert_eq!(
            page.rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
            ["a", "c"]
        );
        assert_eq!((store.len(), store.evicted()), (3, 1));
    }

    #[test]
    fn a_store_of_no_capacity_refuses_everything_and_panics_never() {
        for eviction in [Eviction::Refuse, Eviction::SoonestExpiry] {
            let store = memory().capacity(0).eviction(eviction).build();
            assert!(matches!(
                at_once(store.insert(NOW, "a", "1", &until(60))),
                Err(StoreError::Full)
            ));
        }
    }

    #[test]
    fn an_insert_over_an_expired_entry_takes_its_room() {
        let store = memory().capacity(1).build();
        at_once(store.insert(NOW, "a", "1", &until(10))).expect("inserted");
        at_once(store.insert(seconds(10), "a", "2", &until(60))).expect("inserted over it");
        assert_eq!(store.len(), 1);
        at_once(store.delete(NOW, "a", None)).expect("deleted");
        assert!(store.is_empty());
    }

    #[test]
    fn an_owner_with_thousands_of_expired_entries_is_walked_to_the_end() {
        let store = memory().build();
        for n in 0..10_000 {
            let at = Placement {
                owner: Some("owner".to_owned()),
                ..until(if n == 9_999 { 60 } else { 10 })
            };
            at_once(store.insert(NOW, &n.to_string(), "1", &at)).expect("inserted");
        }
        let (mut cursor, mut keys) = (String::new(), Vec::new());
        loop {
            let page = at_once(store.list_owned(seconds(30), "owner", &cursor, 100)).expect("listed");
            keys.extend(page.rows.into_iter().map(|row| row.key));
            let Some(next) = page.next else { break };
            cursor = next;
        }
        assert_eq!(keys, ["9999"]);
    }

    #[test]
    fn the_sweeper_removes_what_expired_long_ago_and_nothing_else() {
        let store = MemoryStore::builder()
            .sweep_interval(Duration::from_millis(1))
            .build();
        let now = Timestamp::now();
        let recently = now.saturating_sub(Duration::from_secs(60));
        let at = Placement {
            expires_at: recently,
            ends_at: now,
            ..until(0)
        };
        at_once(store.insert(NOW, "recent", "1", &at)).expect("inserted");
        at_once(store.insert(NOW, "old", "1", &until(10))).expect("inserted");
        eventually("the old entry is swept", || store.len() == 1);
        at_once(store.get(NOW, "recent", true)).expect("not swept");
    }
}

mod in_sqlite {
    use super::*;

    fn file() -> (TempDir, PathBuf) {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("sessions.db");
        (directory, path)
    }

    fn raw(path: &Path) -> rusqlite::Connection {
        rusqlite::Connection::open(path).expect("a connection of another program")
    }

    #[test]
    fn reads_answer_at_the_first_poll_and_writes_need_no_runtime() {
        let (_directory, path) = file();
        let store = SqliteStore::open(&path).expect("opened");
        let at = Placement {
            owner: Some("owner".to_owned()),
            ..until(60)
        };
        // The wall clock is far past NOW, but nothing is swept before the first heartbeat.
        let version = wait(store.insert(NOW, "key", "1", &at)).expect("inserted");
        assert_eq!(
            at_once(store.get(NOW, "key", true)).expect("there").version,
            version
        );
        at_once(store.get_many(NOW, &["key".to_owned()])).expect("read");
        assert_eq!(
            at_once(store.list_owned(NOW, "owner", "", 1))
                .expect("listed")
                .rows
                .len(),
            1
        );
    }

    #[test]
    fn reopening_keeps_everything() {
        let (_directory, path) = file();
        let store = sqlite().open(&path).expect("opened");
        for n in 0..250_u64 {
            let owner = (n % 3 > 0).then(|| format!("owner {}", n % 3));
            let at = Placement {
                owner,
                ..until(60 + n)
            };
            wait(store.insert(NOW, &format!("key {n}"), &format!("value {n}"), &at)).expect("inserted");
        }
        let before = all(&store);
        assert_eq!(before.len(), 250);
        store.close().expect("closed");
        assert!(
            !path.with_file_name("sessions.db-wal").exists(),
            "the log was moved into the database"
        );

        let store = sqlite().open(&path).expect("opened again");
        assert!(all(&store) == before);
        let owned = at_once(store.list_owned(NOW, "owner 1", "", 100)).expect("listed");
        assert_eq!(owned.rows.len(), 83);
        wait(store.replace(NOW, "key 7", "new", before[7].version, &until(60))).expect("versions stay valid");
    }

    fn all(store: &SqliteStore) -> Vec<tessera::store::SqliteRow> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = store.list_all(NOW, &cursor, 100).expect("listed");
            rows.extend(page.rows);
            match page.next {
                Some(next) => cursor = next,
                None => return rows,
            }
        }
    }

    #[test]
    fn the_listing_of_all_shows_live_entries_with_and_without_owner() {
        let (_directory, path) = file();
        let store = sqlite().open(&path).expect("opened");
        for (key, owner, life) in [("a", Some("owner"), 60), ("b", None, 60), ("c", None, 10)] {
            let at = Placement {
                owner: owner.map(str::to_owned),
                ..until(life)
            };
            wait(store.insert(NOW, key, "value", &at)).expect("inserted");
        }
        let page = store.list_all(seconds(10), "", 100).expect("listed");
        let seen: Vec<_> = page
            .rows
            .iter()
            .map(|row| (row.key.as_str(), row.owner.as_deref()))
            .collect();
        assert_eq!(seen, [("a", Some("owner")), ("b", None)]);
        assert_eq!(page.rows[0].value.as_deref(), Some("value"));
        assert_eq!(
            (
                store.len().expect("counted"),
                store.count_live(seconds(10)).expect("counted")
            ),
            (3, 2)
        );
        assert!(matches!(
            store.list_all(NOW, "no cursor", 1),
            Err(StoreError::Other(_))
        ));
        assert!(matches!(store.list_all(NOW, "", 0), Err(StoreError::Other(_))));
    }

    #[test]
    fn a_page_brings_values_along_up_to_a_bound() {
        let (_directory, path) = file();
        let store = sqlite().open(&path).expect("opened");
        let at = Placement {
            owner: Some("owner".to_owned()),
            ..until(60)
        };
        for n in 0..5 {
            wait(store.insert(NOW, &format!("key {n}"), &"x".repeat(600_000), &at)).expect("inserted");
        }
        let page = at_once(store.list_owned(NOW, "owner", "", 100)).expect("listed");
        let with_value: Vec<_> = page.rows.iter().map(|row| row.value.is_some()).collect();
        assert_eq!(with_value, [true, true, false, false, false]);
    }

    #[test]
    fn a_file_of_a_newer_schema_is_refused_and_left_as_it_is() {
        let (_directory, path) = file();
        drop(sqlite().open(&path).expect("opened"));
        raw(&path)
            .pragma_update(None, "user_version", 99)
            .expect("written");
        let before = std::fs::read(&path).expect("read");
        let error = sqlite().open(&path).expect_err("refused");
        assert!(
            matches!(
                error,
                SqliteStoreError::Newer {
                    found: 99,
                    supported: 1,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains("sessions.db"), "{error}");
        assert!(std::fs::read(&path).expect("read") == before);
    }

    #[test]
    fn a_file_of_another_application_is_refused_and_left_as_it_is() {
        for application_id in [0, 0x1234_5678] {
            let (_directory, path) = file();
            let other = raw(&path);
            other.execute_batch("CREATE TABLE theirs (a)").expect("made");
            other
                .pragma_update(None, "application_id", application_id)
                .expect("written");
            drop(other);
            let before = std::fs::read(&path).expect("read");
            let error = sqlite().open(&path).expect_err("refused");
            let SqliteStoreError::Foreign {
                application_id: found,
                ..
            } = error
            else {
                panic!("{error:?}")
            };
            assert_eq!(found, application_id);
            assert!(std::fs::read(&path).expect("read") == before);
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
        let (_directory, path) = file();
        let text = "dear diary, ".repeat(1000);
        std::fs::write(&path, &text).expect("written");
        let error = sqlite().open(&path).expect_err("refused");
        assert!(
            matches!(error, SqliteStoreError::NotADatabase { .. }),
            "{error:?}"
        );
        assert!(std::fs::read_to_string(&path).expect("read") == text);
    }

    #[test]
    fn a_missing_directory_is_named_and_not_made() {
        let (directory, _) = file();
        let missing = directory.path().join("missing");
        let error = sqlite().open(missing.join("sessions.db")).expect_err("refused");
        assert!(matches!(error, SqliteStoreError::NoDirectory { .. }), "{error:?}");
        assert!(!missing.exists());
        assert!(sqlite().open(directory.path()).is_err(), "a directory is no file");
    }

    #[test]
    fn a_name_that_is_special_to_sqlite_is_a_file_here() {
        let (directory, _) = file();
        for name in [":memory:", "file:sessions.db?mode=memory", "100%25.db"] {
            let path = directory.path().join(name);
            let store = sqlite().open(&path).expect("opened");
            wait(store.insert(NOW, "key", "1", &until(60))).expect("inserted");
            drop(store);
            assert_eq!(
                sqlite()
                    .open(&path)
                    .expect("opened again")
                    .len()
                    .expect("counted"),
                1
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_its_log_and_its_shared_memory_are_readable_by_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let (_directory, path) = file();
        let store = sqlite().open(&path).expect("opened");
        wait(store.insert(NOW, "key", "1", &until(60))).expect("inserted");
        for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
            let mode = std::fs::metadata(path.with_file_name(name))
                .expect("is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn two_stores_on_one_file_see_each_others_writes() {
        let (_directory, path) = file();
        let [one, two] = [(); 2].map(|()| sqlite().open(&path).expect("opened"));
        let version = wait(one.insert(NOW, "key", "1", &until(60))).expect("inserted");
        let version = wait(two.replace(NOW, "key", "2", version, &until(60))).expect("replaced");
        assert_eq!(&*at_once(one.get(NOW, "key", true)).expect("there").value, "2");
        one.close().expect("closed");
        wait(two.replace(NOW, "key", "3", version, &until(60))).expect("the other is still open");
    }

    #[test]
    fn many_opening_a_new_file_at_once_make_one_schema() {
        for _ in 0..10 {
            let (_directory, path) = file();
            std::thread::scope(|scope| {
                for n in 0..8 {
                    let path = &path;
                    scope.spawn(move || {
                        let store = sqlite().open(path).expect("opened");
                        wait(store.insert(NOW, &n.to_string(), "1", &until(60))).expect("inserted");
                    });
                }
            });
            assert_eq!(sqlite().open(&path).expect("opened").len().expect("counted"), 8);
        }
    }

    /// Starts `count` writes while another program holds the write lock, so that they wait together; lets go; and
    /// answers each outcome.
    async fn in_one_transaction(
        store: &SqliteStore,
        path: &Path,
        count: usize,
        key: impl Fn(usize) -> String,
    ) -> Vec<Result<u64, StoreError>> {
        let other = raw(path);
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let mut writes: Vec<_> = (0..count)
            .map(|n| {
                let (store, key) = (store.clone(), key(n));
                Box::pin(async move { store.insert(NOW, &key, "1", &until(60)).await })
            })
            .collect();
        for write in &mut writes {
            let polled = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "answered before it was committed");
        }
        assert_eq!(
            store.len().expect("counted"),
            0,
            "visible before it was committed"
        );
        other.execute_batch("COMMIT").expect("unlocked");
        let mut answers = Vec::new();
        for write in writes {
            answers.push(write.await);
        }
        answers
    }

    #[tokio::test]
    async fn a_failing_write_spoils_no_other_in_its_transaction() {
        // ABORT undoes the statement, ROLLBACK the whole transaction with all that came before.
        for failure in ["ABORT", "ROLLBACK"] {
            let (_directory, path) = file();
            let store = sqlite()
                .busy_timeout(Duration::from_secs(60))
                .open(&path)
                .expect("opened");
            raw(&path)
                .execute_batch(&format!(
                    "CREATE TRIGGER fails BEFORE INSERT ON records WHEN new.key LIKE 'bad%'
                     BEGIN SELECT RAISE({failure}, 'no'); END"
                ))
                .expect("made");
            let is_bad = |n: usize| n % 10 == 3;
            let key = |n| format!("{} {n}", if is_bad(n) { "bad" } else { "good" });
            let answers = in_one_transaction(&store, &path, 100, key).await;
            for (n, answer) in answers.into_iter().enumerate() {
                assert_eq!(answer.is_err(), is_bad(n), "{failure}, write {n}: {answer:?}");
                if let Err(error) = answer {
                    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                    assert!(!format!("{error:?}").contains("bad"), "an error names a key");
                }
                assert_eq!(store.get(NOW, &key(n), true).await.is_err(), is_bad(n));
            }
        }
    }

    #[tokio::test]
    async fn stale_and_missing_answers_of_one_transaction_are_each_writes_own() {
        let (_directory, path) = file();
        let store = sqlite()
            .busy_timeout(Duration::from_secs(60))
            .open(&path)
            .expect("opened");
        let answers = in_one_transaction(&store, &path, 60, |n| format!("key {}", n / 2)).await;
        for (n, answer) in answers.into_iter().enumerate() {
            match n % 2 {
                0 => drop(answer.expect("the first")),
                _ => assert!(matches!(answer, Err(StoreError::Stale)), "{answer:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_full_queue_answers_throttled_and_what_was_taken_is_done() {
        let (_directory, path) = file();
        let store = sqlite()
            .busy_timeout(Duration::from_secs(60))
            .open(&path)
            .expect("opened");
        let other = raw(&path);
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let (mut taken, mut throttled) = (Vec::new(), 0);
        for n in 0..5000 {
            let store = store.clone();
            let mut write = Box::pin(async move { store.insert(NOW, &n.to_string(), "1", &until(60)).await });
            match write.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => taken.push(write),
                Poll::Ready(Err(StoreError::Throttled(_))) => throttled += 1,
                Poll::Ready(answer) => panic!("{answer:?}"),
            }
        }
        // The queue's 4096, and the transaction of up to 256 that waits for the lock.
        assert!((4096..=4096 + 256).contains(&taken.len()), "{}", taken.len());
        assert_eq!(taken.len() + throttled, 5000);
        other.execute_batch("COMMIT").expect("unlocked");
        let count = taken.len() as u64;
        for write in taken {
            write.await.expect("done");
        }
        assert_eq!(store.len().expect("counted"), count);
    }

    #[test]
    fn a_write_that_could_not_get_the_lock_is_unavailable_and_not_done() {
        let (_directory, path) = file();
        let store = sqlite()
            .busy_timeout(Duration::from_millis(1))
            .open(&path)
            .expect("opened");
        let other = raw(&path);
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let answer = wait(store.insert(NOW, "secret-key", "secret-value", &until(60)));
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert!(!format!("{answer:?}").contains("secret"));
        other.execute_batch("COMMIT").expect("unlocked");
        assert!(store.is_empty().expect("counted"));
        wait(store.insert(NOW, "secret-key", "1", &until(60))).expect("works again");
    }

    #[test]
    fn dropping_the_store_does_what_waits() {
        let (_directory, path) = file();
        let store = sqlite().open(&path).expect("opened");
        for n in 0..300 {
            let (key, at) = (n.to_string(), until(60));
            let mut write = Box::pin(store.insert(NOW, &key, "1", &at));
            // Begun, and its answer given up.
            let _ = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(store);
        assert_eq!(
            sqlite()
                .open(&path)
                .expect("opened again")
                .len()
                .expect("counted"),
            300
        );
    }

    #[test]
    fn a_closed_store_is_unavailable_and_closes_twice() {
        let (_directory, path) = file();
        let store = sqlite().open(&path).expect("opened");
        wait(store.insert(NOW, "key", "1", &until(60))).expect("inserted");
        store.close().expect("closed");
        store.clone().close().expect("closed again");
        assert!(matches!(
            at_once(store.get(NOW, "key", true)),
            Err(StoreError::Unavailable(_))
        ));
        assert!(matches!(
            wait(store.delete(NOW, "key", None)),
            Err(StoreError::Unavailable(_))
        ));
        assert!(matches!(store.len(), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_corrupt_and_no_other_is() {
        let (_directory, path) = file();
        let store = sqlite().open(&path).expect("opened");
        for key in ["good", "not text", "negative"] {
            wait(store.insert(NOW, key, "1", &until(60))).expect("inserted");
        }
        let other = raw(&path);
        other
            .execute_batch("UPDATE records SET value = CAST(x'ff' AS TEXT) WHERE key = 'not text'")
            .expect("spoiled");
        let keys = ["good", "not text"].map(str::to_owned);
        let answers = at_once(store.get_many(NOW, &keys)).expect("answered");
        assert!(answers[0].is_ok());
        assert!(matches!(answers[1], Err(StoreError::Corrupt)), "{:?}", answers[1]);
        assert!(matches!(
            at_once(store.get(NOW, "not text", true)),
            Err(StoreError::Corrupt)
        ));
        assert!(wait(store.delete(NOW, "not text", None)).expect("can be deleted"));
    }

    #[test]
    fn the_sweeper_removes_what_expired_long_ago_and_nothing_else() {
        let (_directory, path) = file();
        let store = SqliteStore::builder()
            .sweep_interval(Duration::from_millis(1))
            .open(&path)
            .expect("opened");
        let now = Timestamp::now();
        let recently = now.saturating_sub(Duration::from_secs(60));
        let at = Placement {
            expires_at: recently,
            ends_at: now,
            ..until(0)
        };
        wait(store.insert(NOW, "recent", "1", &at)).expect("inserted");
        for n in 0..50 {
            wait(store.insert(NOW, &n.to_string(), "1", &until(10))).expect("inserted");
        }
        eventually("the old entries are swept", || store.len().expect("counted") == 1);
        at_once(store.get(NOW, "recent", true)).expect("not swept");
    }

    const KILLED_FILE: &str = "TESSERA_TEST_KILLED_FILE";

    /// Not a test by itself: the process that the next one kills.
    #[test]
    #[ignore = "started by a_killed_process_loses_nothing_acknowledged"]
    fn writes_until_killed() {
        let path = std::env::var_os(KILLED_FILE).expect("started by the other test");
        let store = sqlite()
            .durability(Durability::ProcessCrash)
            .open(PathBuf::from(path))
            .expect("opened");
        for n in 0_u64.. {
            wait(store.insert(NOW, &format!("key {n}"), &n.to_string(), &until(60))).expect("inserted");
            // Acknowledged: only now it is told.
            writeln!(std::io::stdout(), "acknowledged {n}").expect("told");
        }
    }

    #[test]
    fn a_killed_process_loses_nothing_acknowledged() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let (_directory, path) = file();
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "in_sqlite::writes_until_killed",
            ])
            .env(KILLED_FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let acknowledged = |line: std::io::Result<String>| -> Option<u64> {
            line.expect("text").split_once("acknowledged ")?.1.parse().ok()
        };
        let mut last = lines
            .by_ref()
            .filter_map(acknowledged)
            .find(|n| *n >= 500)
            .expect("acknowledged writes");

        // While it writes, another process reads and writes the same file.
        let store = sqlite().open(&path).expect("opened by a second process");
        assert!(store.len().expect("counted") >= 500);
        wait(store.insert(NOW, "of the second process", "1", &until(60))).expect("inserted");
        drop(store);

        child.kill().expect("killed");
        child.wait().expect("ended");
        last = lines.filter_map(acknowledged).last().unwrap_or(last);
        let store = sqlite().open(&path).expect("opened after the kill");
        for n in 0..=last {
            let entry = at_once(store.get(NOW, &format!("key {n}"), true)).expect("was acknowledged");
            assert_eq!(&*entry.value, n.to_string().as_str());
        }
        at_once(store.get(NOW, "of the second process", true)).expect("was acknowledged");
    }
}
