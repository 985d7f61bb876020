//! Workers KV alone as a store, with weaker guarantees.
//!
//! KV has no compare-and-swap, shows writes up to a minute late at other locations, and accepts one write per key and
//! second.
//! Each write and each deletion reads the record, checks its condition and then writes; another write may come in between.
//! So [`KvStore`] uses several keys with these prefixes:
//!
//! - `r:` the record's text, with version, guard, owner and expiry as metadata.
//! - `d:` the tombstone of an ended session, written only when it ends, and kept until the session's absolute end. Its key
//!   is the part of the record's key that does not change when the session moves. So neither a save nor a renewal that has
//!   not seen the tombstone can resurrect the session.
//! - `m:` the final text of a record, written when its end is moved earlier: the redirect that the engine leaves where a
//!   session has moved.
//! - `t:` the expiry of a touched record, so that an extension of the idle expiry never writes the record.
//! - `o:` an owner's index, with one key for each record.
//!
//! Precedence: tombstone, redirect, record.
//! `get` reads the first four in one operation.
//! `describe` reports all weaknesses. Over such a store, the engine uses a new id for each login and renewal.

pub(super) mod cache;
pub(super) mod namespace;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tessera_contract::{Timestamp, decimal};
use tessera_http::chain;

use self::namespace::{MINIMUM_TTL, MINIMUM_WRITE_INTERVAL, Namespace, Opened, read_failed, spend};
use crate::random;
use crate::store::{
    Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Row, Store, StoreError, check_batch,
    check_limit, ends_at, expires_at, removed_of,
};

/// The documented maximum staleness of KV.
const MAXIMUM_STALENESS: Duration = Duration::from_secs(60);
/// The prefix of every cursor. KV's own cursor follows, in base64url.
const CURSOR: char = 'v';
/// The prefix of every value. It distinguishes an empty value from an absent one, and protects a leading byte order mark
/// from being stripped.
const BEGINNING: char = ' ';
/// The length of a session's id, which is the end of a key.
const ID_CHARACTERS: usize = 22;
/// The number of characters at the end of the id that change when the session moves (`wit/store.wit`).
const MOVING_CHARACTERS: usize = 10;

/// The metadata of a record.
///
/// It is shorter than KV's limit of 1024 bytes: at most 160 for all but the owner, and at most 510 for the owner, because
/// 255 bytes without control characters, which the engine refuses, are at most 510 in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meta {
    #[serde(rename = "v", with = "decimal")]
    version: u64,
    #[serde(rename = "g", with = "decimal")]
    guard: u64,
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(rename = "e", with = "decimal")]
    expires_at: Timestamp,
    #[serde(rename = "n", with = "decimal")]
    ends_at: Timestamp,
    #[serde(rename = "w", with = "decimal")]
    written_at: Timestamp,
}

/// The metadata of a touch: the record's expiry, and the time of the touch.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Touched {
    #[serde(rename = "e", with = "decimal")]
    expires_at: Timestamp,
    #[serde(rename = "w", with = "decimal")]
    touched_at: Timestamp,
}

/// The metadata of a tombstone or of a line in an index.
#[derive(Debug, Serialize)]
struct Mark {
    #[serde(rename = "n", with = "decimal")]
    ends_at: Timestamp,
}

/// A record, live or expired.
struct Stored {
    value: String,
    meta: Meta,
    expires_at: Timestamp,
    touched_at: Timestamp,
    /// Whether it is the final text of the record.
    is_last: bool,
}

/// The state of a key.
enum Lookup {
    Nothing,
    Ended,
    Found(Stored),
}

/// Records in Workers KV alone.
#[derive(Clone)]
pub(crate) struct KvStore(Namespace);

impl KvStore {
    /// `space` is the prefix of every key, which separates spaces from each other.
    pub(crate) fn new(kv: Opened, space: &str) -> Self {
        Self(Namespace::new(kv, space))
    }

    async fn look(&self, key: &str) -> Result<Lookup, StoreError> {
        if !self.describe().fits_key(key) {
            return Ok(Lookup::Nothing);
        }
        let keys = [
            ended(key),
            format!("r:{key}"),
            format!("m:{key}"),
            format!("t:{key}"),
        ];
        let [ended, record, last, touched] = self.0.get_each(&keys).await?;
        if ended.is_some() {
            return Ok(Lookup::Ended);
        }
        let is_last = last.is_some();
        let Some((mut value, meta)) = last.or(record) else {
            return Ok(Lookup::Nothing);
        };
        let meta: Meta = read(meta)?;
        if !value.starts_with(BEGINNING) {
            return Err(StoreError::Corrupt);
        }
        value.remove(0);
        // A touch applies only to the record that it touched: a later write has its own expiry, and the final text's expiry
        // does not change.
        let touched = touched.filter(|_| !is_last);
        let touched = touched.map(|(_, touched)| read::<Touched>(touched)).transpose()?;
        let touched = touched.filter(|touched| touched.touched_at >= meta.written_at);
        let slid = touched
            .as_ref()
            .map_or(Timestamp::default(), |touched| touched.expires_at);
        let expires_at = meta.expires_at.max(slid).min(meta.ends_at);
        let touched_at = touched.map_or(meta.written_at, |touched| touched.touched_at);
        Ok(Lookup::Found(Stored {
            value,
            meta,
            expires_at,
            touched_at,
            is_last,
        }))
    }

    async fn live(&self, now: Timestamp, key: &str) -> Result<Stored, StoreError> {
        match self.look(key).await? {
            Lookup::Found(stored) if stored.expires_at > now => Ok(stored),
            _ => Err(StoreError::Missing),
        }
    }

    /// Writes a record, or its final text. `before` is the live record that it replaces.
    async fn write(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
        before: Option<&Stored>,
    ) -> Result<u64, StoreError> {
        let mut meta = Meta {
            version: random::number(),
            guard: at
                .guard
                .or(before.map(|before| before.meta.guard))
                .unwrap_or_default(),
            owner: at.owner.clone(),
            expires_at: expires_at(at),
            ends_at: ends_at(at),
            written_at: now,
        };
        let mut kind = "r";
        let mut listed = None;
        if let Some(before) = before {
            listed = before.meta.owner.as_deref();
            if before.is_last || meta.ends_at < before.meta.ends_at {
                kind = "m";
                // The record that it supersedes may exist until then. An expired final text never becomes live again.
                meta.ends_at = before.meta.ends_at;
                if before.is_last {
                    meta.expires_at = meta.expires_at.min(before.expires_at);
                }
            }
        }
        let until = meta.ends_at;
        let stays =
            listed == at.owner.as_deref() && before.is_some_and(|before| before.meta.ends_at == until);
        if let Some(owner) = at.owner.as_deref().filter(|_| !stays) {
            let mark = Mark { ends_at: until };
            self.put(&owned(owner, key), "", &mark, until).await?;
        }
        // Kept until the absolute end, because an extension of the idle expiry does not write the record.
        self.put(&format!("{kind}:{key}"), value, &meta, until).await?;
        if listed != at.owner.as_deref() {
            self.leave(listed, key).await;
        }
        Ok(meta.version)
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        metadata: &impl Serialize,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let value = format!("{BEGINNING}{value}");
        self.0.put(key, &value, metadata, until).await
    }

    async fn end(&self, key: &str, live: &Stored) -> Result<(), StoreError> {
        let ends_at = live.meta.ends_at;
        let mark = Mark { ends_at };
        self.put(&ended(key), "", &mark, ends_at).await?;
        self.leave(live.meta.owner.as_deref(), key).await;
        Ok(())
    }

    async fn leave(&self, owner: Option<&str>, key: &str) {
        if let Some(owner) = owner
            && let Err(error) = self.0.remove(&owned(owner, key)).await
        {
            tracing::debug!(
                "a line of an index could not be removed and remains until it expires: {}",
                chain(&error)
            );
        }
    }

    /// Ends a live record that meets the condition. Returns whether there was one.
    ///
    /// This is not one step: a write between the check and the tombstone is ended as well.
    ///
    /// # Errors
    /// `StoreError::Stale` if the record does not meet the condition.
    async fn remove(
        &self,
        now: Timestamp,
        key: &str,
        is_met: impl Fn(&Meta) -> bool,
    ) -> Result<bool, StoreError> {
        let live = match self.live(now, key).await {
            Ok(live) => live,
            Err(StoreError::Missing) => return Ok(false),
            Err(error) => return Err(error),
        };
        if !is_met(&live.meta) {
            return Err(StoreError::Stale);
        }
        self.end(key, &live).await?;
        Ok(true)
    }
}

fn read<T: DeserializeOwned>(metadata: serde_json::Value) -> Result<T, StoreError> {
    serde_json::from_value(metadata).map_err(|_| StoreError::Corrupt)
}

/// The key of a record's tombstone. It has only the part of the session's id that does not change when the session moves.
fn ended(key: &str) -> String {
    let is_id = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let stays = key.len().checked_sub(ID_CHARACTERS);
    let stays = stays.filter(|&at| key.get(at..).is_some_and(is_id));
    let stays = stays.and_then(|at| key.get(..at + ID_CHARACTERS - MOVING_CHARACTERS));
    format!("d:{}", stays.unwrap_or(key))
}

/// The key of a line in an owner's index. The owner is in base64url, so that no owner's keys begin with another's.
fn owned(owner: &str, key: &str) -> String {
    format!("o:{}:{key}", URL_SAFE_NO_PAD.encode(owner))
}

impl Store for KvStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: false,
            list_by_owner: true,
            acknowledged_writes_survive_failover: true,
            maximum_staleness: MAXIMUM_STALENESS,
            index_staleness: MAXIMUM_STALENESS,
            minimum_ttl: MINIMUM_TTL,
            expiry_resolution: Duration::from_millis(1),
            minimum_write_interval: MINIMUM_WRITE_INTERVAL,
            // With an owner of 255 bytes in base64url, a line's key has 472 bytes; KV allows 512.
            maximum_key_bytes: 128,
            maximum_owner_bytes: 255,
            maximum_value_bytes: 1 << 20,
        }
    }

    async fn get(&self, now: Timestamp, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        let live = self.live(now, key).await?;
        Ok(Entry {
            value: live.value.into(),
            version: live.meta.version,
            guard: live.meta.guard,
            expires_at: live.expires_at,
        })
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        Ok(join_all(keys.iter().map(|key| self.get(now, key, true))).await)
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check_sizes(key, value, at)?;
        // An ended session cannot be resurrected.
        match self.look(key).await? {
            Lookup::Ended => Err(StoreError::Stale),
            Lookup::Found(stored) if stored.is_last || stored.expires_at > now => Err(StoreError::Stale),
            _ => self.write(now, key, value, at, None).await,
        }
    }

    async fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check_sizes(key, value, at)?;
        let live = self.live(now, key).await?;
        if !expected.is_met(live.meta.version, live.meta.guard) {
            return Err(StoreError::Stale);
        }
        if expires_at(at) == Timestamp::default() {
            self.end(key, &live).await?;
            return Ok(random::number());
        }
        self.write(now, key, value, at, Some(&live)).await
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        _owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let live = self.live(now, key).await?;
        let expires_at = expires_at.min(live.meta.ends_at);
        if live.is_last || expires_at <= live.expires_at {
            return Ok(());
        }
        let touched = Touched {
            expires_at,
            touched_at: now,
        };
        self.put(&format!("t:{key}"), "", &touched, live.meta.ends_at)
            .await
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        let is_met = |meta: &Meta| condition.is_met(meta.owner.as_deref(), meta.guard);
        self.remove(now, key, is_met).await
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        check_batch(deletions)?;
        let mut deletions: Vec<&Deletion> = deletions.iter().collect();
        deletions.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        // A repeated key is removed and counted once.
        let removed = deletions
            .chunk_by(|one, other| one.key == other.key)
            .filter_map(|same| Some((&same.first()?.key, same)))
            .map(|(key, same)| {
                self.remove(now, key, move |meta| {
                    meta.owner.as_deref() == Some(owner)
                        && same.iter().any(|deletion| deletion.is_met(meta.guard))
                })
            });
        let removed = join_all(removed).await;
        let (mut count, mut failures) = (0, Vec::new());
        for removed in removed {
            match removed {
                Ok(was_there) => count += u32::from(was_there),
                // It has another owner or guard, and is kept.
                Err(StoreError::Stale) => {}
                Err(error) => failures.push(error),
            }
        }
        removed_of(count, failures)
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        check_limit(limit)?;
        if !self.describe().fits_owner(owner) {
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
                    guard: live.meta.guard,
                    touched_at: live.touched_at,
                    expires_at: live.expires_at,
                    value: Some(live.value.into()),
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
