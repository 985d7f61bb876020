//! Properties of each method, and of versions.

use std::collections::HashSet;

use tessera::store::{Expected, Placement, Store};

use super::property::Need::{CompareAndSwap, OwnerIndex};
use super::property::{Property, properties};
use super::subject::{Check, Subject, deletions, ensure, equal, is_missing, is_other, is_stale, said};

pub(super) fn properties<S: Store>() -> Vec<Property<S>> {
    properties![
        [] => describe_answers_the_same_every_time,
        [] => a_get_answers_what_was_inserted,
        [] => an_unknown_key_is_missing_to_every_method,
        [CompareAndSwap] => an_insert_over_a_live_entry_is_stale_and_changes_nothing,
        [CompareAndSwap] => a_replace_writes_over_the_expected_version_only,
        [] => an_acknowledged_replace_is_read_by_the_next_get,
        [] => a_replace_may_move_the_expiry_in_both_directions,
        [] => a_touch_moves_the_expiry_and_keeps_version_and_value,
        [] => a_touch_never_shortens,
        [] => a_touch_never_reaches_past_the_end,
        [] => an_entry_never_outlives_its_end,
        [] => a_deleted_entry_is_missing_and_its_second_deletion_finds_nothing,
        [CompareAndSwap] => a_replace_after_a_delete_is_missing_and_raises_nothing,
        [] => get_many_answers_each_key_in_its_place,
        [] => delete_many_counts_what_was_there,
        [] => delete_many_leaves_entries_of_another_owner,
        [] => more_than_a_hundred_keys_at_once_are_refused,
        [OwnerIndex] => a_row_shows_what_a_get_does,
        [OwnerIndex] => a_row_shows_when_the_entry_was_last_written_or_touched,
        [] => versions_are_never_used_twice_for_one_key,
    ]
}

async fn describe_answers_the_same_every_time<S: Store>(it: Subject<S>) -> Check {
    it.insert("a", "1", None).await?;
    equal("describe", it.store.describe(), it.capabilities)
}

async fn a_get_answers_what_was_inserted<S: Store>(it: Subject<S>) -> Check {
    let at = it.place(Some("owner"));
    let version = it.insert_at("key", "the value", &at).await?;
    for fresh in [false, true] {
        let entry = said("get", it.store.get(it.now, "key", fresh).await)?;
        equal("the value", &*entry.value, "the value")?;
        equal("the version", entry.version, version)?;
        equal("the expiry", entry.expires_at, at.expires_at)?;
    }
    Ok(())
}

async fn an_unknown_key_is_missing_to_every_method<S: Store>(it: Subject<S>) -> Check {
    it.insert("other", "1", Some("owner")).await?;
    is_missing("get", it.get("key").await)?;
    is_missing("replace", it.replace("key", "2", 1, None, None).await)?;
    is_missing(
        "touch",
        it.store.touch(it.now, "key", None, it.after(it.life())).await,
    )?;
    equal(
        "delete",
        said("delete", it.delete_bare(it.now, "key").await)?,
        false,
    )?;
    let keys = ["key".to_owned()];
    equal(
        "delete_many",
        said(
            "delete_many",
            it.store.delete_many(it.now, &deletions(&keys), "owner").await,
        )?,
        0,
    )?;
    for answer in said("get_many", it.store.get_many(it.now, &keys).await)? {
        is_missing("get_many", answer)?;
    }
    is_missing("get after all that", it.get("key").await)
}

async fn an_insert_over_a_live_entry_is_stale_and_changes_nothing<S: Store>(it: Subject<S>) -> Check {
    it.insert("key", "first", Some("a")).await?;
    let before = said("get", it.get("key").await)?;
    is_stale(
        "the second insert",
        it.store
            .insert(it.now, "key", "second", &it.place(Some("b")))
            .await,
    )?;
    equal("the entry", said("get", it.get("key").await)?, before)
}

async fn a_replace_writes_over_the_expected_version_only<S: Store>(it: Subject<S>) -> Check {
    let first = it.insert("key", "1", None).await?;
    let second = said("replace", it.replace("key", "2", first, None, None).await)?;
    ensure(first != second, || "a replace kept the version".to_owned())?;
    is_stale(
        "a replace of the old version",
        it.replace("key", "3", first, None, None).await,
    )?;
    is_stale(
        "a replace of no version",
        it.replace("key", "3", second.wrapping_add(1), None, None).await,
    )?;
    let entry = said("get", it.get("key").await)?;
    equal("the entry", (&*entry.value, entry.version), ("2", second))
}

async fn an_acknowledged_replace_is_read_by_the_next_get<S: Store>(it: Subject<S>) -> Check {
    let mut version = it.insert("key", "0", None).await?;
    for round in 1..=50 {
        let value = round.to_string();
        version = said("replace", it.replace("key", &value, version, None, None).await)?;
        let entry = said("get", it.get("key").await)?;
        equal(
            "the entry",
            (&*entry.value, entry.version),
            (value.as_str(), version),
        )?;
    }
    Ok(())
}

async fn a_replace_may_move_the_expiry_in_both_directions<S: Store>(it: Subject<S>) -> Check {
    let mut version = it.insert("key", "1", None).await?;
    for lives in [5, 2, 3] {
        let expires_at = it.after(it.life() * lives);
        let at = it.place_until(None, expires_at);
        version = said(
            "replace",
            it.store
                .replace(it.now, "key", "2", Expected::Version(version), &at)
                .await,
        )?;
        equal(
            "the expiry",
            said("get", it.get("key").await)?.expires_at,
            expires_at,
        )?;
    }
    Ok(())
}

async fn a_touch_moves_the_expiry_and_keeps_version_and_value<S: Store>(it: Subject<S>) -> Check {
    let version = it.insert("key", "1", Some("owner")).await?;
    let later = it.after(it.life() * 2);
    said("touch", it.store.touch(it.now, "key", Some("owner"), later).await)?;
    let entry = said("get", it.get("key").await)?;
    equal(
        "the entry",
        (&*entry.value, entry.version, entry.expires_at),
        ("1", version, later),
    )?;
    said(
        "a replace after the touch",
        it.replace("key", "2", version, None, None).await,
    )
    .map(|_| ())
}

async fn a_touch_never_shortens<S: Store>(it: Subject<S>) -> Check {
    let at = it.place(None);
    it.insert_at("key", "1", &at).await?;
    for earlier in [
        at.expires_at,
        it.after(it.life() / 2),
        it.now,
        tessera::Timestamp::from_millis(0),
    ] {
        said("touch", it.store.touch(it.now, "key", None, earlier).await)?;
        equal(
            "the expiry",
            said("get", it.get("key").await)?.expires_at,
            at.expires_at,
        )?;
    }
    Ok(())
}

async fn a_touch_never_reaches_past_the_end<S: Store>(it: Subject<S>) -> Check {
    let (expires_at, ends_at) = (it.after(it.life()), it.after(it.life() * 2));
    let at = Placement {
        expires_at,
        ends_at,
        ..it.place(None)
    };
    it.insert_at("key", "1", &at).await?;
    said(
        "touch",
        it.store.touch(it.now, "key", None, it.after(it.life() * 3)).await,
    )?;
    equal(
        "the expiry",
        said("get", it.get("key").await)?.expires_at,
        ends_at,
    )
}

async fn an_entry_never_outlives_its_end<S: Store>(it: Subject<S>) -> Check {
    let (expires_at, ends_at) = (it.after(it.life() * 2), it.after(it.life()));
    let at = Placement {
        expires_at,
        ends_at,
        ..it.place(None)
    };
    let version = it.insert_at("key", "1", &at).await?;
    equal(
        "the expiry",
        said("get", it.get("key").await)?.expires_at,
        ends_at,
    )?;
    said(
        "replace",
        it.store
            .replace(it.now, "key", "2", Expected::Version(version), &at)
            .await,
    )?;
    equal(
        "the expiry after a replace",
        said("get", it.get("key").await)?.expires_at,
        ends_at,
    )
}

async fn a_deleted_entry_is_missing_and_its_second_deletion_finds_nothing<S: Store>(it: Subject<S>) -> Check {
    it.insert("key", "1", Some("owner")).await?;
    it.insert("other", "1", Some("owner")).await?;
    let delete = || it.delete_of(it.now, "key", "owner");
    equal("the first delete", said("delete", delete().await)?, true)?;
    is_missing("get", it.get("key").await)?;
    equal("the second delete", said("delete", delete().await)?, false)?;
    said("get of another key", it.get("other").await).map(|_| ())
}

async fn a_replace_after_a_delete_is_missing_and_raises_nothing<S: Store>(it: Subject<S>) -> Check {
    let version = it.insert("key", "1", None).await?;
    said("delete", it.delete_bare(it.now, "key").await)?;
    is_missing("replace", it.replace("key", "2", version, None, None).await)?;
    is_missing(
        "touch",
        it.store.touch(it.now, "key", None, it.after(it.life() * 2)).await,
    )?;
    is_missing("get", it.get("key").await)
}

async fn get_many_answers_each_key_in_its_place<S: Store>(it: Subject<S>) -> Check {
    for n in 0..50 {
        it.insert(&format!("key {n}"), &n.to_string(), None).await?;
    }
    // Every second key exists, and one is requested twice.
    let mut keys: Vec<String> = (0..99)
        .map(|n| {
            if n % 2 == 0 {
                format!("key {}", n / 2)
            } else {
                format!("none {n}")
            }
        })
        .collect();
    keys.push("key 0".to_owned());
    let answers = said("get_many", it.store.get_many(it.now, &keys).await)?;
    equal("the number of answers", answers.len(), keys.len())?;
    for (n, answer) in answers.into_iter().enumerate() {
        match n {
            99 => equal("the last value", &*said("the last", answer)?.value, "0")?,
            n if n % 2 == 0 => equal(
                "a value",
                &*said("one", answer)?.value,
                (n / 2).to_string().as_str(),
            )?,
            _ => is_missing("an absent key", answer)?,
        }
    }
    equal(
        "no keys",
        said("get_many", it.store.get_many(it.now, &[]).await)?.len(),
        0,
    )
}

async fn delete_many_counts_what_was_there<S: Store>(it: Subject<S>) -> Check {
    for n in 0..10 {
        it.insert(&format!("key {n}"), "1", Some("owner")).await?;
    }
    let mut keys: Vec<String> = (0..20).map(|n| format!("key {}", n * 2)).collect();
    keys.push("key 0".to_owned());
    let deletions = deletions(&keys);
    let delete = || it.store.delete_many(it.now, &deletions, "owner");
    equal("the first count", said("delete_many", delete().await)?, 5)?;
    equal("the second count", said("delete_many", delete().await)?, 0)?;
    for n in 0..10 {
        let answer = it.get(&format!("key {n}")).await;
        match n % 2 {
            0 => is_missing("a deleted entry", answer)?,
            _ => said("an entry that was not deleted", answer).map(|_| ())?,
        }
    }
    Ok(())
}

async fn delete_many_leaves_entries_of_another_owner<S: Store>(it: Subject<S>) -> Check {
    it.insert("mine", "1", Some("a")).await?;
    it.insert("theirs", "1", Some("b")).await?;
    it.insert("nobody's", "1", None).await?;
    let keys = ["mine", "theirs", "nobody's"].map(str::to_owned);
    equal(
        "the count",
        said(
            "delete_many",
            it.store.delete_many(it.now, &deletions(&keys), "a").await,
        )?,
        1,
    )?;
    is_missing("the owner's", it.get("mine").await)?;
    said("another's", it.get("theirs").await)?;
    said("nobody's", it.get("nobody's").await).map(|_| ())
}

async fn more_than_a_hundred_keys_at_once_are_refused<S: Store>(it: Subject<S>) -> Check {
    let keys: Vec<String> = (0..101).map(|n| format!("key {n}")).collect();
    is_other("get_many", it.store.get_many(it.now, &keys).await)?;
    is_other(
        "delete_many",
        it.store.delete_many(it.now, &deletions(&keys), "owner").await,
    )?;
    said(
        "get_many of a hundred",
        it.store.get_many(it.now, &keys[..100]).await,
    )?;
    said(
        "delete_many of a hundred",
        it.store
            .delete_many(it.now, &deletions(&keys[..100]), "owner")
            .await,
    )
    .map(|_| ())
}

async fn a_row_shows_what_a_get_does<S: Store>(it: Subject<S>) -> Check {
    it.insert("key", "the value", Some("owner")).await?;
    let entry = said("get", it.get("key").await)?;
    let rows = it.walk(it.now, "owner", 100).await?;
    let [row] = rows.as_slice() else {
        return Err(format!("{} rows for one entry", rows.len()));
    };
    equal(
        "the row",
        (row.key.as_str(), row.version, row.expires_at),
        ("key", entry.version, entry.expires_at),
    )?;
    ensure(
        row.value.as_ref().is_none_or(|value| *value == entry.value),
        || "another value".to_owned(),
    )
}

async fn a_row_shows_when_the_entry_was_last_written_or_touched<S: Store>(it: Subject<S>) -> Check {
    let touched_at = async |now| {
        let rows = it.walk(now, "owner", 1).await?;
        rows.first().map(|row| row.touched_at).ok_or("no row".to_owned())
    };
    let version = it.insert("key", "1", Some("owner")).await?;
    equal("after the insert", touched_at(it.now).await?, it.now)?;

    let (first, second, third) = (
        it.after(it.life() / 8),
        it.after(it.life() / 4),
        it.after(it.life() / 2),
    );
    said(
        "touch",
        it.store
            .touch(first, "key", Some("owner"), it.after(it.life() * 2))
            .await,
    )?;
    equal("after the touch", touched_at(first).await?, first)?;
    said(
        "touch",
        it.store
            .touch(second, "key", Some("owner"), it.after(it.life()))
            .await,
    )?;
    equal(
        "after a touch that changed nothing",
        touched_at(second).await?,
        first,
    )?;
    let at = it.place(Some("owner"));
    said(
        "replace",
        it.store
            .replace(third, "key", "2", Expected::Version(version), &at)
            .await,
    )?;
    equal("after the replace", touched_at(third).await?, third)
}

async fn versions_are_never_used_twice_for_one_key<S: Store>(it: Subject<S>) -> Check {
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let mut version = it.insert("key", "the same", None).await?;
        for _ in 0..5 {
            ensure(seen.insert(version), || "a version came back".to_owned())?;
            version = said(
                "replace",
                it.replace("key", "the same", version, None, None).await,
            )?;
        }
        ensure(seen.insert(version), || "a version came back".to_owned())?;
        said("delete", it.delete_bare(it.now, "key").await)?;
    }
    Ok(())
}
