//! A KV namespace, asked within the request's budget; and how it fails.

use std::time::Duration;

use js_sys::Promise;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tessera_contract::Timestamp;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::kv::KvError;

use super::{Cause, StoreError};
use crate::{budget, clock};

/// The shortest life that KV gives a key.
pub(super) const MINIMUM_TTL: Duration = Duration::from_secs(60);
/// What is to live longer is kept until it is deleted, in seconds.
const FOR_EVER_S: u64 = 1_000_000_000;
/// How long two writes to one key have to be apart, as it documents itself.
pub(super) const MINIMUM_WRITE_INTERVAL: Duration = Duration::from_secs(1);

#[wasm_bindgen]
extern "C" {
    /// A namespace as the runtime gives it. `worker` cannot read many keys of which one is not there.
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
    /// Stands before every key.
    space: String,
}

/// A binding, and what reads and writes it.
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

    /// What stands under a key as KV knows it.
    async fn read(&self, key: &str) -> Result<Option<(String, Value)>, StoreError> {
        let asked = async { JsFuture::from(self.binding.get(key, "text")?).await };
        let found = asked.await.map_err(|error: JsValue| read_failed(error.into()))?;
        read_entry(&found).ok_or(StoreError::Corrupt)
    }

    /// Reads a few keys in one operation; each is answered in its place, its metadata yet to be read.
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

    /// `until`: when KV may forget it.
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
        // What is to be kept is never kept for less.
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

/// An entry whose metadata is what this module has put there.
fn typed<M: DeserializeOwned>((value, metadata): (String, Value)) -> Result<(String, M), StoreError> {
    let metadata = serde_json::from_value(metadata).map_err(|_| StoreError::Corrupt)?;
    Ok((value, metadata))
}

/// What KV has under a key: `None` within where there is nothing, without where it cannot be read.
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

/// The faults that tests order.
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

/// Takes one operation of the request's budget.
pub(super) fn spend() -> Result<(), StoreError> {
    if budget::spend() {
        Ok(())
    } else {
        Err(StoreError::Throttled(MINIMUM_WRITE_INTERVAL))
    }
}

/// KV says 429 in its message alone.
fn is_throttled(error: &KvError) -> bool {
    format!("{error:?}").contains("429")
}

pub(super) fn read_failed(error: KvError) -> StoreError {
    if is_throttled(&error) {
        return StoreError::Throttled(MINIMUM_WRITE_INTERVAL);
    }
    // Its own text may name the key.
    StoreError::Unavailable(Cause::new("Workers KV failed"))
}

fn write_failed(error: KvError) -> StoreError {
    if is_throttled(&error) {
        return StoreError::Throttled(MINIMUM_WRITE_INTERVAL);
    }
    StoreError::OutcomeUnknown(Cause::new("Workers KV failed"))
}
