//! The SQL store when others are in its way: locks, lost connections, servers that say nothing or are killed.

use std::sync::atomic::Ordering;

use tessera::store::SqlStore;
use tessera_tests::servers::{Proxy, Server, Weather};

use super::in_sql::{Other, builder, fresh, is_unavailable, table};
use super::*;

/// No call may take longer than its time-outs say; a machine that is busy may.
const GENEROUS: Duration = Duration::from_secs(20);

/// Unavailable, or for a write whose answer was lost: nobody knows.
fn is_outage(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))
}

pub(super) async fn a_row_that_another_holds_is_unavailable_within_the_timeout_and_then_works<S: Server>(
    server: &S,
) {
    let table = table();
    let store = builder()
        .table(&table)
        .statement_timeout(Duration::from_secs(1))
        .open(&server.url())
        .await
        .expect("opened");
    let version = store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    store
        .insert(NOW, "free", "1", &until(60))
        .await
        .expect("inserted");
    let mut other = Other::connect(&server.direct_url()).await;
    other.run("BEGIN").await;
    other
        .run_either(
            &format!("UPDATE {table} SET touched_at = 0 WHERE session_key = 'key'::bytea"),
            &format!("UPDATE {table} SET touched_at = 0 WHERE session_key = 'key'"),
        )
        .await;
    let began = Instant::now();
    let replaced = store
        .replace(NOW, "key", "2", Expected::Version(version), &until(60))
        .await;
    // The server says that it gave up: nothing was done, for certain.
    assert!(is_unavailable(&replaced), "{replaced:?}");
    let deleted = store.delete(NOW, "key", &Condition::Guard(0)).await;
    assert!(is_unavailable(&deleted), "{deleted:?}");
    assert!(began.elapsed() < GENEROUS);
    // Readers wait for nobody, nor do writers of other rows.
    assert_eq!(store.get(NOW, "key", true).await.expect("read").version, version);
    store
        .delete(NOW, "free", &Condition::Guard(0))
        .await
        .expect("deleted");
    other.run("ROLLBACK").await;
    store
        .replace(NOW, "key", "2", Expected::Version(version), &until(60))
        .await
        .expect("replaced");
}

/// The condition on the owner leads to no lock but that of the entry's own row.
pub(super) async fn a_deletion_waits_for_no_other_entry_of_its_owner<S: Server>(server: &S) {
    let table = table();
    let store = builder()
        .table(&table)
        .statement_timeout(Duration::from_secs(1))
        .open(&server.url())
        .await
        .expect("opened");
    let at = Placement {
        owner: Some("owner".to_owned()),
        ..until(60)
    };
    for key in ["held", "a", "b", "c", "d"] {
        store.insert(NOW, key, "1", &at).await.expect("inserted");
    }
    let mut other = Other::connect(&server.direct_url()).await;
    other.run("BEGIN").await;
    let touch = format!("UPDATE {table} SET touched_at = 0 WHERE session_key");
    other
        .run_either(&format!("{touch} = 'held'::bytea"), &format!("{touch} = 'held'"))
        .await;
    let owner = Condition::Owner("owner".to_owned());
    assert!(store.delete(NOW, "a", &owner).await.expect("deleted"));
    assert!(
        store
            .delete(NOW, "b", &Condition::Guard(0))
            .await
            .expect("deleted")
    );
    for (key, guard) in [("c", None), ("d", Some(0))] {
        let deletion = Deletion {
            key: key.to_owned(),
            guard,
        };
        let removed = store.delete_many(NOW, &[deletion], "owner").await;
        assert_eq!(removed.expect("deleted"), 1);
    }
    other.run("ROLLBACK").await;
    assert!(store.delete(NOW, "held", &owner).await.expect("deleted"));
}

/// Another holds `b` and wants `a`; the store holds `a` and wants `b`. One of them has to give way, and it is the store.
pub(super) async fn a_deadlock_is_tried_again<S: Server>(server: &S) {
    let table = table();
    let store = builder().table(&table).open(&server.url()).await.expect("opened");
    let at = Placement {
        owner: Some("owner".to_owned()),
        ..until(60)
    };
    for key in ["a", "b"] {
        store.insert(NOW, key, "1", &at).await.expect("inserted");
    }
    // Who has written much is not chosen to give way.
    for n in 0..50 {
        store
            .insert(NOW, &format!("x{n}"), "1", &at)
            .await
            .expect("inserted");
    }
    let mut other = Other::connect(&server.direct_url()).await;
    let touch = format!("UPDATE {table} SET touched_at = touched_at + 1 WHERE session_key");
    other.run("BEGIN").await;
    for n in 0..50 {
        let (postgres, mariadb) = (format!("{touch} = 'x{n}'::bytea"), format!("{touch} = 'x{n}'"));
        other.run_either(&postgres, &mariadb).await;
    }
    other
        .run_either(&format!("{touch} = 'b'::bytea"), &format!("{touch} = 'b'"))
        .await;
    let deleting = tokio::spawn(async move {
        let deletions = ["a", "b"].map(|key| Deletion {
            key: key.to_owned(),
            guard: None,
        });
        store.delete_many(NOW, &deletions, "owner").await
    });
    // Until it waits.
    tokio::time::sleep(Duration::from_millis(500)).await;
    other
        .run_either(&format!("{touch} = 'a'::bytea"), &format!("{touch} = 'a'"))
        .await;
    other.run("COMMIT").await;
    let deleted = deleting.await.expect("no panic");
    assert_eq!(deleted.expect("deleted"), 2);
}

pub(super) async fn parallel_inserts_and_deletes_of_the_same_keys_all_get_their_answer<S: Server>(
    server: &S,
) {
    let store = fresh(server).await;
    let keys: Vec<String> = (0..40).map(|n| format!("key {n}")).collect();
    let at = Placement {
        owner: Some("owner".to_owned()),
        ..until(60)
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let (store, mut keys, at) = (store.clone(), keys.clone(), at.clone());
        writers.spawn(async move {
            if writer % 2 == 0 {
                keys.reverse();
            }
            for _ in 0..20 {
                for key in &keys[..10] {
                    match store.insert(NOW, key, "1", &at).await {
                        Ok(_) | Err(StoreError::Stale) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                // Half of the writers name the guards.
                let guard = (writer % 4 < 2).then_some(0);
                let deletion = |key: &String| Deletion {
                    key: key.clone(),
                    guard,
                };
                let deletions: Vec<_> = keys.iter().map(deletion).collect();
                store
                    .delete_many(NOW, &deletions, "owner")
                    .await
                    .expect("deleted");
            }
        });
    }
    writers.join_all().await;
    assert_eq!(store.count().await.expect("counted"), 0);
}

pub(super) async fn a_cut_connection_costs_a_question_nothing_and_a_write_its_answer<S: Server>(server: &S) {
    let proxy = Proxy::to(server.port());
    let table = table();
    let store = builder()
        .table(&table)
        .open(&server.url_at(proxy.port))
        .await
        .expect("opened");
    let direct = builder().table(&table).open(&server.url()).await.expect("opened");
    let version = store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    for _ in 0..3 {
        proxy.cut();
        assert_eq!(store.get(NOW, "key", true).await.expect("read").version, version);
    }
    // Answers are lost: what was asked may have been done, and that is what is said of it.
    let mut version = version;
    for round in 0..5 {
        proxy.set(Weather::CutsAnswers);
        let value = format!("round {round}");
        let began = Instant::now();
        let answer = store
            .replace(NOW, "key", &value, Expected::Version(version), &until(60))
            .await;
        assert!(began.elapsed() < GENEROUS);
        let error = answer.expect_err("the answer was lost");
        assert!(is_outage(&error), "{error:?}");
        proxy.set(Weather::Fine);
        let entry = direct.get(NOW, "key", true).await.expect("read");
        if matches!(error, StoreError::Unavailable(_)) {
            assert_eq!(entry.version, version, "said not to be done, and done");
        }
        version = entry.version;
        assert_eq!(store.get(NOW, "key", true).await.expect("read"), entry);
    }
}

pub(super) async fn a_server_that_says_nothing_is_an_outage_within_the_timeout<S: Server>(server: &S) {
    let proxy = Proxy::to(server.port());
    let store = builder()
        .table(table())
        .acquire_timeout(Duration::from_millis(500))
        .statement_timeout(Duration::from_millis(500))
        .max_connections(4)
        .open(&server.url_at(proxy.port))
        .await
        .expect("opened");
    let version = store.insert(NOW, "key", "1", &until(60)).await.expect("inserted");
    proxy.set(Weather::Silent);
    for _ in 0..3 {
        let began = Instant::now();
        let read = store.get(NOW, "key", true).await;
        assert!(is_unavailable(&read), "{read:?}");
        let written = store
            .replace(NOW, "key", "2", Expected::Version(!version), &until(60))
            .await;
        assert!(is_outage(&written.expect_err("nothing is answered")));
        assert!(began.elapsed() < GENEROUS);
    }
    proxy.set(Weather::Fine);
    proxy.cut();
    // Within a few tries, as connections that were left waiting are given up.
    let began = Instant::now();
    while store.get(NOW, "key", true).await.is_err() {
        assert!(began.elapsed() < GENEROUS, "it does not recover");
    }
    store
        .replace(NOW, "key", "2", Expected::Version(version), &until(60))
        .await
        .expect("replaced");
}

pub(super) async fn more_callers_than_connections_all_get_their_answer<S: Server>(server: &S) {
    let store = builder()
        .table(table())
        .max_connections(2)
        .open(&server.url())
        .await
        .expect("opened");
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..200 {
        let store = store.clone();
        callers.spawn(async move { store.insert(NOW, &format!("key {n}"), "1", &until(60)).await });
    }
    for answer in callers.join_all().await {
        answer.expect("inserted");
    }
}

pub(super) async fn a_caller_who_goes_away_in_the_middle_spoils_no_connection<S: Server>(server: &S) {
    let store = builder()
        .table(table())
        .max_connections(2)
        .open(&server.url())
        .await
        .expect("opened");
    for n in 0..10 {
        let key = format!("key {n}");
        store.insert(NOW, &key, &key, &until(60)).await.expect("inserted");
    }
    for round in 0..200_u64 {
        let key = format!("key {}", round % 10);
        let patience = Duration::from_micros(round * 7 % 600);
        // Whoever comes next on this connection is not to be given the answer of the one before.
        let _ = tokio::time::timeout(patience, store.get(NOW, &key, true)).await;
        let other = format!("key {}", (round + 1) % 10);
        assert_eq!(*store.get(NOW, &other, true).await.expect("read").value, *other);
    }
}

pub(super) async fn the_sweeper_removes_what_expired_long_ago_and_nothing_else<S: Server>(server: &S) {
    let table = table();
    let now = Timestamp::now();
    let ago = |hours: u64| now.saturating_sub(Duration::from_secs(3600 * hours));
    let quiet = builder().table(&table).open(&server.url()).await.expect("opened");
    let place = |expires_at: Timestamp| Placement {
        expires_at,
        ends_at: expires_at,
        ..until(0)
    };
    for n in 0..1200 {
        let key = format!("long ago {n}");
        quiet
            .insert(ago(4), &key, "1", &place(ago(2)))
            .await
            .expect("inserted");
    }
    let minute = Duration::from_secs(60);
    let within = place(ago(1).saturating_add(minute));
    quiet
        .insert(ago(4), "within the grace", "1", &within)
        .await
        .expect("inserted");
    quiet
        .insert(now, "alive", "1", &place(now.saturating_add(minute)))
        .await
        .expect("inserted");

    // While another has the lock, nobody sweeps.
    let mut other = Other::connect(&server.direct_url()).await;
    let lock = |function: &str, after: &str| {
        let postgres = format!(
            "SELECT {function}((('x' || substr(md5('tessera sweep {table}'), 1, 16))::bit(64))::bigint)"
        );
        let function = function
            .replace("pg_advisory_lock", "GET_LOCK")
            .replace("pg_advisory_unlock", "RELEASE_LOCK");
        let mariadb = format!(
            "SELECT {function}(CONCAT('tessera ', MD5(CONCAT('sweep {table} ', DATABASE()))){after})"
        );
        (postgres, mariadb)
    };
    let (postgres, mariadb) = lock("pg_advisory_lock", ", 10");
    other.run_either(&postgres, &mariadb).await;
    let mut sweeping = Vec::new();
    for _ in 0..3 {
        let builder = SqlStore::builder()
            .table(&table)
            .sweep_interval(Duration::from_millis(50));
        sweeping.push(builder.open(&server.url()).await.expect("opened"));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(quiet.count().await.expect("counted"), 1202);

    let (postgres, mariadb) = lock("pg_advisory_unlock", "");
    other.run_either(&postgres, &mariadb).await;
    let began = Instant::now();
    while quiet.count().await.expect("counted") > 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not swept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(sweeping);
    quiet.get(now, "alive", true).await.expect("alive");
    let before = ago(1).saturating_sub(minute);
    quiet
        .get(before, "within the grace", true)
        .await
        .expect("still there");
}

/// Kills the server under load, twice, and looks for everything that it had acknowledged.
pub(super) async fn no_acknowledged_write_is_lost_when_the_server_is_killed<S: Server>(server: &S) {
    let store = builder()
        .table(table())
        .open(&server.url())
        .await
        .expect("opened");
    let ends = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let (store, ends) = (store.clone(), Arc::clone(&ends));
        writers.spawn(async move {
            let (mut acknowledged, mut outages, mut slowest) = (Vec::new(), 0_u32, Duration::ZERO);
            for n in 0.. {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let key = format!("key {writer} {n}");
                let began = Instant::now();
                match store.insert(NOW, &key, &key, &until(60)).await {
                    Ok(version) => acknowledged.push((key, version)),
                    Err(error) if is_outage(&error) => outages += 1,
                    Err(error) => panic!("{error:?}"),
                }
                slowest = slowest.max(began.elapsed());
            }
            (acknowledged, outages, slowest)
        });
    }
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| server.restart());
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ends.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut found, mut outages, mut slowest) = (0, 0, 0, Duration::ZERO);
    for (written, failed, slow) in writers.join_all().await {
        outages += failed;
        slowest = slowest.max(slow);
        for (key, version) in written {
            acknowledged += 1;
            let entry = store.get(NOW, &key, true).await;
            found += u32::from(entry.is_ok_and(|entry| entry.version == version && *entry.value == *key));
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "killed twice: {acknowledged} acknowledged, {found} found, {outages} outages, the slowest call {slowest:?}"
    );
    // A pooler may hold a call until the server is back, which is no outage to its caller.
    let was_out = outages > 0 || slowest > Duration::from_millis(500);
    assert!(acknowledged > 100 && was_out, "there was no load, or no outage");
    assert_eq!(found, acknowledged);
    assert!(slowest < GENEROUS);
}
