//! Properties of guards: the writes that change or keep them, and the operations that are conditional on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tessera::store::{Condition, Deletion, Expected, Placement, Store, StoreError};
use tokio::task::JoinSet;

use super::property::Need::{CompareAndSwap, ExactExpiry, OwnerIndex};
use super::property::{Property, properties};
use super::subject::{Check, Subject, ensure, equal, is_missing, is_stale, said};
use crate::whole;

pub(super) fn properties<S: Store>() -> Vec<Property<S>> {
    properties![
        [] => a_guard_is_answered_as_it_was_written,
        [OwnerIndex] => a_row_shows_the_guard,
        [CompareAndSwap] => a_guard_stays_until_a_write_brings_another,
        [] => an_entry_made_anew_has_nothing_of_the_guard_before,
        [CompareAndSwap] => a_replace_by_guard_does_not_mind_other_writes,
        [] => a_delete_is_done_only_while_its_condition_holds,
        [ExactExpiry] => an_expired_entry_is_missing_to_a_delete_whatever_its_condition,
        [] => delete_many_leaves_entries_with_another_guard,
        [CompareAndSwap] => a_delete_by_guard_succeeds_at_once_under_parallel_replaces,
        [CompareAndSwap] => of_a_delete_by_guard_and_a_change_of_the_guard_exactly_one_wins,
    ]
}

/// Larger than any signed 64-bit or JavaScript number.
const LARGE: u64 = u64::MAX - 1;

fn guarded<S: Store>(it: &Subject<S>, owner: Option<&str>, guard: Option<u64>) -> Placement {
    Placement {
        guard,
        ..it.place(owner)
    }
}

fn is_of(owner: &str) -> Condition {
    Condition::Owner(owner.to_owned())
}

async fn guard_of<S: Store>(it: &Subject<S>, key: &str) -> Result<u64, String> {
    said("get", it.get(key).await).map(|entry| entry.guard)
}

async fn a_guard_is_answered_as_it_was_written<S: Store>(it: Subject<S>) -> Check {
    it.insert("bare", "1", None).await?;
    for (key, guard) in [
        ("one", 1),
        ("large", LARGE),
        ("largest", u64::MAX),
        ("half", 1 << 63),
    ] {
        it.insert_at(key, "1", &guarded(&it, None, Some(guard))).await?;
        equal("the guard", guard_of(&it, key).await?, guard)?;
    }
    let keys = ["bare", "large"].map(str::to_owned);
    let entries = said("get_many", it.store.get_many(it.now, &keys).await)?;
    let guards: Vec<u64> = entries.iter().flatten().map(|entry| entry.guard).collect();
    equal("the guards", guards, vec![0, LARGE])
}

async fn a_row_shows_the_guard<S: Store>(it: Subject<S>) -> Check {
    it.insert_at("key", "1", &guarded(&it, Some("owner"), Some(LARGE)))
        .await?;
    let rows = it.walk(it.now, "owner", 100).await?;
    equal(
        "the guards",
        rows.iter().map(|row| row.guard).collect(),
        vec![LARGE],
    )
}

async fn a_guard_stays_until_a_write_brings_another<S: Store>(it: Subject<S>) -> Check {
    let version = it
        .insert_at("key", "1", &guarded(&it, Some("a"), Some(LARGE)))
        .await?;
    let version = said(
        "replace",
        it.replace("key", "2", version, Some("a"), Some("b")).await,
    )?;
    equal("after a replace", guard_of(&it, "key").await?, LARGE)?;
    let later = it.after(it.life() * 2);
    said("touch", it.store.touch(it.now, "key", Some("b"), later).await)?;
    equal("after a touch", guard_of(&it, "key").await?, LARGE)?;
    let at = guarded(&it, Some("b"), Some(5));
    let expected = Expected::Version(version);
    said(
        "replace",
        it.store.replace(it.now, "key", "3", expected, &at).await,
    )?;
    equal("after a replace that brings one", guard_of(&it, "key").await?, 5)
}

async fn an_entry_made_anew_has_nothing_of_the_guard_before<S: Store>(it: Subject<S>) -> Check {
    it.insert_at("key", "1", &guarded(&it, None, Some(LARGE))).await?;
    said(
        "delete",
        it.store.delete(it.now, "key", &Condition::Guard(LARGE)).await,
    )?;
    match it.store.insert(it.now, "key", "2", &it.place(None)).await {
        Ok(_) => equal("the guard", guard_of(&it, "key").await?, 0),
        // A store without compare-and-swap never accepts a key again.
        Err(StoreError::Stale) if !it.capabilities.compare_and_swap => Ok(()),
        Err(error) => Err(format!("insert failed: {}", whole(&error))),
    }
}

async fn a_replace_by_guard_does_not_mind_other_writes<S: Store>(it: Subject<S>) -> Check {
    let version = it.insert_at("key", "1", &guarded(&it, None, Some(7))).await?;
    said("replace", it.replace("key", "2", version, None, None).await)?;
    let by = async |guard: u64, next: u64| {
        let at = guarded(&it, None, Some(next));
        it.store
            .replace(it.now, "key", "3", Expected::Guard(guard), &at)
            .await
    };
    is_stale("a replace of another guard", by(8, 9).await)?;
    // A version is not a guard.
    is_stale("a replace by its version as guard", by(version, 9).await)?;
    said("replace", by(7, 8).await)?;
    is_stale("a replace of the guard before", by(7, 9).await)?;
    equal("the guard", guard_of(&it, "key").await?, 8)?;
    said(
        "delete",
        it.store.delete(it.now, "key", &Condition::Guard(8)).await,
    )?;
    is_missing("a replace of what was deleted", by(8, 9).await)
}

async fn a_delete_is_done_only_while_its_condition_holds<S: Store>(it: Subject<S>) -> Check {
    for (key, met, unmet) in [
        ("a", is_of("owner"), is_of("another")),
        ("b", is_of("owner"), is_of("")),
        ("c", Condition::Guard(LARGE), Condition::Guard(0)),
        ("d", Condition::Guard(LARGE), Condition::Guard(LARGE - 1)),
    ] {
        it.insert_at(key, "1", &guarded(&it, Some("owner"), Some(LARGE)))
            .await?;
        is_stale("a delete", it.store.delete(it.now, key, &unmet).await)?;
        said("get", it.get(key).await)?;
        equal(
            "the delete",
            said("delete", it.store.delete(it.now, key, &met).await)?,
            true,
        )?;
        is_missing("get", it.get(key).await)?;
        for condition in [met, unmet] {
            let second = said("delete", it.store.delete(it.now, key, &condition).await)?;
            equal("the second delete", second, false)?;
        }
    }
    it.insert("nobody's", "1", None).await?;
    for owner in ["", "owner"] {
        let deleted = it.store.delete(it.now, "nobody's", &is_of(owner)).await;
        is_stale("a delete of nobody's entry", deleted)?;
    }
    Ok(())
}

async fn an_expired_entry_is_missing_to_a_delete_whatever_its_condition<S: Store>(it: Subject<S>) -> Check {
    let at = guarded(&it, Some("owner"), Some(7));
    it.insert_at("key", "1", &at).await?;
    for condition in [Condition::Guard(8), is_of("another")] {
        let deleted = said("delete", it.store.delete(at.expires_at, "key", &condition).await)?;
        equal("the delete", deleted, false)?;
    }
    // The entry is still live to a caller whose clock is behind.
    said("get", it.get("key").await).map(|_| ())
}

async fn delete_many_leaves_entries_with_another_guard<S: Store>(it: Subject<S>) -> Check {
    let (mut deletions, mut stays) = (Vec::new(), Vec::new());
    for n in 0..3_u64 {
        for (kind, owner, named, goes) in [
            ("bare", "owner", None, true),
            ("same", "owner", Some(LARGE - n), true),
            ("other", "owner", Some(LARGE - n - 1), false),
            ("another's", "another", Some(LARGE - n), false),
        ] {
            let key = format!("{kind} {n}");
            it.insert_at(&key, "1", &guarded(&it, Some(owner), Some(LARGE - n)))
                .await?;
            deletions.push(Deletion {
                key: key.clone(),
                guard: named,
            });
            if !goes {
                stays.push(key);
            }
        }
    }
    let removed = it.store.delete_many(it.now, &deletions, "owner").await;
    equal("the count", said("delete_many", removed)?, 6)?;
    for Deletion { key, .. } in &deletions {
        match it.get(key).await {
            Ok(_) => ensure(stays.contains(key), || format!("{key} was kept"))?,
            answer => {
                is_missing(key, answer)?;
                ensure(!stays.contains(key), || format!("{key} was deleted"))?;
            }
        }
    }
    Ok(())
}

/// The purpose of guards: no number of saves delays the end of a session.
async fn a_delete_by_guard_succeeds_at_once_under_parallel_replaces<S: Store>(it: Subject<S>) -> Check {
    let key = "key".to_owned();
    for _ in 0..10 {
        it.insert_at(&key, "1", &guarded(&it, Some("owner"), Some(7)))
            .await?;
        let (mut savers, stops) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for _ in 0..8 {
            let (it, key, stops) = (it.clone(), key.clone(), Arc::clone(&stops));
            savers.spawn(async move {
                while !stops.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                    let Ok(entry) = it.get(&key).await else { return };
                    let _ = it
                        .replace(&key, "2", entry.version, Some("owner"), Some("owner"))
                        .await;
                }
            });
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let deleted = it.store.delete(it.now, &key, &Condition::Guard(7)).await;
        stops.store(true, Ordering::SeqCst);
        while savers.join_next().await.is_some() {}
        equal("the delete", said("delete", deleted)?, true)?;
        is_missing("get after the delete", it.get(&key).await)?;
    }
    Ok(())
}

async fn of_a_delete_by_guard_and_a_change_of_the_guard_exactly_one_wins<S: Store>(it: Subject<S>) -> Check {
    let key = "key".to_owned();
    for _ in 0..50 {
        it.insert_at(&key, "1", &guarded(&it, None, Some(7))).await?;
        let change = {
            let (it, key) = (it.clone(), key.clone());
            let at = guarded(&it, None, Some(8));
            tokio::spawn(async move { it.store.replace(it.now, &key, "2", Expected::Guard(7), &at).await })
        };
        let deleted = it.store.delete(it.now, &key, &Condition::Guard(7)).await;
        let changed = change.await.map_err(|error| error.to_string())?;
        match (deleted, changed) {
            (Ok(true), changed) => {
                is_missing("the change", changed)?;
                is_missing("get", it.get(&key).await)?;
            }
            (deleted, Ok(_)) => {
                is_stale("the delete", deleted)?;
                equal("the guard", guard_of(&it, &key).await?, 8)?;
                said(
                    "delete",
                    it.store.delete(it.now, &key, &Condition::Guard(8)).await,
                )?;
            }
            (deleted, changed) => return Err(format!("delete returned {deleted:?}, replace {changed:?}")),
        }
    }
    Ok(())
}
