//! Access to a KV namespace within the request's budget, and the classification of its failures.

use std::time::Duration;

use js_sys::Promise;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tessera_contract::Timestamp;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::kv::KvError;

use crate::store::{Cause, StoreError};
use crate::{budget, clock};

/// The minimum time to live of a key in KV.
pub(super) const MINIMUM_TTL: Duration = Duration::from_secs(60);
/// The time to live above which a key is stored without expiry, in seconds.
const FOR_EVER_S: u64 = 1_000_000_000;
/// The documented minimum interval between two writes to one key.
pub(super) const MINIMUM_WRITE_INTERVAL: Duration = Duration::from_secs(1);

#[wasm_bindgen]
extern "C" {
    /// The runtime's object of a namespace. Used directly because the `worker` crate cannot read several keys if one of them
    /// is absent.
    #[derive(Clone)]
    pub(crate) type Binding;

    #[wasm_bindgen(method, catch, js_name = getWithMetadata)]
    fn get(this: &Binding, key: &str, kind: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getWithMetadata)]
    fn get_each(this: &Binding, keys: &js_sys::Array, kind: &str) -> Result<Promise, JsValue>;
}

/// A namespace.
#[derive(Clone)]
pub(super) struct Namespace {
    pub(super) kv: worker::kv::KvStore,
    binding: Binding,
    /// The prefix of every key.
    space: String,
}

/// A namespace as the `worker` crate's type and as the runtime's object.
pub(crate) type Opened = (worker::kv::KvStore, Binding);

impl Namespace {
    pub(super) fn new((kv, binding): Opened, space: &str) -> Self {
        Self {
            kv,
            binding,
            space: space.to_owned(),
        }
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.space)
    }

    pub(super) async fn get<M: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(String, M)>, StoreError> {
        spend()?;
        #[cfg(feature = "test-routes")]
        if let Some(stale) = self.stale(key).await? {
            return Ok(stale);
        }
        let entry = self.read(&self.key(key)).await?;
        entry.map(typed).transpose()
    }

    /// Reads a key, with its metadata as JSON.
    async fn read(&self, key: &str) -> Result<Option<(String, Value)>, StoreError> {
        let asked = async { JsFuture::from(self.binding.get(key, "text")?).await };
        let found = asked.await.map_err(|error: JsValue| read_failed(error.into()))?;
        read_entry(&found).ok_or(StoreError::Corrupt)
    }

    /// Reads several keys in one operation. Each entry is in the position of its key, with its metadata as JSON.
    pub(super) async fn get_each<const N: usize>(
        &self,
        keys: &[String; N],
    ) -> Result<[Option<(String, Value)>; N], StoreError> {
        spend()?;
        #[cfg(feature = "test-routes")]
        crate::faults::before_kv().await;
        let keys = keys.each_ref().map(|key| self.key(key));
        let found = self
            .ask_each(&keys)
            .await
            .map_err(|error| read_failed(error.into()))?;
        let mut entries = [const { None }; N];
        for (key, entry) in keys.iter().zip(&mut entries) {
            #[cfg(feature = "test-routes")]
            if let Some(stale) = crate::faults::stale(key) {
                *entry = stale;
                continue;
            }
            *entry = read_entry(&found.get(&key.into())).ok_or(StoreError::Corrupt)?;
        }
        Ok(entries)
    }

    async fn ask_each(&self, keys: &[String]) -> Result<js_sys::Map, JsValue> {
        let keys: js_sys::Array = keys.iter().map(|key| JsValue::from_str(key)).collect();
        let found = JsFuture::from(self.binding.get_each(&keys, "text")?).await?;
        found.dyn_into()
    }

    /// Writes a key. KV may delete it after `until`.
    pub(super) async fn put(
        &self,
        key: &str,
        value: &str,
        metadata: &impl Serialize,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        spend()?;
        #[cfg(feature = "test-routes")]
        self.before_write(key).await?;
        // Rounded up, so that KV does not delete it early.
        let left_s = until.millis_since(clock::now()).div_ceil(1000);
        let put = self.kv.put(&self.key(key), value);
        let put = put.and_then(|put| put.metadata(metadata)).map_err(write_failed)?;
        let put = if left_s > FOR_EVER_S {
            put
        } else {
            put.expiration_ttl(left_s.max(MINIMUM_TTL.as_secs()))
        };
        put.execute().await.map_err(write_failed)
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), StoreError> {
        spend()?;
        #[cfg(feature = "test-routes")]
        self.before_write(key).await?;
        self.kv.delete(&self.key(key)).await.map_err(write_failed)
    }
}

/// Parses the metadata of an entry.
fn typed<M: DeserializeOwned>((value, metadata): (String, Value)) -> Result<(String, M), StoreError> {
    let metadata = serde_json::from_value(metadata).map_err(|_| StoreError::Corrupt)?;
    Ok((value, metadata))
}

/// Reads a result of KV. `Some(None)` means that the key is absent, `None` that the result cannot be read.
fn read_entry(found: &JsValue) -> Option<Option<(String, Value)>> {
    if found.is_null() || found.is_undefined() {
        return Some(None);
    }
    let part = |name: &str| js_sys::Reflect::get(found, &name.into()).ok();
    let Some(value) = part("value")?.as_string() else {
        return Some(None);
    };
    let metadata = js_sys::JSON::stringify(&part("metadata")?).ok()?.as_string()?;
    Some(Some((value, serde_json::from_str(&metadata).ok()?)))
}

/// The faults that tests inject.
#[cfg(feature = "test-routes")]
impl Namespace {
    async fn stale<M: DeserializeOwned>(&self, key: &str) -> Result<Option<Option<(String, M)>>, StoreError> {
        crate::faults::before_kv().await;
        let Some(stale) = crate::faults::stale(&self.key(key)) else {
            return Ok(None);
        };
        stale.map(typed).transpose().map(Some)
    }

    async fn before_write(&self, key: &str) -> Result<(), StoreError> {
        use crate::faults;
        faults::before_kv().await;
        if faults::is_throttled() {
            return Err(StoreError::Throttled(MINIMUM_WRITE_INTERVAL));
        }
        if faults::is_stale() {
            let key = self.key(key);
            faults::keep(&key, self.read(&key).await?);
        }
        Ok(())
    }
}

/// Takes one operation from the request's budget.
///
/// # Errors
/// `StoreError::Throttled` if the budget is exhausted.
pub(super) fn spend() -> Result<(), StoreError> {
    if budget::spend() {
        Ok(())
    } else {
        Err(StoreError::Throttled(MINIMUM_WRITE_INTERVAL))
    }
}

/// KV reports 429 only in its message.
fn is_throttled(error: &KvError) -> bool {
    format!("{error:?}").contains("429")
}

pub(super) fn read_failed(error: KvError) -> StoreError {
    if is_throttled(&error) {
        return StoreError::Throttled(MINIMUM_WRITE_INTERVAL);
    }
    // KV's own text is dropped, because it may contain the key.
    StoreError::Unavailable(Cause::new("Workers KV failed"))
}

fn write_failed(error: KvError) -> StoreError {
    if is_throttled(&error) {
        return StoreError::Throttled(MINIMUM_WRITE_INTERVAL);
    }
    StoreError::OutcomeUnknown(Cause::new("Workers KV failed"))
}
