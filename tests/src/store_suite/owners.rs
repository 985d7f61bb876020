//! Properties of the index of owners, which may list too much and never too little.

use std::collections::HashSet;

use tessera::store::{Expected, Store, StoreError};

use super::property::Need::{CompareAndSwap, OwnerIndex};
use super::property::{Property, properties};
use super::subject::{Check, Subject, deletions, ensure, equal, is_other, said};

pub(super) fn properties<S: Store>() -> Vec<Property<S>> {
    properties![
        [OwnerIndex] => an_owner_without_entries_has_an_empty_list,
        [OwnerIndex] => an_acknowledged_insert_is_listed,
        [OwnerIndex] => an_entry_without_owner_is_in_no_list,
        [OwnerIndex] => a_deleted_entry_is_not_listed,
        [OwnerIndex, CompareAndSwap] => a_replace_moves_an_entry_from_list_to_list,
        [OwnerIndex, CompareAndSwap] => a_replace_that_fails_moves_nothing,
        [OwnerIndex, CompareAndSwap] => a_wrong_previous_owner_never_hides_an_entry,
        [OwnerIndex] => a_touch_keeps_an_entry_listed,
        [OwnerIndex] => a_walk_in_pages_of_any_size_lists_every_entry_once,
        [OwnerIndex] => a_walk_lists_what_stays_while_others_come_and_go,
        [OwnerIndex, CompareAndSwap] => a_walk_lists_what_stays_while_it_is_replaced_and_touched,
        [OwnerIndex] => a_walk_ends_although_its_last_row_is_deleted,
        [OwnerIndex] => a_thousand_owners_each_list_their_own,
        [OwnerIndex] => a_page_of_no_rows_or_too_many_is_refused,
        [OwnerIndex] => a_malformed_cursor_is_refused,
    ]
}

async fn an_owner_without_entries_has_an_empty_list<S: Store>(it: Subject<S>) -> Check {
    let page = said("list_owned", it.store.list_owned(it.now, "nobody", "", 100).await)?;
    equal("the page", page, Default::default())
}

async fn an_acknowledged_insert_is_listed<S: Store>(it: Subject<S>) -> Check {
    let mut wanted = Vec::new();
    for n in 0..20 {
        let key = format!("key {n:02}");
        it.insert(&key, "1", Some("owner")).await?;
        wanted.push(key);
        equal("the list", it.owned("owner").await?, wanted.clone())?;
    }
    Ok(())
}

async fn an_entry_without_owner_is_in_no_list<S: Store>(it: Subject<S>) -> Check {
    it.insert("key", "1", None).await?;
    for owner in ["", "key", "null", "None"] {
        equal("the list", it.owned(owner).await?, vec![])?;
    }
    Ok(())
}

async fn a_deleted_entry_is_not_listed<S: Store>(it: Subject<S>) -> Check {
    for key in ["a", "b", "c"] {
        it.insert(key, "1", Some("owner")).await?;
    }
    said("delete", it.delete_of(it.now, "a", "owner").await)?;
    equal(
        "the list",
        it.owned("owner").await?,
        vec!["b".to_owned(), "c".to_owned()],
    )?;
    said(
        "delete_many",
        it.store
            .delete_many(it.now, &deletions(&["b".to_owned()]), "owner")
            .await,
    )?;
    equal("the list", it.owned("owner").await?, vec!["c".to_owned()])
}

async fn a_replace_moves_an_entry_from_list_to_list<S: Store>(it: Subject<S>) -> Check {
    let mut version = it.insert("key", "1", None).await?;
    let steps = [
        (None, Some("a")),
        (Some("a"), Some("a")),
        (Some("a"), Some("b")),
        (Some("b"), Some("a")),
        (Some("a"), None),
    ];
    for (from, to) in steps {
        version = said("replace", it.replace("key", "2", version, from, to).await)?;
        for owner in ["a", "b"] {
            let wanted = if to == Some(owner) {
                vec!["key".to_owned()]
            } else {
                vec![]
            };
            equal("the list", it.owned(owner).await?, wanted)?;
        }
    }
    Ok(())
}

async fn a_replace_that_fails_moves_nothing<S: Store>(it: Subject<S>) -> Check {
    let version = it.insert("key", "1", Some("a")).await?;
    let answer = it.replace("key", "2", !version, Some("a"), Some("b")).await;
    ensure(answer.is_err(), || {
        "a replace of another version succeeded".to_owned()
    })?;
    equal(
        "the old owner's list",
        it.owned("a").await?,
        vec!["key".to_owned()],
    )?;
    equal("the other's list", it.owned("b").await?, vec![])
}

async fn a_wrong_previous_owner_never_hides_an_entry<S: Store>(it: Subject<S>) -> Check {
    let version = it.insert("key", "1", Some("a")).await?;
    let version = said(
        "replace",
        it.replace("key", "2", version, Some("x"), Some("b")).await,
    )?;
    equal(
        "the new owner's list",
        it.owned("b").await?,
        vec!["key".to_owned()],
    )?;
    said("replace", it.replace("key", "2", version, None, Some("a")).await)?;
    equal(
        "the first owner's list",
        it.owned("a").await?,
        vec!["key".to_owned()],
    )
}

async fn a_touch_keeps_an_entry_listed<S: Store>(it: Subject<S>) -> Check {
    it.insert("key", "1", Some("owner")).await?;
    // With and without the owner as an argument.
    for (lives, owner) in [(2, Some("owner")), (3, None)] {
        said(
            "touch",
            it.store
                .touch(it.now, "key", owner, it.after(it.life() * lives))
                .await,
        )?;
        let rows = it
            .walk(it.after(it.life() * lives - it.life() / 2), "owner", 10)
            .await?;
        equal("the rows", rows.len(), 1)?;
    }
    Ok(())
}

async fn a_walk_in_pages_of_any_size_lists_every_entry_once<S: Store>(it: Subject<S>) -> Check {
    let mut wanted: Vec<String> = (0..200).map(|n| format!("key {n:03}")).collect();
    for key in &wanted {
        it.insert(key, "1", Some("owner")).await?;
        it.insert(&format!("{key} of another"), "1", Some("another"))
            .await?;
    }
    wanted.sort();
    for limit in [1, 3, 50, 99, 100] {
        let mut keys: Vec<String> = it
            .walk(it.now, "owner", limit)
            .await?
            .into_iter()
            .map(|row| row.key)
            .collect();
        keys.sort();
        equal("the keys", keys, wanted.clone())?;
    }
    Ok(())
}

async fn a_walk_lists_what_stays_while_others_come_and_go<S: Store>(it: Subject<S>) -> Check {
    let key = |n: usize| format!("key {:03}", n * 7919 % 300);
    for n in 0..300 {
        it.insert(&key(n), "1", Some("owner")).await?;
    }
    let mut listed = HashSet::new();
    let mut cursor = String::new();
    let mut gone = 0;
    loop {
        let page = said(
            "list_owned",
            it.store.list_owned(it.now, "owner", &cursor, 10).await,
        )?;
        listed.extend(page.rows.into_iter().map(|row| row.key));
        // Every third entry is deleted, and new entries are inserted before and after all others.
        for _ in 0..5 {
            said("delete", it.delete_of(it.now, &key(gone), "owner").await)?;
            gone += 3;
        }
        for new in [format!("a {gone:03}"), format!("z {gone:03}")] {
            if gone < 300 {
                it.insert(&new, "1", Some("owner")).await?;
            }
        }
        let Some(next) = page.next else { break };
        cursor = next;
    }
    for n in (0..300).filter(|n| n % 3 != 0) {
        ensure(listed.contains(&key(n)), || {
            format!("entry {n} stayed but was not listed")
        })?;
    }
    Ok(())
}

async fn a_walk_lists_what_stays_while_it_is_replaced_and_touched<S: Store>(it: Subject<S>) -> Check {
    let key = |n: usize| format!("key {n:03}");
    let mut versions = Vec::new();
    for n in 0..120 {
        versions.push(it.insert(&key(n), "1", Some("owner")).await?);
    }
    let mut listed = HashSet::new();
    let mut cursor = String::new();
    let mut turn = 0;
    loop {
        let page = said(
            "list_owned",
            it.store.list_owned(it.now, "owner", &cursor, 10).await,
        )?;
        listed.extend(page.rows.into_iter().map(|row| row.key));
        for n in (turn % 3..120).step_by(3) {
            let lives = 1 + u32::try_from((turn + n) % 5).unwrap_or(0);
            let at = it.place_until(Some("owner"), it.after(it.life() * lives));
            versions[n] = said(
                "replace",
                it.store
                    .replace(it.now, &key(n), "2", Expected::Version(versions[n]), &at)
                    .await,
            )?;
            let later = it.after(it.life() * 6);
            said(
                "touch",
                it.store.touch(it.now, &key(n), Some("owner"), later).await,
            )?;
        }
        turn += 1;
        ensure(turn < 1000, || "the walk does not end".to_owned())?;
        let Some(next) = page.next else { break };
        cursor = next;
    }
    equal("the number of entries listed", listed.len(), 120)
}

async fn a_walk_ends_although_its_last_row_is_deleted<S: Store>(it: Subject<S>) -> Check {
    for n in 0..30 {
        it.insert(&format!("key {n:02}"), "1", Some("owner")).await?;
    }
    let mut listed = 0;
    let mut cursor = String::new();
    for _ in 0..100 {
        let page = said(
            "list_owned",
            it.store.list_owned(it.now, "owner", &cursor, 7).await,
        )?;
        listed += page.rows.len();
        for row in page.rows {
            said("delete", it.delete_of(it.now, &row.key, "owner").await)?;
        }
        match page.next {
            None => return equal("the rows listed", listed, 30),
            Some(next) => cursor = next,
        }
    }
    Err("the walk does not end".to_owned())
}

async fn a_thousand_owners_each_list_their_own<S: Store>(it: Subject<S>) -> Check {
    for owner in 0..1000 {
        for n in 0..2 {
            it.insert(&format!("key {owner} {n}"), "1", Some(&format!("owner {owner}")))
                .await?;
        }
    }
    for owner in 0..1000 {
        let wanted = vec![format!("key {owner} 0"), format!("key {owner} 1")];
        equal("the list", it.owned(&format!("owner {owner}")).await?, wanted)?;
    }
    Ok(())
}

async fn a_page_of_no_rows_or_too_many_is_refused<S: Store>(it: Subject<S>) -> Check {
    for limit in [0, 101, u32::MAX] {
        is_other(
            "list_owned",
            it.store.list_owned(it.now, "owner", "", limit).await,
        )?;
    }
    Ok(())
}

async fn a_malformed_cursor_is_refused<S: Store>(it: Subject<S>) -> Check {
    it.insert("key", "1", Some("owner")).await?;
    for cursor in [" ", "no cursor at all", "\u{1f980}", "0x10", &"9".repeat(5000)] {
        match it.store.list_owned(it.now, "owner", cursor, 10).await {
            Err(StoreError::MalformedCursor) => {}
            other => return Err(format!("list_owned returned {other:?} for the cursor {cursor:?}")),
        }
    }
    Ok(())
}
