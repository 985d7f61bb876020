//! The store that the configuration names.

use super::{
    Capabilities, CombinedStore, Condition, Deletion, DurableStore, Entry, Expected, KvStore, Page,
    Placement, Store, StoreError,
};

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Durable,
    Combined,
    Kv,
}

impl StoreKind {
    /// Each with its name in the configuration.
    pub(crate) const NAMES: [(&'static str, Self); 3] = [
        ("durable", Self::Durable),
        ("combined", Self::Combined),
        ("kv", Self::Kv),
    ];
}

/// One of the stores.
#[derive(Clone)]
pub(crate) enum AnyStore {
    Durable(DurableStore),
    Combined(CombinedStore<DurableStore>),
    Kv(KvStore),
}

/// Asks whichever it is.
macro_rules! ask {
    ($self:ident, $store:ident => $question:expr) => {
        match $self {
            Self::Durable($store) => $question,
            Self::Combined($store) => $question,
            Self::Kv($store) => $question,
        }
    };
}

impl Store for AnyStore {
    fn describe(&self) -> Capabilities {
        ask!(self, store => store.describe())
    }

    async fn get(&self, now: u64, key: &str, fresh: bool) -> Result<Entry, StoreError> {
        ask!(self, store => store.get(now, key, fresh).await)
    }

    async fn get_many(
        &self,
        now: u64,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        ask!(self, store => store.get_many(now, keys).await)
    }

    async fn insert(&self, now: u64, key: &str, value: &str, at: &Placement) -> Result<u64, StoreError> {
        ask!(self, store => store.insert(now, key, value, at).await)
    }

    async fn replace(
        &self,
        now: u64,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        ask!(self, store => store.replace(now, key, value, expected, at).await)
    }

    async fn touch(
        &self,
        now: u64,
        key: &str,
        owner: Option<&str>,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        ask!(self, store => store.touch(now, key, owner, expires_at).await)
    }

    async fn delete(&self, now: u64, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        ask!(self, store => store.delete(now, key, condition).await)
    }

    async fn delete_many(&self, now: u64, deletions: &[Deletion], owner: &str) -> Result<u32, StoreError> {
        ask!(self, store => store.delete_many(now, deletions, owner).await)
    }

    async fn list_owned(&self, now: u64, owner: &str, cursor: &str, limit: u32) -> Result<Page, StoreError> {
        ask!(self, store => store.list_owned(now, owner, cursor, limit).await)
    }
}
