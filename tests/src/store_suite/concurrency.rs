//! Properties of concurrent operations.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tessera::store::{Store, StoreError};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::property::Need::{CompareAndSwap, OwnerIndex};
use super::property::{Property, properties};
use super::subject::{Check, Subject, deletions, ensure, equal, is_missing, said};
use crate::whole;

pub(super) fn properties<S: Store>() -> Vec<Property<S>> {
    properties![
        [CompareAndSwap] => of_64_parallel_inserts_exactly_one_wins,
        [CompareAndSwap] => of_64_parallel_replaces_exactly_one_wins_each_version,
        [CompareAndSwap] => no_increment_of_64_parallel_writers_is_lost_while_others_touch,
        [CompareAndSwap] => a_deleted_entry_never_comes_back_under_parallel_replaces,
        [] => of_64_parallel_deletes_exactly_one_finds_the_entry,
        [] => of_64_parallel_touches_the_latest_expiry_stays,
        [CompareAndSwap, OwnerIndex] => an_entry_that_changes_owner_all_the_time_ends_in_its_last_owners_list,
        [OwnerIndex] => parallel_walks_list_what_stays_while_others_come_and_go,
    ]
}

const PARALLEL: usize = 64;
const ROUNDS: usize = 20;

/// Runs this number of tasks concurrently, all started together, and returns their results.
async fn at_once<S, T, F>(
    it: &Subject<S>,
    count: usize,
    work: impl Fn(Subject<S>, usize) -> F,
) -> Result<Vec<T>, String>
where
    S: Store,
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let (barrier, work) = (Arc::clone(&barrier), work(it.clone(), n));
        tasks.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    let mut answers = Vec::with_capacity(count);
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer.map_err(|_| "a task panicked".to_owned())??);
    }
    Ok(answers)
}

/// Returns the result of a write, or `None` if it lost against another one. Any other error is a failure.
fn won<T>(answer: Result<T, StoreError>) -> Result<Option<T>, String> {
    match answer {
        Ok(done) => Ok(Some(done)),
        Err(StoreError::Stale) => Ok(None),
        Err(error) => Err(format!("a write failed: {}", whole(&error))),
    }
}

async fn of_64_parallel_inserts_exactly_one_wins<S: Store>(it: Subject<S>) -> Check {
    for round in 0..ROUNDS {
        let answers = at_once(&it, PARALLEL, |it, n| async move {
            let (key, value) = (format!("key {round}"), n.to_string());
            let version = won(it.store.insert(it.now, &key, &value, &it.place(None)).await)?;
            Ok(version.map(|version| (value, version)))
        })
        .await?;
        only_winner(&it, &format!("key {round}"), answers).await?;
    }
    Ok(())
}

async fn of_64_parallel_replaces_exactly_one_wins_each_version<S: Store>(it: Subject<S>) -> Check {
    let mut expected = it.insert("key", "0", None).await?;
    for _ in 0..ROUNDS {
        let answers = at_once(&it, PARALLEL, |it, n| async move {
            let value = n.to_string();
            let version = won(it.replace("key", &value, expected, None, None).await)?;
            Ok(version.map(|version| (value, version)))
        })
        .await?;
        expected = only_winner(&it, "key", answers).await?;
    }
    Ok(())
}

/// Checks that exactly one writer won, and that the entry has its value and version. Returns that version.
async fn only_winner<S: Store>(
    it: &Subject<S>,
    key: &str,
    answers: Vec<Option<(String, u64)>>,
) -> Result<u64, String> {
    let winners: Vec<_> = answers.into_iter().flatten().collect();
    let [(value, version)] = winners.as_slice() else {
        return Err(format!("{} writers won", winners.len()));
    };
    let entry = said("get", it.get(key).await)?;
    equal(
        "the entry",
        (&*entry.value, entry.version),
        (value.as_str(), *version),
    )?;
    Ok(*version)
}

async fn no_increment_of_64_parallel_writers_is_lost_while_others_touch<S: Store>(it: Subject<S>) -> Check {
    const EACH: usize = 5;
    it.insert("key", "0", Some("owner")).await?;
    let versions = at_once(&it, PARALLEL, |it, n| async move {
        let mut versions = Vec::new();
        while versions.len() < EACH {
            let entry = said("get", it.get("key").await)?;
            let value: usize = entry
                .value
                .parse()
                .map_err(|_| "the value is not a number".to_owned())?;
            let more = (value + 1).to_string();
            versions.extend(won(it
                .replace("key", &more, entry.version, Some("owner"), Some("owner"))
                .await)?);
            let later = it.after(it.life() * u32::try_from(2 + n % 5).unwrap_or(2));
            said("touch", it.store.touch(it.now, "key", Some("owner"), later).await)?;
            tokio::task::yield_now().await;
        }
        Ok(versions)
    })
    .await?;
    equal(
        "the count",
        &*said("get", it.get("key").await)?.value,
        (PARALLEL * EACH).to_string().as_str(),
    )?;
    let distinct: HashSet<u64> = versions.into_iter().flatten().collect();
    equal("the number of versions", distinct.len(), PARALLEL * EACH)
}

async fn a_deleted_entry_never_comes_back_under_parallel_replaces<S: Store>(it: Subject<S>) -> Check {
    for round in 0..ROUNDS {
        let key = format!("key {round}");
        it.insert(&key, "0", Some("owner")).await?;
        let is_deleted = Arc::new(AtomicBool::new(false));
        at_once(&it, PARALLEL, |it, n| {
            let (key, is_deleted) = (key.clone(), Arc::clone(&is_deleted));
            async move {
                if n == 0 {
                    tokio::task::yield_now().await;
                    let found = said("delete", it.delete_of(it.now, &key, "owner").await)?;
                    is_deleted.store(true, Ordering::SeqCst);
                    return ensure(found, || "the delete found nothing".to_owned());
                }
                replace_until_missing(&it, &key, &is_deleted).await
            }
        })
        .await?;
        is_missing("get", it.get(&key).await)?;
    }
    Ok(())
}

/// Replaces and touches the entry until it is missing, which it must be once the deletion was acknowledged.
async fn replace_until_missing<S: Store>(it: &Subject<S>, key: &str, is_deleted: &AtomicBool) -> Check {
    loop {
        let was_deleted = is_deleted.load(Ordering::SeqCst);
        let entry = match it.get(key).await {
            Ok(_) if was_deleted => return Err("read after its deletion".to_owned()),
            Ok(entry) => entry,
            Err(StoreError::Missing) => return Ok(()),
            Err(error) => return Err(format!("get failed: {}", whole(&error))),
        };
        let was_deleted = is_deleted.load(Ordering::SeqCst);
        match it
            .replace(key, "1", entry.version, Some("owner"), Some("owner"))
            .await
        {
            Ok(_) if was_deleted => return Err("replaced after its deletion".to_owned()),
            Ok(_) | Err(StoreError::Stale | StoreError::Missing) => {}
            Err(error) => return Err(format!("replace failed: {}", whole(&error))),
        }
        match it
            .store
            .touch(it.now, key, Some("owner"), it.after(it.life() * 2))
            .await
        {
            Ok(()) | Err(StoreError::Missing) => {}
            Err(error) => return Err(format!("touch failed: {}", whole(&error))),
        }
        tokio::task::yield_now().await;
    }
}

async fn of_64_parallel_deletes_exactly_one_finds_the_entry<S: Store>(it: Subject<S>) -> Check {
    for _ in 0..ROUNDS {
        it.insert("key", "1", Some("owner")).await?;
        let found = at_once(&it, PARALLEL, |it, n| async move {
            if n % 2 == 0 {
                return said("delete", it.delete_of(it.now, "key", "owner").await).map(u32::from);
            }
            said(
                "delete_many",
                it.store
                    .delete_many(it.now, &deletions(&["key".to_owned()]), "owner")
                    .await,
            )
        })
        .await?;
        equal("the number of successful deletes", found.iter().sum::<u32>(), 1)?;
    }
    Ok(())
}

async fn of_64_parallel_touches_the_latest_expiry_stays<S: Store>(it: Subject<S>) -> Check {
    let version = it.insert("key", "1", None).await?;
    at_once(&it, PARALLEL, |it, n| async move {
        let minutes = u32::try_from(n * 37 % PARALLEL + 1).unwrap_or(1);
        let later = it.after(it.life() + std::time::Duration::from_secs(60) * minutes);
        said("touch", it.store.touch(it.now, "key", None, later).await)
    })
    .await?;
    let entry = said("get", it.get("key").await)?;
    let latest = it.after(it.life() + std::time::Duration::from_secs(60) * 64);
    equal("the entry", (entry.version, entry.expires_at), (version, latest))
}

async fn an_entry_that_changes_owner_all_the_time_ends_in_its_last_owners_list<S: Store>(
    it: Subject<S>,
) -> Check {
    const OWNERS: [&str; 3] = ["a", "b", "c"];
    it.insert("key", "a", Some("a")).await?;
    at_once(&it, PARALLEL, |it, n| async move {
        for step in 0..10 {
            let entry = said("get", it.get("key").await)?;
            let to = OWNERS[(n + step) % 3];
            // The value names the owner.
            won(it
                .replace("key", to, entry.version, Some(&entry.value), Some(to))
                .await)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    })
    .await?;
    let last = said("get", it.get("key").await)?.value;
    equal(
        "the last owner's list",
        it.owned(&last).await?,
        vec!["key".to_owned()],
    )
}

async fn parallel_walks_list_what_stays_while_others_come_and_go<S: Store>(it: Subject<S>) -> Check {
    for n in 0..60 {
        it.insert(&format!("stays {n}"), "1", Some("owner")).await?;
    }
    at_once(&it, 16, |it, n| async move {
        for step in 0..10 {
            if n % 2 == 0 {
                let rows = it.walk(it.now, "owner", 7).await?;
                let stayed: HashSet<_> = rows
                    .into_iter()
                    .map(|row| row.key)
                    .filter(|key| key.starts_with("stays"))
                    .collect();
                equal("the number of listed entries that stayed", stayed.len(), 60)?;
            } else {
                let key = format!("comes {n} {step}");
                it.insert(&key, "1", Some("owner")).await?;
                said("delete", it.delete_of(it.now, &key, "owner").await)?;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    })
    .await
    .map(|_| ())
}
