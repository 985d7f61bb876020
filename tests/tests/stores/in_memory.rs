//! What is the memory store's alone.

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
    at_once(store.replace(NOW, "key", "2", Expected::Version(version), &at)).expect("replaced");
    at_once(store.touch(NOW, "key", None, at.expires_at)).expect("touched");
    at_once(store.get_many(NOW, &["key".to_owned()])).expect("read");
    at_once(store.list_owned(NOW, "owner", "", 1)).expect("listed");
    at_once(store.delete_many(NOW, &whatever_guard(&["key".to_owned()]), "owner")).expect("deleted");
    at_once(store.delete(NOW, "key", &Condition::Guard(0))).expect("asked");
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
    at_once(store.replace(NOW, "a", "2", Expected::Version(version), &until(60)))
        .expect("a replace needs no room");
    assert!(at_once(store.delete(NOW, "b", &Condition::Guard(0))).expect("deleted"));
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
    at_once(store.delete(NOW, "a", &Condition::Guard(0))).expect("deleted");
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
