//! Properties of expiry.

use std::time::Duration;

use tessera::Timestamp;
use tessera::store::{Expected, Placement, SWEEP_GRACE, Store};

use super::property::Need::{ExactExpiry, OwnerIndex, Sweep};
use super::property::{Property, properties};
use super::subject::{Check, Subject, deletions, ensure, equal, is_missing, is_stale, said};

pub(super) fn properties<S: Store>() -> Vec<Property<S>> {
    properties![
        [ExactExpiry] => an_entry_is_read_until_the_millisecond_before_it_expires,
        [ExactExpiry] => an_entry_is_changed_until_the_millisecond_before_it_expires,
        [ExactExpiry] => an_expired_entry_is_missing_to_every_method,
        [ExactExpiry] => an_insert_is_stale_until_the_entry_expires_and_then_works,
        [ExactExpiry, OwnerIndex] => a_list_shows_an_entry_until_it_expires,
        [ExactExpiry] => a_touched_entry_expires_at_its_new_time_to_the_millisecond,
        [ExactExpiry] => an_insert_over_an_expired_entry_has_a_new_version_and_the_old_one_is_stale,
        [ExactExpiry, OwnerIndex] => an_insert_over_an_expired_entry_leaves_the_old_owners_list,
        [] => an_entry_that_is_to_live_for_ever_does_not_expire_at_once,
        [Sweep] => a_sweep_removes_nothing_that_expired_within_the_grace,
        [Sweep] => a_sweep_removes_what_expired_before_the_grace,
        [Sweep, OwnerIndex] => a_sweep_takes_no_live_entry_and_no_live_row,
        [Sweep] => a_touched_entry_is_swept_by_its_new_expiry,
    ]
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// Inserts an entry of "owner" under "key". Returns its version, the last time at which it is live, and its expiry.
async fn one<S: Store>(it: &Subject<S>) -> Result<(u64, Timestamp, Timestamp), String> {
    let at = it.place(Some("owner"));
    let version = it.insert_at("key", "1", &at).await?;
    Ok((version, at.expires_at.saturating_sub(MILLISECOND), at.expires_at))
}

async fn an_entry_is_read_until_the_millisecond_before_it_expires<S: Store>(it: Subject<S>) -> Check {
    let (version, last, gone) = one(&it).await?;
    let keys = ["key".to_owned()];
    equal(
        "the version",
        said("the last get", it.get_at(last, "key").await)?.version,
        version,
    )?;
    for answer in said("get_many", it.store.get_many(last, &keys).await)? {
        said("the last get_many", answer)?;
    }
    for now in [
        gone,
        gone.saturating_add(MILLISECOND),
        gone.saturating_add(SWEEP_GRACE * 2),
    ] {
        is_missing("get", it.get_at(now, "key").await)?;
        for answer in said("get_many", it.store.get_many(now, &keys).await)? {
            is_missing("get_many", answer)?;
        }
    }
    Ok(())
}

async fn an_entry_is_changed_until_the_millisecond_before_it_expires<S: Store>(it: Subject<S>) -> Check {
    let (version, last, _) = one(&it).await?;
    let at = it.place(Some("owner"));
    said(
        "the last replace",
        it.store
            .replace(last, "key", "2", Expected::Version(version), &at)
            .await,
    )?;
    said(
        "the last touch",
        it.store.touch(last, "key", Some("owner"), at.expires_at).await,
    )?;
    equal(
        "the last delete",
        said("delete", it.delete_of(last, "key", "owner").await)?,
        true,
    )?;
    one(&it).await?;
    let keys = ["key".to_owned()];
    equal(
        "the last delete_many",
        said("", it.store.delete_many(last, &deletions(&keys), "owner").await)?,
        1,
    )
}

async fn an_expired_entry_is_missing_to_every_method<S: Store>(it: Subject<S>) -> Check {
    let (version, _, gone) = one(&it).await?;
    let later = gone.saturating_add(it.life());
    let at = it.place_until(Some("owner"), later);
    is_missing(
        "replace",
        it.store
            .replace(gone, "key", "2", Expected::Version(version), &at)
            .await,
    )?;
    is_missing(
        "a replace of another version",
        it.store
            .replace(gone, "key", "2", Expected::Version(!version), &at)
            .await,
    )?;
    is_missing("touch", it.store.touch(gone, "key", Some("owner"), later).await)?;
    is_missing("get after them", it.get_at(gone, "key").await)?;
    equal(
        "delete",
        said("delete", it.delete_of(gone, "key", "owner").await)?,
        false,
    )?;
    is_missing("get after the delete", it.get_at(gone, "key").await)?;
    it.delete_of(it.now, "key", "owner")
        .await
        .map_err(|error| error.to_string())?;
    one(&it).await?;
    let keys = ["key".to_owned()];
    equal(
        "delete_many",
        said("", it.store.delete_many(gone, &deletions(&keys), "owner").await)?,
        0,
    )
}

async fn an_insert_is_stale_until_the_entry_expires_and_then_works<S: Store>(it: Subject<S>) -> Check {
    let (_, last, gone) = one(&it).await?;
    let at = it.place_until(None, gone.saturating_add(it.life()));
    is_stale("the insert before", it.store.insert(last, "key", "2", &at).await)?;
    let version = said("the insert after", it.store.insert(gone, "key", "3", &at).await)?;
    let entry = said("get", it.get_at(gone, "key").await)?;
    equal(
        "the entry",
        (&*entry.value, entry.version, entry.expires_at),
        ("3", version, at.expires_at),
    )
}

async fn a_list_shows_an_entry_until_it_expires<S: Store>(it: Subject<S>) -> Check {
    let (_, last, gone) = one(&it).await?;
    equal("the rows before", it.walk(last, "owner", 10).await?.len(), 1)?;
    equal("the rows after", it.walk(gone, "owner", 10).await?.len(), 0)
}

async fn a_touched_entry_expires_at_its_new_time_to_the_millisecond<S: Store>(it: Subject<S>) -> Check {
    one(&it).await?;
    let gone = it.after(it.life() * 2);
    said("touch", it.store.touch(it.now, "key", Some("owner"), gone).await)?;
    said(
        "the last get",
        it.get_at(gone.saturating_sub(MILLISECOND), "key").await,
    )?;
    is_missing("get", it.get_at(gone, "key").await)
}

async fn an_insert_over_an_expired_entry_has_a_new_version_and_the_old_one_is_stale<S: Store>(
    it: Subject<S>,
) -> Check {
    let (old, _, gone) = one(&it).await?;
    let at = it.place_until(None, gone.saturating_add(it.life()));
    let new = said("insert", it.store.insert(gone, "key", "1", &at).await)?;
    ensure(old != new, || "the version was used again".to_owned())?;
    is_stale(
        "a replace of the old version",
        it.store
            .replace(gone, "key", "2", Expected::Version(old), &at)
            .await,
    )
}

async fn an_insert_over_an_expired_entry_leaves_the_old_owners_list<S: Store>(it: Subject<S>) -> Check {
    let (_, _, gone) = one(&it).await?;
    let at = it.place_until(Some("heir"), gone.saturating_add(it.life()));
    said("insert", it.store.insert(gone, "key", "2", &at).await)?;
    equal("the old owner's rows", it.walk(gone, "owner", 10).await?.len(), 0)?;
    equal("the new owner's rows", it.walk(gone, "heir", 10).await?.len(), 1)
}

async fn an_entry_that_is_to_live_for_ever_does_not_expire_at_once<S: Store>(it: Subject<S>) -> Check {
    let for_ever = Timestamp::from_millis(u64::MAX);
    let at = Placement {
        expires_at: for_ever,
        ends_at: for_ever,
        ..it.place(None)
    };
    it.insert_at("key", "1", &at).await?;
    let century = Duration::from_secs(100 * 365 * 86_400);
    said("get in a century", it.get_at(it.after(century), "key").await).map(|_| ())
}

async fn a_sweep_removes_nothing_that_expired_within_the_grace<S: Store>(it: Subject<S>) -> Check {
    let (version, last, gone) = one(&it).await?;
    for now in [
        it.now,
        gone,
        gone.saturating_add(SWEEP_GRACE).saturating_sub(MILLISECOND),
    ] {
        equal("what was swept", it.sweep(now).await?, 0)?;
    }
    // The entry is still live to a caller whose clock is behind.
    equal(
        "the version",
        said("get", it.get_at(last, "key").await)?.version,
        version,
    )
}

async fn a_sweep_removes_what_expired_before_the_grace<S: Store>(it: Subject<S>) -> Check {
    let (_, last, gone) = one(&it).await?;
    for n in 0..1200 {
        it.insert_at(&format!("key {n}"), "1", &it.place_until(None, gone))
            .await?;
    }
    let swept = it.sweep(gone.saturating_add(SWEEP_GRACE)).await?;
    equal("what was swept", swept, 1201)?;
    is_missing("get", it.get_at(last, "key").await)?;
    equal(
        "what was swept again",
        it.sweep(gone.saturating_add(SWEEP_GRACE)).await?,
        0,
    )
}

async fn a_sweep_takes_no_live_entry_and_no_live_row<S: Store>(it: Subject<S>) -> Check {
    let (_, _, gone) = one(&it).await?;
    let now = gone.saturating_add(SWEEP_GRACE);
    it.insert_at(
        "alive",
        "1",
        &it.place_until(Some("owner"), now.saturating_add(MILLISECOND)),
    )
    .await?;
    equal("what was swept", it.sweep(now).await?, 1)?;
    said("get", it.get_at(now, "alive").await)?;
    let rows = it.walk(now, "owner", 10).await?;
    equal(
        "the rows",
        rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        vec!["alive"],
    )
}

async fn a_touched_entry_is_swept_by_its_new_expiry<S: Store>(it: Subject<S>) -> Check {
    let (_, _, first) = one(&it).await?;
    let gone = it.after(it.life() * 2);
    said("touch", it.store.touch(it.now, "key", Some("owner"), gone).await)?;
    equal(
        "what was swept before",
        it.sweep(first.saturating_add(SWEEP_GRACE)).await?,
        0,
    )?;
    equal(
        "what was swept after",
        it.sweep(gone.saturating_add(SWEEP_GRACE)).await?,
        1,
    )
}
