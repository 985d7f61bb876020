//! The Worker's stores keep the suite, and what is theirs alone.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use tessera::Timestamp;
use tessera::store::{Condition, Deletion, Expected, Placement, SWEEP_GRACE, Store as _, StoreError};
use tessera_tests::edge::Remote;
use tessera_tests::store_suite::Suite;

use crate::{nothing, start, tell};

/// What only a store is asked that can be swept by hand: here alarms do it, as is shown below.
const SWEEPS: [&str; 4] = [
    "a sweep removes nothing that expired within the grace",
    "a sweep removes what expired before the grace",
    "a sweep takes no live entry and no live row",
    "a touched entry is swept by its new expiry",
];

/// workerd keeps the database of an object open until ten seconds after its last use, and has memory for about three
/// thousand of them. One property alone makes two thousand.
const STORES_OF_A_WORKER: u32 = 4;

/// Runs the suite on one kind of store; those of these names are excused, and why.
async fn keeps_the_suite(kind: &'static str, excused: &[(&'static str, &'static str)]) -> Vec<String> {
    let (worker, made) = (RefCell::new(start(&nothing())), Cell::new(0));
    let logs: RefCell<Vec<String>> = RefCell::default();
    let suite = Suite::new(async || {
        if made.replace(made.get() + 1) % STORES_OF_A_WORKER == STORES_OF_A_WORKER - 1 {
            let before = worker.replace(start(&nothing()));
            logs.borrow_mut().push(before.log());
        }
        Remote::store(&worker.borrow(), kind).expect("a store")
    });
    let suite = excused
        .iter()
        .fold(suite, |suite, (name, why)| suite.excuse(name, why));
    let report = suite.run().await;
    let skipped: Vec<String> = report.skipped().map(str::to_owned).collect();
    tell(&format!(
        "{kind}: {} properties, {} skipped",
        report.lines.len(),
        skipped.len()
    ));
    assert!(
        report.is_clean(),
        "{kind}:\n{report}\n{}{}",
        logs.take().concat(),
        worker.borrow().log()
    );
    skipped
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn durable_objects_keep_the_store_suite() {
    assert_eq!(keeps_the_suite("durable", &[]).await, SWEEPS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kv_over_durable_objects_keeps_the_store_suite() {
    assert_eq!(keeps_the_suite("combined", &[]).await, SWEEPS);
}

/// What KV's weaker contract leaves out is skipped by `describe`; what is excused beside that is its own rule.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kv_alone_keeps_what_it_promises_of_the_store_suite() {
    let raised = "it inserts a key again that was deleted: here a deleted record never comes back";
    let raced = "two writes of one key at once: without compare-and-swap the later wins";
    let excused = [
        ("versions are never used twice for one key", raised),
        (
            "an entry is changed until the millisecond before it expires",
            raised,
        ),
        ("an expired entry is missing to every method", raised),
        (
            "a replace may move the expiry in both directions",
            "an end that comes forward is the record's last: it never goes back",
        ),
        ("of 64 parallel deletes exactly one finds the entry", raced),
        ("of 64 parallel touches the latest expiry stays", raced),
    ];
    let skipped = keeps_the_suite("kv", &excused).await;
    for name in [
        "of 64 parallel inserts exactly one wins",
        "an acknowledged insert is listed",
    ] {
        assert!(
            skipped.iter().any(|skipped| skipped == name),
            "{name} was asked: {skipped:?}"
        );
    }
    assert!(!skipped.iter().any(|skipped| skipped == "a touch never shortens"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_kv_a_deleted_record_is_not_raised_by_a_save_that_saw_it_alive() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "kv").expect("a store");
    let now = Timestamp::now();
    let expires_at = now.saturating_add(Duration::from_secs(3600));
    let at = Placement {
        owner: None,
        previous_owner: None,
        guard: None,
        expires_at,
        ends_at: expires_at,
    };
    let version = store.insert(now, "key", "alive", &at).await.expect("inserted");
    // The next read of what is written is answered from an old copy.
    crate::order(&worker, &serde_json::json!({"stale-reads": 1}));
    assert!(
        store
            .delete(now, "key", &Condition::Guard(0))
            .await
            .expect("deleted")
    );
    crate::order(&worker, &serde_json::json!({}));
    let saved = store
        .replace(now, "key", "risen", Expected::Version(version), &at)
        .await;
    saved.expect("the save does not see the deletion");
    assert!(matches!(
        store.insert(now, "key", "risen", &at).await,
        Err(StoreError::Stale)
    ));
    assert!(matches!(
        store.get(now, "key", true).await,
        Err(StoreError::Missing)
    ));
}

/// What the engine leaves where a session was before it moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_kv_the_last_of_a_record_is_not_undone_by_a_save_that_has_not_seen_it() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "kv").expect("a store");
    let now = Timestamp::now();
    let until = |seconds: u64| {
        let at = now.saturating_add(Duration::from_secs(seconds));
        Placement {
            owner: Some("owner".into()),
            previous_owner: Some("owner".into()),
            guard: None,
            expires_at: at,
            ends_at: at,
        }
    };
    let inserted = store.insert(now, "key", "first", &until(3600)).await;
    let first = inserted.expect("inserted");
    crate::order(&worker, &serde_json::json!({"stale-reads": 1}));
    let gone = Placement {
        owner: None,
        ..until(1800)
    };
    let last = store
        .replace(now, "key", "last", Expected::Version(first), &gone)
        .await;
    let last = last.expect("replaced");
    let saved = store
        .replace(now, "key", "saved", Expected::Version(first), &until(3600))
        .await;
    saved.expect("the save does not see it");
    crate::order(&worker, &nothing());
    let entry = store.get(now, "key", true).await.expect("it is there");
    assert_eq!((&*entry.value, entry.version), ("last", last));
    assert_eq!(entry.expires_at, gone.expires_at);
    // It may end sooner, and no later.
    store
        .touch(now, "key", None, now.saturating_add(Duration::from_secs(3600)))
        .await
        .expect("touched");
    let again = store
        .replace(now, "key", "again", Expected::Version(last), &until(3000))
        .await;
    again.expect("replaced");
    let entry = store.get(now, "key", true).await.expect("it is there");
    assert_eq!((&*entry.value, entry.expires_at), ("again", gone.expires_at));
    let later = now.saturating_add(Duration::from_secs(1800));
    assert!(matches!(
        store.get(later, "key", true).await,
        Err(StoreError::Missing)
    ));
    assert!(matches!(
        store.insert(later, "key", "risen", &until(3600)).await,
        Err(StoreError::Stale)
    ));
}

/// Read, then checked: not one step, and the same answers where nobody writes in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_kv_the_last_of_a_record_has_the_guard_of_its_placement_and_is_deleted_by_that_alone() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "kv").expect("a store");
    let now = Timestamp::now();
    let until = |seconds: u64, guard: Option<u64>| {
        let at = now.saturating_add(Duration::from_secs(seconds));
        Placement {
            owner: Some("owner".into()),
            previous_owner: Some("owner".into()),
            guard,
            expires_at: at,
            ends_at: at,
        }
    };
    let guard = async || store.get(now, "key", true).await.map(|entry| entry.guard);
    let inserted = store.insert(now, "key", "first", &until(3600, Some(7))).await;
    inserted.expect("inserted");
    let at = until(3600, None);
    let saved = store.replace(now, "key", "saved", Expected::Guard(7), &at).await;
    saved.expect("replaced");
    assert_eq!(guard().await.expect("it is there"), 7);
    let at = until(1800, Some(u64::MAX));
    let last = store.replace(now, "key", "last", Expected::Guard(7), &at).await;
    last.expect("replaced");
    assert_eq!(guard().await.expect("it is there"), u64::MAX);
    for condition in [Condition::Guard(7), Condition::Owner("another".into())] {
        let refused = store.delete(now, "key", &condition).await;
        assert!(
            matches!(refused, Err(StoreError::Stale)),
            "{condition:?}: {refused:?}"
        );
    }
    let ended = store.delete(now, "key", &Condition::Guard(u64::MAX)).await;
    assert!(ended.expect("deleted"));
    assert!(matches!(guard().await, Err(StoreError::Missing)));
}

/// KV takes 1024 bytes of metadata: the owner of the most bytes in JSON, and the longest numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_kv_the_longest_metadata_has_room() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "kv").expect("a store");
    let now = Timestamp::now();
    let owner = "\"".repeat(store.describe().maximum_owner_bytes as usize);
    let at = Placement {
        owner: Some(owner.clone()),
        previous_owner: None,
        guard: Some(u64::MAX),
        expires_at: Timestamp::from_millis(u64::MAX),
        ends_at: Timestamp::from_millis(u64::MAX),
    };
    store.insert(now, "key", "1", &at).await.expect("inserted");
    let rows = store.list_owned(now, &owner, "", 10).await.expect("listed").rows;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].guard, u64::MAX);
}

/// The deletions of one batch name guards, no guard, another's key, and one key twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_removes_what_has_the_named_guards_and_belongs_to_the_owner() {
    let worker = start(&nothing());
    for kind in ["durable", "combined", "kv"] {
        let store = Remote::store(&worker, kind).expect("a store");
        let now = Timestamp::now();
        let expires_at = now.saturating_add(Duration::from_secs(3600));
        for (key, owner, guard) in [
            ("met", "owner", Some(1)),
            ("unmet", "owner", Some(2)),
            ("any", "owner", Some(3)),
            ("none", "owner", None),
            ("another", "another", Some(5)),
        ] {
            let at = Placement {
                owner: Some(owner.into()),
                previous_owner: None,
                guard,
                expires_at,
                ends_at: expires_at,
            };
            store.insert(now, key, "1", &at).await.expect("inserted");
        }
        let deletions = [
            ("met", Some(1)),
            ("met", Some(9)),
            ("met", None),
            ("unmet", Some(9)),
            ("any", None),
            ("none", Some(0)),
            ("another", Some(5)),
            ("missing", None),
        ];
        let deletions = deletions.map(|(key, guard)| Deletion {
            key: key.into(),
            guard,
        });
        let removed = store.delete_many(now, &deletions, "owner").await;
        assert_eq!(removed.expect("removed"), 3, "{kind}");
        for key in ["met", "any", "none"] {
            let found = store.get(now, key, true).await;
            assert!(matches!(found, Err(StoreError::Missing)), "{kind}: {key}");
        }
        for (key, guard) in [("unmet", 2), ("another", 5)] {
            let entry = store.get(now, key, true).await.expect("it is there");
            assert_eq!(entry.guard, guard, "{kind}: {key}");
        }
    }
}

/// From the store below or from KV, the guard is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_entry_carries_the_guard() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "combined").expect("a store");
    let now = Timestamp::now();
    let at = Placement {
        owner: None,
        previous_owner: None,
        guard: Some(u64::MAX),
        expires_at: now.saturating_add(Duration::from_secs(3600)),
        ends_at: now.saturating_add(Duration::from_secs(3600)),
    };
    store.insert(now, "key", "1", &at).await.expect("inserted");
    let asked = || crate::state(&worker)["object-questions"].as_u64();
    let start = Instant::now();
    loop {
        let before = asked();
        let entry = store.get(now, "key", false).await.expect("it is there");
        assert_eq!(entry.guard, u64::MAX);
        if asked() == before {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "no read is served from KV"
        );
    }
}

/// No alarm can be set for the end of time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_may_end_later_than_any_alarm() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "durable").expect("a store");
    let now = Timestamp::now();
    for (key, millis) in [("centuries", 10_000_000_000_000), ("for ever", u64::MAX)] {
        let end = Timestamp::from_millis(millis);
        let at = Placement {
            owner: Some("owner".into()),
            previous_owner: None,
            guard: None,
            expires_at: end,
            ends_at: end,
        };
        store.insert(now, key, "1", &at).await.expect("inserted");
        store.get(now, key, true).await.expect("it is there");
    }
    let rows = store.list_owned(now, "owner", "", 10).await.expect("listed").rows;
    assert_eq!(rows.len(), 2, "{rows:?}");
}

/// An alarm removes a record that expired before the grace, and leaves one that a slower clock may still see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_remove_what_expired_before_the_grace_and_nothing_else() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "durable").expect("a store");
    let ago = |duration: Duration| Timestamp::now().saturating_sub(duration);
    // To this clock, both are alive.
    let then = ago(SWEEP_GRACE * 3);
    let until = |expires_at: Timestamp| Placement {
        owner: Some("owner".into()),
        previous_owner: None,
        guard: None,
        expires_at,
        ends_at: expires_at,
    };
    let (long, lately) = (ago(SWEEP_GRACE + Duration::from_secs(5)), ago(SWEEP_GRACE / 2));
    store
        .insert(then, "lately", "1", &until(lately))
        .await
        .expect("inserted");
    store
        .insert(then, "long ago", "1", &until(long))
        .await
        .expect("inserted");
    let start = Instant::now();
    while store.get(then, "long ago", true).await.is_ok() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "no alarm has removed it"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(
        store.get(then, "long ago", true).await,
        Err(StoreError::Missing)
    ));
    store.get(then, "lately", true).await.expect("it is there");
    // The index has an alarm of its own.
    let path = format!("/test/lines/{}/owner", store.space());
    let start = Instant::now();
    loop {
        let lines = worker.ask("GET", &path, None).expect("the lines");
        if lines == serde_json::json!(["lately"]) {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "no alarm has removed its line: {lines}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rows = store
        .list_owned(then, "owner", "", 10)
        .await
        .expect("listed")
        .rows;
    assert_eq!(
        rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        ["lately"]
    );
}

/// The alarm was set for when the record would have expired; it looks again, and waits for as long as that was moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_leaves_a_record_that_was_touched_and_removes_it_when_it_has_expired_then() {
    let worker = start(&nothing());
    let store = Remote::store(&worker, "durable").expect("a store");
    let swept_in = |seconds: u64| {
        Timestamp::now()
            .saturating_sub(SWEEP_GRACE)
            .saturating_add(Duration::from_secs(seconds))
    };
    // To this clock, it is alive throughout.
    let then = swept_in(0).saturating_sub(SWEEP_GRACE);
    let (first, later) = (swept_in(2), swept_in(6));
    let at = Placement {
        owner: None,
        previous_owner: None,
        guard: None,
        expires_at: first,
        ends_at: later,
    };
    store.insert(then, "key", "1", &at).await.expect("inserted");
    store.touch(then, "key", None, later).await.expect("touched");
    let is_there = async || store.get(then, "key", true).await.is_ok();
    while swept_in(0) < first.saturating_add(Duration::from_secs(2)) {
        assert!(is_there().await, "the alarm has removed what was touched");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let start = Instant::now();
    while is_there().await {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the alarm was not set again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        swept_in(0) >= later,
        "it was removed before it had expired for an hour"
    );
}
