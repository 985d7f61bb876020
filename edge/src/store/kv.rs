//! Workers KV as a store of its own, under a weaker contract.
//!
//! KV has no compare-and-swap, answers up to a minute late elsewhere than where it was written, and takes one write to a key
//! each second. So in [`KvStore`]:
//!
//! - `r:` the record's text, with version, owner and expiry as metadata;
//! - `d:` the last of it, written where the record is deleted or its end comes forward, and by nothing else; kept to the
//!   record's first end. `get` reads both, and what is here counts, so that a save that did not see it raises nothing from
//!   the dead;
//! - `t:` when the record expires since it was touched: sliding never writes the record;
//! - `o:` an owner's index, a key for each record.
//!
//! `describe` says all that is weak. The engine does its part over such a store: a login or a renewal takes a new id, and
//! ends the old one with a record that leads there.

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

/// Says that a record is listed.
#[derive(Debug, Serialize)]
struct Mark {
    #[serde(rename = "n")]
    ends_at: U64,
}

/// What lies under a key, whether it is alive or not.
struct Lying {
    value: String,
    meta: Meta,
    expires_at: u64,
    touched_at: u64,
    /// Whether it is the last of the record.
    is_last: bool,
}

/// Records in Workers KV alone.
#[derive(Clone)]
pub(crate) struct KvStore(Namespace);

impl KvStore {
    /// `space` stands before every key: what is in one space is in no other.
    pub(crate) fn new(kv: worker::kv::KvStore, space: &str) -> Self {
        Self(Namespace::new(kv, space))
    }

    async fn look(&self, key: &str) -> Result<Option<Lying>, StoreError> {
        if !self.describe().has_room_for(key) {
            return Ok(None);
        }
        let (record, last, touched) = (format!("r:{key}"), format!("d:{key}"), format!("t:{key}"));
        let reads = join(self.0.get::<Meta>(&record), self.0.get::<Meta>(&last));
        let ((record, last), touched) = join(reads, self.0.get::<Touched>(&touched)).await;
        let (record, last, touched) = (record?, last?, touched?);
        let is_last = last.is_some();
        let Some((value, meta)) = last.or(record) else {
            return Ok(None);
        };
        // A touch counts for the record as it was then; what was written since says itself when it expires, and the last of
        // it for good.
        let touched = touched
            .filter(|_| !is_last)
            .map(|(_, touched)| touched)
            .filter(|touched| touched.touched_at >= meta.written_at);
        let slid = touched.as_ref().map_or(0, |touched| touched.expires_at.0);
        let expires_at = meta.expires_at.0.max(slid).min(meta.ends_at.0);
        let touched_at = touched.map_or(meta.written_at.0, |touched| touched.touched_at.0);
        Ok(Some(Lying {
            value,
            meta,
            expires_at,
            touched_at,
            is_last,
        }))
    }

    async fn live(&self, now: u64, key: &str) -> Result<Lying, StoreError> {
        let lying = self.look(key).await?;
        lying
            .filter(|lying| lying.expires_at > now)
            .ok_or(StoreError::Missing)
    }

    async fn write(&self, now: u64, key: &str, value: &str, at: &Placement) -> Result<u64, StoreError> {
        let meta = Meta {
            version: U64(random::number()),
            owner: at.owner.clone(),
            expires_at: U64(at.expires_at()),
            ends_at: U64(at.ends_at()),
            written_at: U64(now),
        };
        self.put("r", key, value, &meta, at.previous_owner.as_deref())
            .await
    }

    /// Writes the last of a record: from now on it is this, and can only end sooner.
    async fn write_last(
        &self,
        now: u64,
        key: &str,
        value: &str,
        at: &Placement,
        live: &Lying,
    ) -> Result<u64, StoreError> {
        let latest = if live.is_last { live.expires_at } else { u64::MAX };
        let meta = Meta {
            version: U64(random::number()),
            owner: at.owner.clone(),
            expires_at: U64(at.expires_at().min(latest)),
            // So long, the record that it stands for may be there.
            ends_at: live.meta.ends_at,
            written_at: U64(now),
        };
        self.put("d", key, value, &meta, live.meta.owner.as_deref()).await
    }

    async fn put(
        &self,
        kind: &str,
        key: &str,
        value: &str,
        meta: &Meta,
        previous_owner: Option<&str>,
    ) -> Result<u64, StoreError> {
        let (owner, ends_at) = (meta.owner.as_deref(), meta.ends_at);
        if let Some(owner) = owner {
            self.0
                .put(&owned(owner, key), "", &Mark { ends_at }, ends_at.0)
                .await?;
        }
        // KV keeps it to its end, because sliding does not write it.
        self.0
            .put(&format!("{kind}:{key}"), value, meta, ends_at.0)
            .await?;
        if previous_owner != owner {
            self.leave(previous_owner, key).await;
        }
        Ok(meta.version.0)
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
        let gone = Placement {
            owner: None,
            previous_owner: None,
            expires_at: U64(0),
            ends_at: U64(0),
        };
        self.write_last(now, key, "", &gone, &live).await?;
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
        // What has ended does not come back.
        match self.look(key).await? {
            Some(lying) if lying.is_last || lying.expires_at > now => Err(StoreError::Stale),
            _ => self.write(now, key, value, at).await,
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
        let live = self.live(now, key).await?;
        if live.meta.version.0 != expected {
            return Err(StoreError::Stale);
        }
        if live.is_last || at.ends_at() < live.meta.ends_at.0 {
            return self.write_last(now, key, value, at, &live).await;
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
        if live.is_last || expires_at <= live.expires_at {
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
