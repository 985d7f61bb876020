//! Workers KV as a store of its own, under a weaker contract.
//!
//! KV has no compare-and-swap, answers up to a minute late elsewhere than where it was written, and takes one write to a key
//! each second. So in [`KvStore`]:
//!
//! - `r:` the record's text, with version, owner and expiry as metadata;
//! - `d:` beside it, written by `delete` and by nothing else, kept to the record's end: `get` reads both, so that a save that
//!   did not see the deletion raises nothing from the dead;
//! - `t:` when the record expires since it was touched: sliding never writes the record;
//! - `o:` an owner's index, a key for each record.
//!
//! `describe` says all that is weak; the engine refuses a store without compare-and-swap.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::{join, join_all};
use serde::{Deserialize, Serialize};

use super::namespace::{MINIMUM_TTL_S, MINIMUM_WRITE_INTERVAL_MS, Namespace, read_failed, spend};
use super::{
    Capabilities, Entry, Page, Placement, Row, Store, StoreError, check_batch, check_limit, removed_of,
};
use crate::number::U64;
use crate::random;

/// How long KV may go on answering what was there before, as it documents itself.
const MAXIMUM_STALENESS_MS: u64 = 60_000;
const CURSOR: char = 'v';

/// What is known of a record beside its text: under the 1024 bytes that KV takes, because owners are bounded.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meta {
    #[serde(rename = "v")]
    version: U64,
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(rename = "e")]
    expires_at: U64,
    #[serde(rename = "n")]
    ends_at: U64,
    #[serde(rename = "w")]
    written_at: U64,
}

/// When a touched record expires, and when it was touched.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Touched {
    #[serde(rename = "e")]
    expires_at: U64,
    #[serde(rename = "w")]
    touched_at: U64,
}

/// Says that a record was deleted, or is listed.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    #[serde(rename = "n")]
    ends_at: U64,
}

struct Live {
    value: String,
    meta: Meta,
    expires_at: u64,
    touched_at: u64,
}

/// Records in Workers KV alone.
#[derive(Clone)]
pub(crate) struct KvStore(Namespace);

impl KvStore {
    /// `space` stands before every key: what is in one space is in no other.
    pub(crate) fn new(kv: worker::kv::KvStore, space: &str) -> Self {
        Self(Namespace::new(kv, space))
    }

    async fn live(&self, now: u64, key: &str) -> Result<Live, StoreError> {
        if !self.describe().has_room_for(key) {
            return Err(StoreError::Missing);
        }
        let (record, dead, touched) = (format!("r:{key}"), format!("d:{key}"), format!("t:{key}"));
        let reads = join(self.0.get::<Meta>(&record), self.0.get::<Mark>(&dead));
        let ((record, dead), touched) = join(reads, self.0.get::<Touched>(&touched)).await;
        let (record, touched) = (record?, touched?);
        if dead?.is_some() {
            return Err(StoreError::Missing);
        }
        let (value, meta) = record.ok_or(StoreError::Missing)?;
        // A touch counts for the record as it was then; what was written since says itself when it expires.
        let touched = touched
            .map(|(_, touched)| touched)
            .filter(|touched| touched.touched_at >= meta.written_at);
        let slid = touched.as_ref().map_or(0, |touched| touched.expires_at.0);
        let expires_at = meta.expires_at.0.max(slid).min(meta.ends_at.0);
        if expires_at <= now {
            return Err(StoreError::Missing);
        }
        let touched_at = touched.map_or(meta.written_at.0, |touched| touched.touched_at.0);
        Ok(Live {
            value,
            meta,
            expires_at,
            touched_at,
        })
    }

    async fn write(&self, now: u64, key: &str, value: &str, at: &Placement) -> Result<u64, StoreError> {
        let (version, ends_at) = (U64(random::number()), U64(at.ends_at()));
        if let Some(owner) = &at.owner {
            self.0
                .put(&owned(owner, key), "", &Mark { ends_at }, ends_at.0)
                .await?;
        }
        let (expires_at, owner) = (U64(at.expires_at()), at.owner.clone());
        let meta = Meta {
            version,
            owner,
            expires_at,
            ends_at,
            written_at: U64(now),
        };
        // KV keeps it to its end, because sliding does not write it.
        self.0.put(&format!("r:{key}"), value, &meta, ends_at.0).await?;
        if at.previous_owner.is_some() && at.previous_owner != at.owner {
            self.leave(at.previous_owner.as_deref(), key).await;
        }
        Ok(version.0)
    }

    async fn leave(&self, owner: Option<&str>, key: &str) {
        if let Some(owner) = owner
            && let Err(error) = self.0.remove(&owned(owner, key)).await
        {
            tracing::debug!("a line of an index is left to expire: {error}");
        }
    }

    async fn remove(&self, now: u64, key: &str, of: Option<&str>) -> Result<bool, StoreError> {
        let live = match self.live(now, key).await {
            Ok(live) if of.is_none() || live.meta.owner.as_deref() == of => live,
            Ok(_) | Err(StoreError::Missing) => return Ok(false),
            Err(error) => return Err(error),
        };
        let ends_at = live.meta.ends_at;
        self.0
            .put(&format!("d:{key}"), "", &Mark { ends_at }, ends_at.0)
            .await?;
        self.leave(live.meta.owner.as_deref(), key).await;
        Ok(true)
    }
}

/// The key of a line in an owner's index. The owner in base64url, so that none begins with another.
fn owned(owner: &str, key: &str) -> String {
    format!("o:{}:{key}", URL_SAFE_NO_PAD.encode(owner))
}

impl Store for KvStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: false,
            list_by_owner: true,
            acknowledged_writes_survive_failover: true,
            maximum_staleness_ms: MAXIMUM_STALENESS_MS,
            index_staleness_ms: MAXIMUM_STALENESS_MS,
            minimum_ttl_ms: MINIMUM_TTL_S * 1000,
            expiry_resolution_ms: 1,
            minimum_write_interval_ms: MINIMUM_WRITE_INTERVAL_MS,
            // With an owner of 255 bytes in base64url, 472 of the 512 bytes that KV takes.
            maximum_key_bytes: 128,
            maximum_owner_bytes: 255,
            maximum_value_bytes: 1 << 20,
        }
    }

    async fn get(&self, now: u64, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        let live = self.live(now, key).await?;
        Ok(Entry {
            value: live.value,
            version: live.meta.version,
            expires_at: U64(live.expires_at),
        })
    }

    async fn get_many(
        &self,
        now: u64,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        Ok(join_all(keys.iter().map(|key| self.get(now, key, true))).await)
    }

    async fn insert(&self, now: u64, key: &str, value: &str, at: &Placement) -> Result<u64, StoreError> {
        self.describe().check(key, value, at)?;
        // A deleted record does not come back: its mark is there to its end.
        if self.0.get::<Mark>(&format!("d:{key}")).await?.is_some() {
            return Err(StoreError::Stale);
        }
        match self.live(now, key).await {
            Ok(_) => Err(StoreError::Stale),
            Err(StoreError::Missing) => self.write(now, key, value, at).await,
            Err(error) => Err(error),
        }
    }

    async fn replace(
        &self,
        now: u64,
        key: &str,
        value: &str,
        expected: u64,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check(key, value, at)?;
        if self.live(now, key).await?.meta.version.0 != expected {
            return Err(StoreError::Stale);
        }
        self.write(now, key, value, at).await
    }

    async fn touch(
        &self,
        now: u64,
        key: &str,
        _owner: Option<&str>,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        let live = self.live(now, key).await?;
        let expires_at = expires_at.min(live.meta.ends_at.0);
        if expires_at <= live.expires_at {
            return Ok(());
        }
        let touched = Touched {
            expires_at: U64(expires_at),
            touched_at: U64(now),
        };
        self.0
            .put(&format!("t:{key}"), "", &touched, live.meta.ends_at.0)
            .await
    }

    async fn delete(&self, now: u64, key: &str, _owner: Option<&str>) -> Result<bool, StoreError> {
        self.remove(now, key, None).await
    }

    async fn delete_many(&self, now: u64, keys: &[String], owner: &str) -> Result<u32, StoreError> {
        check_batch(keys)?;
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let removed = join_all(keys.iter().map(|key| self.remove(now, key, Some(owner)))).await;
        let (mut count, mut failures) = (0, Vec::new());
        for removed in removed {
            match removed {
                Ok(was_there) => count += u32::from(was_there),
                Err(error) => failures.push(error),
            }
        }
        removed_of(count, failures)
    }

    async fn list_owned(&self, now: u64, owner: &str, cursor: &str, limit: u32) -> Result<Page, StoreError> {
        check_limit(limit)?;
        if owner.len() > self.describe().maximum_owner_bytes as usize {
            return Ok(Page::default());
        }
        let prefix = self.0.key(&owned(owner, ""));
        let mut list = self.0.kv.list().prefix(prefix.clone()).limit(u64::from(limit));
        if !cursor.is_empty() {
            let cursor = cursor
                .strip_prefix(CURSOR)
                .and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok());
            let cursor = cursor.and_then(|cursor| String::from_utf8(cursor).ok());
            list = list.cursor(cursor.ok_or(StoreError::MalformedCursor)?);
        }
        spend()?;
        let listed = list.execute().await.map_err(read_failed)?;
        let keys: Vec<&str> = listed
            .keys
            .iter()
            .filter_map(|key| key.name.strip_prefix(&prefix))
            .collect();
        let mut rows = Vec::with_capacity(keys.len());
        let lives = join_all(keys.iter().map(|key| self.live(now, key))).await;
        for (key, live) in keys.iter().zip(lives) {
            match live {
                Ok(live) if live.meta.owner.as_deref() == Some(owner) => rows.push(Row {
                    key: (*key).to_owned(),
                    version: live.meta.version,
                    touched_at: U64(live.touched_at),
                    expires_at: U64(live.expires_at),
                    value: Some(live.value),
                }),
                Ok(_) | Err(StoreError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        let next = listed.cursor.filter(|_| !listed.list_complete);
        let next = next.map(|cursor| format!("{CURSOR}{}", URL_SAFE_NO_PAD.encode(cursor)));
        Ok(Page { rows, next })
    }
}
