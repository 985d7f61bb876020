//! A cache of another store's entries in KV.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tessera_contract::{Timestamp, decimal};

use super::namespace::{Namespace, Opened};
use crate::store::StoreError;

/// The metadata of a cached entry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cached {
    #[serde(rename = "v", with = "decimal")]
    pub(crate) version: u64,
    #[serde(rename = "g", with = "decimal")]
    pub(crate) guard: u64,
    #[serde(rename = "e", with = "decimal")]
    pub(crate) expires_at: Timestamp,
    /// The time of the read from the store below, by the clock of the runtime.
    #[serde(rename = "a", with = "decimal")]
    pub(crate) read_at: Timestamp,
}

/// A cache of another store's entries.
#[derive(Clone)]
pub(crate) struct KvCache(Namespace);

impl KvCache {
    /// The maximum length of a key, in bytes. KV allows 512, of which the prefix takes some.
    pub(crate) const MAXIMUM_KEY_BYTES: u32 = 470;

    pub(crate) fn new(kv: Opened, space: &str) -> Self {
        Self(Namespace::new(kv, space))
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<(String, Cached)>, StoreError> {
        self.0.get(&format!("c:{key}")).await
    }

    pub(crate) async fn put(
        &self,
        key: &str,
        value: &str,
        cached: &Cached,
        max_stale: Duration,
    ) -> Result<(), StoreError> {
        self.0
            .put(
                &format!("c:{key}"),
                value,
                cached,
                cached.read_at.saturating_add(max_stale),
            )
            .await
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.0.remove(&format!("c:{key}")).await
    }
}
