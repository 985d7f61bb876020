//! Guards, in memory, in a SQLite file and in the databases: each condition, met and not met, of a live entry and of one that
//! has expired.

use super::*;

/// More than a signed number holds.
const LARGE: u64 = u64::MAX - 1;

fn guarded(owner: Option<&str>, guard: Option<u64>, life: u64) -> Placement {
    Placement {
        owner: owner.map(str::to_owned),
        guard,
        ..until(life)
    }
}

fn is_of(owner: &str) -> Condition {
    Condition::Owner(owner.to_owned())
}

fn is_stale<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Stale))
}

/// Whether the store still has a row for this key, expired or not.
async fn is_held(store: &impl Store, key: &str) -> bool {
    store.get(NOW, key, true).await.is_ok()
}

pub(super) async fn a_guard_stays_until_a_write_brings_another(store: &impl Store) {
    let guard = async |key: &str| store.get(NOW, key, true).await.expect("there").guard;
    let replace = async |expected: Expected, guard: Option<u64>| {
        let at = guarded(Some("owner"), guard, 60);
        store.replace(NOW, "key", "2", expected, &at).await
    };
    let at = guarded(Some("owner"), None, 60);
    store.insert(NOW, "bare", "1", &at).await.expect("inserted");
    assert_eq!(guard("bare").await, 0);
    let at = guarded(Some("owner"), Some(LARGE), 60);
    let version = store.insert(NOW, "key", "1", &at).await.expect("inserted");
    assert_eq!(guard("key").await, LARGE);

    let version = replace(Expected::Version(version), None).await.expect("replaced");
    store.touch(NOW, "key", None, seconds(90)).await.expect("touched");
    assert_eq!(guard("key").await, LARGE);
    assert_eq!(store.get(NOW, "key", true).await.expect("there").version, version);
    // Whatever else was written.
    replace(Expected::Guard(LARGE), Some(5)).await.expect("replaced");
    assert_eq!(guard("key").await, 5);
    for expected in [Expected::Guard(LARGE), Expected::Version(version)] {
        let answer = replace(expected, Some(6)).await;
        assert!(is_stale(&answer), "{answer:?}");
    }
    let version = replace(Expected::Guard(5), None).await.expect("replaced");

    let keys = ["key", "bare", "none"].map(str::to_owned);
    let several = store.get_many(NOW, &keys).await.expect("read");
    let guards: Vec<_> = several
        .iter()
        .map(|entry| entry.as_ref().ok().map(|entry| entry.guard))
        .collect();
    assert_eq!(guards, [Some(5), Some(0), None]);
    let page = store.list_owned(NOW, "owner", "", 100).await.expect("listed");
    let mut listed: Vec<_> = page
        .rows
        .iter()
        .map(|row| (row.key.as_str(), row.guard))
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, [("bare", 0), ("key", 5)]);

    // Of an entry that has expired, nothing is kept.
    for expected in [Expected::Guard(5), Expected::Version(version)] {
        let at = guarded(None, None, 200);
        let answer = store.replace(seconds(100), "key", "3", expected, &at).await;
        assert!(matches!(answer, Err(StoreError::Missing)), "{answer:?}");
    }
    let at = guarded(None, None, 200);
    store
        .insert(seconds(100), "key", "3", &at)
        .await
        .expect("inserted");
    assert_eq!(guard("key").await, 0);
}

pub(super) async fn a_deletion_is_done_while_its_condition_holds(store: &impl Store) {
    for (n, met, unmet) in [
        (0, is_of("owner"), is_of("another")),
        (1, Condition::Guard(LARGE), Condition::Guard(0)),
    ] {
        let key = format!("key {n}");
        let at = guarded(Some("owner"), Some(LARGE), 60);
        store.insert(NOW, &key, "1", &at).await.expect("inserted");
        let answer = store.delete(NOW, &key, &unmet).await;
        assert!(is_stale(&answer), "{answer:?}");
        assert!(is_held(store, &key).await);
        assert!(store.delete(NOW, &key, &met).await.expect("deleted"));
        assert!(!is_held(store, &key).await);
        for condition in [&met, &unmet] {
            assert!(
                !store
                    .delete(NOW, &key, condition)
                    .await
                    .expect("nothing is there")
            );
        }

        // It has expired: that which does not meet the condition stays, and nothing is said of it.
        store.insert(NOW, &key, "1", &at).await.expect("inserted");
        assert!(!store.delete(seconds(60), &key, &unmet).await.expect("expired"));
        assert!(is_held(store, &key).await);
        assert!(!store.delete(seconds(60), &key, &met).await.expect("expired"));
        assert!(!is_held(store, &key).await);
    }
    // An entry without owner is nobody's.
    store
        .insert(NOW, "bare", "1", &until(60))
        .await
        .expect("inserted");
    let answer = store.delete(NOW, "bare", &is_of("")).await;
    assert!(is_stale(&answer), "{answer:?}");
    assert!(
        store
            .delete(NOW, "bare", &Condition::Guard(0))
            .await
            .expect("deleted")
    );
}

/// With and without guards in one call, in numbers that fill a batch and that do not.
pub(super) async fn many_are_deleted_while_their_conditions_hold(store: &impl Store) {
    for batch in [1_u64, 3, 10, 11, 20] {
        let mut deletions = Vec::new();
        let mut expected = Vec::new();
        for n in 0..batch {
            for (kind, owner, guard, life, named, goes) in [
                ("bare", "owner", n, 60, None, true),
                ("guarded", "owner", LARGE - n, 60, Some(LARGE - n), true),
                ("changed", "owner", n + 1, 60, Some(n + 2), false),
                ("another's", "another", n, 60, Some(n), false),
                ("expired", "owner", n, 10, [None, Some(n)][(n % 2) as usize], true),
            ] {
                let key = format!("{batch} {kind} {n}");
                let at = guarded(Some(owner), Some(guard), life);
                store.insert(NOW, &key, "1", &at).await.expect("inserted");
                deletions.push(Deletion {
                    key: key.clone(),
                    guard: named,
                });
                expected.push((key, !goes));
            }
        }
        let removed = store.delete_many(seconds(10), &deletions, "owner").await;
        // Of the expired ones nothing is said.
        assert_eq!(u64::from(removed.expect("deleted")), 2 * batch);
        for (key, is_left) in expected {
            assert_eq!(is_held(store, &key).await, is_left, "{key}");
        }
        let again = store.delete_many(seconds(10), &deletions, "owner").await;
        assert_eq!(again.expect("deleted"), 0);
    }
    // One key, named twice: whichever holds.
    store
        .insert(NOW, "twice", "1", &guarded(Some("owner"), Some(8), 60))
        .await
        .expect("inserted");
    let twice = [Some(7), Some(8)].map(|guard| Deletion {
        key: "twice".to_owned(),
        guard,
    });
    assert_eq!(store.delete_many(NOW, &twice, "owner").await.expect("deleted"), 1);
}

#[tokio::test]
async fn in_sqlite() {
    let directory = TempDir::new().expect("a directory");
    let open = |name: &str| sqlite().open(directory.path().join(name)).expect("a store");
    a_guard_stays_until_a_write_brings_another(&open("a.db")).await;
    a_deletion_is_done_while_its_condition_holds(&open("b.db")).await;
    many_are_deleted_while_their_conditions_hold(&open("c.db")).await;
}

#[tokio::test]
async fn in_memory() {
    a_guard_stays_until_a_write_brings_another(&memory().build()).await;
    a_deletion_is_done_while_its_condition_holds(&memory().build()).await;
    many_are_deleted_while_their_conditions_hold(&memory().build()).await;
}
