//! What is the SQLite store's alone.

use super::*;

pub(super) fn file() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("sessions.db");
    (directory, path)
}

pub(super) fn raw(path: &Path) -> rusqlite::Connection {
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
            guard: Some(u64::MAX - n),
            ..until(60 + n)
        };
        wait(store.insert(NOW, &format!("key {n}"), &format!("value {n}"), &at)).expect("inserted");
    }
    let before = all(&store);
    assert_eq!(before.len(), 250);
    assert_eq!(before[7].guard, u64::MAX - 7);
    store.close().expect("closed");
    assert!(
        !path.with_file_name("sessions.db-wal").exists(),
        "the log was moved into the database"
    );

    let store = sqlite().open(&path).expect("opened again");
    assert!(all(&store) == before);
    let owned = at_once(store.list_owned(NOW, "owner 1", "", 100)).expect("listed");
    assert_eq!(owned.rows.len(), 83);
    let expected = Expected::Version(before[7].version);
    wait(store.replace(NOW, "key 7", "new", expected, &until(60))).expect("versions stay valid");
}

fn all(store: &SqliteStore) -> Vec<tessera::store::Listed> {
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
        Err(StoreError::MalformedCursor)
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
        wait(store.delete(NOW, "key", &Condition::Guard(0))),
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
    assert!(wait(store.delete(NOW, "not text", &Condition::Guard(0))).expect("can be deleted"));
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
