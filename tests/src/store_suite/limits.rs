//! Properties of the limits in `describe`: keys, owners and values of the maximum length pass, longer ones do not.

use tessera::store::{Store, StoreError};

use super::property::Need::OwnerIndex;
use super::property::{Property, properties};
use super::subject::{Check, Subject, equal, is_missing, is_too_large, said};

pub(super) fn properties<S: Store>() -> Vec<Property<S>> {
    properties![
        [] => the_longest_key_passes_and_one_byte_more_is_too_large,
        [OwnerIndex] => the_longest_owner_passes_and_one_byte_more_is_too_large,
        [] => the_longest_value_passes_and_one_byte_more_is_too_large,
        [] => limits_count_bytes_and_not_characters,
        [] => a_write_that_is_too_large_changes_nothing,
        [] => a_key_that_is_too_long_is_missing_where_nothing_is_written,
        [] => an_empty_value_is_a_value,
    ]
}

/// Returns a text of this number of bytes.
fn text(bytes: u32) -> String {
    "x".repeat(bytes as usize)
}

async fn the_longest_key_passes_and_one_byte_more_is_too_large<S: Store>(it: Subject<S>) -> Check {
    let key = text(it.capabilities.maximum_key_bytes);
    let version = it.insert(&key, "1", None).await?;
    said("replace", it.replace(&key, "2", version, None, None).await)?;
    equal("the value", &*said("get", it.get(&key).await)?.value, "2")?;
    let longer = format!("{key}x");
    is_too_large(
        "insert",
        it.store.insert(it.now, &longer, "1", &it.place(None)).await,
    )?;
    is_too_large("replace", it.replace(&longer, "1", 1, None, None).await)
}

async fn the_longest_owner_passes_and_one_byte_more_is_too_large<S: Store>(it: Subject<S>) -> Check {
    let owner = text(it.capabilities.maximum_owner_bytes);
    let version = it.insert("key", "1", Some(&owner)).await?;
    let version = said(
        "replace",
        it.replace("key", "2", version, Some(&owner), Some(&owner)).await,
    )?;
    equal("the list", it.owned(&owner).await?, vec!["key".to_owned()])?;
    let longer = format!("{owner}x");
    is_too_large(
        "insert",
        it.store
            .insert(it.now, "other", "1", &it.place(Some(&longer)))
            .await,
    )?;
    is_too_large(
        "replace",
        it.replace("key", "3", version, Some(&owner), Some(&longer)).await,
    )
}

async fn the_longest_value_passes_and_one_byte_more_is_too_large<S: Store>(it: Subject<S>) -> Check {
    let value = text(it.capabilities.maximum_value_bytes);
    let version = it.insert("key", &value, None).await?;
    let version = said("replace", it.replace("key", &value, version, None, None).await)?;
    equal(
        "the value",
        &*said("get", it.get("key").await)?.value,
        value.as_str(),
    )?;
    let longer = format!("{value}x");
    is_too_large(
        "insert",
        it.store.insert(it.now, "other", &longer, &it.place(None)).await,
    )?;
    is_too_large("replace", it.replace("key", &longer, version, None, None).await)
}

async fn limits_count_bytes_and_not_characters<S: Store>(it: Subject<S>) -> Check {
    let limit = it.capabilities.maximum_key_bytes as usize;
    let fits = "é".repeat(limit / 2);
    it.insert(&fits, "1", None).await?;
    let longer = "é".repeat(limit / 2 + 1);
    is_too_large(
        "insert",
        it.store.insert(it.now, &longer, "1", &it.place(None)).await,
    )
}

async fn a_write_that_is_too_large_changes_nothing<S: Store>(it: Subject<S>) -> Check {
    let version = it.insert("key", "1", Some("owner")).await?;
    let before = said("get", it.get("key").await)?;
    let longer = text(it.capabilities.maximum_value_bytes.saturating_add(1));
    is_too_large(
        "replace",
        it.replace("key", &longer, version, Some("owner"), Some("other"))
            .await,
    )?;
    equal("the entry", said("get", it.get("key").await)?, before)?;
    is_too_large(
        "insert",
        it.store
            .insert(it.now, "new", &longer, &it.place(Some("owner")))
            .await,
    )?;
    is_missing("get", it.get("new").await)
}

async fn a_key_that_is_too_long_is_missing_where_nothing_is_written<S: Store>(it: Subject<S>) -> Check {
    let key = text(it.capabilities.maximum_key_bytes.saturating_add(1));
    is_missing("get", it.get(&key).await)?;
    for answer in said(
        "get_many",
        it.store.get_many(it.now, std::slice::from_ref(&key)).await,
    )? {
        is_missing("get_many", answer)?;
    }
    is_missing(
        "touch",
        it.store.touch(it.now, &key, None, it.after(it.life())).await,
    )?;
    match it.delete_bare(it.now, &key).await {
        Ok(false) | Err(StoreError::Missing) => Ok(()),
        answer => Err(format!("delete returned {answer:?}")),
    }
}

async fn an_empty_value_is_a_value<S: Store>(it: Subject<S>) -> Check {
    it.insert("key", "", None).await?;
    equal("the value", &*said("get", it.get("key").await)?.value, "")
}
