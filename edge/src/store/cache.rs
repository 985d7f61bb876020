//! Entries of another store in KV, for a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tessera_contract::{Timestamp, decimal};

use super::StoreError;
use super::namespace::{Namespace, Opened};

/// What is known of a cached entry beside its text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cached {
    #[serde(rename = "v", with = "decimal")]
    pub(crate) version: u64,
    #[serde(rename = "g", with = "decimal")]
    pub(crate) guard: u64,
    #[serde(rename = "e", with = "decimal")]
    pub(crate) expires_at: Timestamp,
    /// When the store below was asked, by the clock of the runtime.
    #[serde(rename = "a", with = "decimal")]
    pub(crate) read_at: Timestamp,
}

/// Entries of another store, for a while.
#[derive(Clone)]
pub(crate) struct KvCache(Namespace);

impl KvCache {
    /// KV takes 512; some stand before a key here.
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
