//! A store under test, with helpers for its methods.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tessera::Timestamp;
use tessera::store::{Capabilities, Condition, Deletion, Entry, Expected, Placement, Row, Store, StoreError};

use crate::whole;

/// `Ok` if a property holds, otherwise a description of the violation.
pub type Check = Result<(), String>;

/// Sweeps a store at a given time and returns the number of removed entries.
pub type SweepFn<S> =
    for<'a> fn(&'a S, Timestamp) -> Pin<Box<dyn Future<Output = Result<usize, String>> + Send + 'a>>;

/// A new store, and the time at which the property begins.
pub struct Subject<S> {
    /// The store.
    pub store: Arc<S>,
    /// The store's capabilities.
    pub capabilities: Capabilities,
    /// The time at which the property begins.
    pub now: Timestamp,
    sweep: Option<SweepFn<S>>,
}

impl<S> Clone for Subject<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            capabilities: self.capabilities.clone(),
            now: self.now,
            sweep: self.sweep,
        }
    }
}

impl<S: Store> Subject<S> {
    pub(super) fn new(store: Arc<S>, capabilities: Capabilities, sweep: Option<SweepFn<S>>) -> Self {
        Self {
            store,
            capabilities,
            now: Timestamp::now(),
            sweep,
        }
    }

    /// The default lifetime of entries: an hour, or the store's minimum if that is longer.
    pub(super) fn life(&self) -> Duration {
        Duration::from_secs(3600).max(self.capabilities.minimum_ttl)
    }

    /// A time after the beginning of the property.
    pub(super) fn after(&self, duration: Duration) -> Timestamp {
        self.now.saturating_add(duration)
    }

    /// A placement with this owner and the default lifetime.
    pub(super) fn place(&self, owner: Option<&str>) -> Placement {
        self.place_until(owner, self.after(self.life()))
    }

    /// A placement with this expiry; its absolute end is a day later.
    pub(super) fn place_until(&self, owner: Option<&str>, expires_at: Timestamp) -> Placement {
        Placement {
            owner: owner.map(str::to_owned),
            previous_owner: None,
            guard: None,
            expires_at,
            ends_at: expires_at.saturating_add(Duration::from_secs(86_400)),
        }
    }

    pub(super) async fn insert(&self, key: &str, value: &str, owner: Option<&str>) -> Result<u64, String> {
        self.insert_at(key, value, &self.place(owner)).await
    }

    pub(super) async fn insert_at(&self, key: &str, value: &str, at: &Placement) -> Result<u64, String> {
        said("insert", self.store.insert(self.now, key, value, at).await)
    }

    /// Replaces an entry, with the default lifetime; `from` is the previous owner.
    pub(super) async fn replace(
        &self,
        key: &str,
        value: &str,
        expected: u64,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<u64, StoreError> {
        let at = Placement {
            previous_owner: from.map(str::to_owned),
            ..self.place(to)
        };
        self.store
            .replace(self.now, key, value, Expected::Version(expected), &at)
            .await
    }

    /// Deletes an entry on the condition that it has this owner.
    pub(super) async fn delete_of(&self, now: Timestamp, key: &str, owner: &str) -> Result<bool, StoreError> {
        self.store
            .delete(now, key, &Condition::Owner(owner.to_owned()))
            .await
    }

    /// Deletes an entry that was written without a guard.
    pub(super) async fn delete_bare(&self, now: Timestamp, key: &str) -> Result<bool, StoreError> {
        self.store.delete(now, key, &Condition::Guard(0)).await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Entry, StoreError> {
        self.get_at(self.now, key).await
    }

    pub(super) async fn get_at(&self, now: Timestamp, key: &str) -> Result<Entry, StoreError> {
        self.store.get(now, key, true).await
    }

    pub(super) async fn sweep(&self, now: Timestamp) -> Result<usize, String> {
        let sweep = self.sweep.ok_or("no sweep")?;
        sweep(&*self.store, now).await
    }

    /// Lists all rows of an owner, in pages of this size.
    pub(super) async fn walk(&self, now: Timestamp, owner: &str, limit: u32) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        for _ in 0..10_000 {
            let page = said(
                "list_owned",
                self.store.list_owned(now, owner, &cursor, limit).await,
            )?;
            ensure(page.rows.len() <= limit as usize, || {
                format!("a page of {limit} has {} rows", page.rows.len())
            })?;
            rows.extend(page.rows);
            match page.next {
                None => return Ok(rows),
                Some(next) => {
                    ensure(!next.is_empty(), || "the next cursor is the empty one".to_owned())?;
                    cursor = next;
                }
            }
        }
        Err("the walk does not end".to_owned())
    }

    /// The keys of an owner's listed entries, sorted and without duplicates.
    pub(super) async fn owned(&self, owner: &str) -> Result<Vec<String>, String> {
        let mut keys: Vec<String> = self
            .walk(self.now, owner, 100)
            .await?
            .into_iter()
            .map(|row| row.key)
            .collect();
        keys.sort();
        keys.dedup();
        Ok(keys)
    }
}

/// Deletions of these keys, without a condition on guards.
pub(super) fn deletions(keys: &[String]) -> Vec<Deletion> {
    let deletion = |key: &String| Deletion {
        key: key.clone(),
        guard: None,
    };
    keys.iter().map(deletion).collect()
}

/// Returns the result, or a message with the operation and its error.
pub(super) fn said<T>(question: &str, answer: Result<T, StoreError>) -> Result<T, String> {
    answer.map_err(|error| format!("{question} failed: {}", whole(&error)))
}

pub(super) fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(seen()) }
}

pub(super) fn equal<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) -> Check {
    // Values can be megabytes long.
    ensure(seen == wanted, || {
        format!("{what} is {seen:.200?}, not {wanted:.200?}")
    })
}

pub(super) fn is_missing<T>(what: &str, answer: Result<T, StoreError>) -> Check {
    refused(what, answer, "missing", |error| {
        matches!(error, StoreError::Missing)
    })
}

pub(super) fn is_stale<T>(what: &str, answer: Result<T, StoreError>) -> Check {
    refused(what, answer, "stale", |error| matches!(error, StoreError::Stale))
}

pub(super) fn is_too_large<T>(what: &str, answer: Result<T, StoreError>) -> Check {
    refused(what, answer, "too large", |error| {
        matches!(error, StoreError::TooLarge)
    })
}

pub(super) fn is_other<T>(what: &str, answer: Result<T, StoreError>) -> Check {
    refused(what, answer, "another error", |error| {
        matches!(error, StoreError::Other(_))
    })
}

fn refused<T>(
    what: &str,
    answer: Result<T, StoreError>,
    wanted: &str,
    is_wanted: impl FnOnce(&StoreError) -> bool,
) -> Check {
    match answer {
        Ok(_) => Err(format!("{what} succeeded and should have failed as {wanted}")),
        Err(error) => ensure(is_wanted(&error), || {
            format!("{what} failed with “{error}” and should have failed as {wanted}")
        }),
    }
}
