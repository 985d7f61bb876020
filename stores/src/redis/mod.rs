//! A store in Redis or Valkey.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Store, StoreError};
use tessera_contract::Timestamp;
use tessera_contract::store::{check_batch, check_limit};

mod builder;
mod clients;
mod cluster;
mod digits;
mod error;
mod eviction;
mod head;
mod import;
mod index;
mod invalidation;
mod link;
mod listing;
#[cfg(feature = "connections")]
mod mailbox;
mod master;
mod opening;
mod records;
mod scan;
mod scripts;
mod shared;
mod tag;
mod url;
mod wire;

pub use builder::RedisStoreBuilder;
use digits::random;
pub use error::RedisStoreError;
pub use head::HeadFormat;
use index::{Index, Listed, Place};
#[cfg(feature = "connections")]
pub use mailbox::RedisMailbox;
use records::{Deleted, Listing, Record, Replaced, Seen, Text};
use shared::Shared;
use tag::Tag;
pub use url::RedisUrl;

/// The maximum length of a key in a [`RedisStore`], without the prefix.
const MAXIMUM_KEY_BYTES: u32 = 512;
/// The maximum length of an owner in a [`RedisStore`].
const MAXIMUM_OWNER_BYTES: u32 = head::OWNER_BYTES as u32;
/// The maximum length of a value in a [`RedisStore`].
const MAXIMUM_VALUE_BYTES: u32 = 16 * 1024 * 1024;

/// A store in Redis (7.0 or later) or Valkey: one server, a Cluster, or the master of a set with Sentinels.
///
/// A clone is the same store. Calls share one connection to each server.
/// A call takes one round trip; a write that moves a record from one owner to another takes three.
///
/// # Guarantees
///
/// Compare-and-swap, expiry and version are checked in one script on one key, which the server runs atomically.
/// Moments are those of the call. The server's clock determines only when a key is removed, an hour or more after its expiry.
///
/// The server's configuration determines what an acknowledged write survives, so
/// [`acknowledged_writes_survive_failover`](Capabilities::acknowledged_writes_survive_failover) is always `false`:
///
/// - **One server**: its persistence settings decide. With `appendonly yes` and `appendfsync always`, a write survives a killed
///   process and the loss of power; with `appendfsync everysec`, the last second may be lost; with snapshots alone,
///   the minutes since the last one. Without persistence, a restart ends all sessions.
/// - **Sentinel and Cluster**: replication is asynchronous. A failover loses the writes that the old master acknowledged and
///   the new one had not received. Usually these are the writes of some milliseconds; under a partition, of the whole time in
///   which the old master accepts writes from the clients on its side.
///   Logouts of that time are undone, as `SECURITY.md` describes.
///   `min-replicas-to-write` and `min-replicas-max-lag` bound the loss.
///   The store does not use `WAIT`, which would reduce the loss and not prevent it.
///
/// `maxmemory-policy` has to be `noeviction`: with any other policy, Redis may evict an owner's index and keep the records, so
/// that revoking all sessions of the owner ends none. Opening a store over such a server fails. The store repeats the check
/// [every minute](RedisStoreBuilder::eviction_check_interval); while the policy is another one, writes and lists fail with
/// [`StoreError::Unavailable`], and reads and deletions of single records continue to work.
/// When a server is full, writes fail with [`StoreError::Full`]; reads and deletions continue to work.
///
/// # Records and indexes
///
/// A record and its owner's index are two keys, in a Cluster perhaps on two servers, and no operation is atomic over both.
/// So an entry is created in the index before its record is written, and removed after the record is gone.
/// A call that is interrupted in between leaves an entry without a record, and never a record without an entry.
/// A list ignores an entry that its record does not name. Every access to an index removes the entries past their end; an entry
/// without a record is removed once it is older than an hour, and so than any call.
///
/// # Failures
///
/// Broken connections are re-established with increasing pauses; with Sentinel, to the master that the Sentinels then name.
/// A command is sent again only if it was certainly not done, or if repeating it changes nothing.
/// Every call ends within [`timeout`](RedisStoreBuilder::timeout): after a failure with [`StoreError::Unavailable`], or with
/// [`StoreError::OutcomeUnknown`] for a write whose answer was lost.
/// Once an outage of one server or of a Sentinel's set lasts longer than that, calls fail as soon as one attempt fails.
///
/// # Stored data
///
/// `tessera:record:KEY` is a string: a line with format, version, guard, `ends_at`, `expires_at`, the moment of the last
/// write or touch, the tag of the record's entry in the index, and the owner; then the text.
/// `tessera:owner:OWNER` is a sorted set of `TAG:KEY`, scored by `ends_at`. Moments are milliseconds since 1970.
/// `redis-cli get` shows a record; `docs/layout.md` describes the layout byte by byte.
/// Every reader reports any other string as [`StoreError::Corrupt`], and a page of a list that contains one fails.
/// A record with a damaged layout is neither overwritten nor removed.
///
/// Redis removes a key by itself an hour after it has expired.
///
/// Limits: keys and owners of 512 bytes, values of 16 MiB. An entry whose `expires_at` is after its `ends_at` expires
/// at `ends_at`. [`Store::list_owned`] returns values of up to 16 KiB, and omits longer ones.
///
/// ```no_run
/// use tessera_stores::{RedisStore, RedisUrl};
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let url: RedisUrl = "redis+sentinel://app:secret@10.0.0.1,10.0.0.2,10.0.0.3/mymaster?prefix=shop:".parse()?;
/// let store = RedisStore::open(&url).await?;
/// # drop(store); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

/// One call: its time and its deadline.
#[derive(Clone, Copy)]
struct Asked<'a> {
    shared: &'a Shared,
    now: Timestamp,
    deadline: Instant,
}

impl RedisStore {
    /// Connects with the builder's defaults.
    ///
    /// # Errors
    ///
    /// As [`RedisStoreBuilder::open`].
    pub async fn open(url: &RedisUrl) -> Result<Self, RedisStoreError> {
        Self::builder().open(url).await
    }

    /// Returns a builder with the default settings.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::default()
    }

    /// Tries the commands of all calls on a record that does not exist.
    async fn check(&self) -> Result<(), RedisStoreError> {
        let asked = self.asked(Timestamp::from_millis(0));
        let record = asked.record("");
        let read = match record.get().await {
            Ok(_) | Err(StoreError::Missing) => record.touch(Timestamp::from_millis(0)).await,
            Err(error) => Err(error),
        };
        let listed = match read {
            Ok(()) | Err(StoreError::Missing) => asked.index("").page(None, 1).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match listed {
            Ok(()) => Ok(()),
            Err(error) => Err(error::unusable(error)),
        }
    }

    fn asked(&self, now: Timestamp) -> Asked<'_> {
        Asked {
            shared: &self.shared,
            now,
            deadline: Instant::now() + self.shared.timeout,
        }
    }
}

impl<'a> Asked<'a> {
    fn record(&self, key: &str) -> Record<'a> {
        Record {
            link: &self.shared.link,
            name: format!("{}record:{key}", self.shared.prefix),
            format: self.shared.write_format,
            now: self.now,
            deadline: self.deadline,
        }
    }

    fn index(&self, owner: &str) -> Index<'a> {
        Index {
            link: &self.shared.link,
            name: format!("{}owner:{owner}", self.shared.prefix),
            now: self.now,
            deadline: self.deadline,
        }
    }

    /// Creates an entry in the owner's index for a record that is about to be written.
    async fn enter(&self, key: &str, at: &Placement) -> Result<Option<Tag>, StoreError> {
        let Some(owner) = &at.owner else {
            return Ok(None);
        };
        let tag = Tag::new(self.now)?;
        self.index(owner).enter(tag, key, at.ends_at).await?;
        Ok(Some(tag))
    }

    /// Removes the entries that the record does not name after a write.
    async fn tidy(&self, key: &str, at: &Placement, made: Option<Tag>, listing: Listing) {
        let leaving = match (listing, made, &at.owner) {
            (Listing::Kept, Some(made), Some(owner)) => Some((owner.clone(), made)),
            (Listing::Kept, _, _) => None,
            (Listing::Moved { until_now }, _, _) => until_now,
        };
        if let Some((owner, tag)) = leaving {
            self.index(&owner).leave([(tag, key)]).await;
        }
    }

    async fn insert(&self, key: &str, text: &Text<'_>) -> Result<u64, StoreError> {
        let made = self.enter(key, text.at).await?;
        match self.record(key).insert(text, made).await {
            Ok(listing) => self.tidy(key, text.at, made, listing).await,
            Err(error) => return Err(self.refused(key, text.at, made, error).await),
        }
        Ok(text.version)
    }

    async fn replace(&self, key: &str, text: &Text<'_>, expected: Expected) -> Result<u64, StoreError> {
        let at = text.at;
        let record = self.record(key);
        // A record that keeps its owner is usually listed; the script checks it.
        let mut made = match at.owner == at.previous_owner {
            true => None,
            false => self.enter(key, at).await?,
        };
        let mut listed = made;
        loop {
            match record.replace(text, expected, listed).await {
                Ok(Replaced::Done(listing)) => {
                    self.tidy(key, at, made, listing).await;
                    return Ok(text.version);
                }
                // The script must not reject an entry that was just created or renewed for the record.
                Ok(Replaced::Unlisted(tag)) if listed.is_some() && (tag.is_none() || tag == listed) => {
                    return Err(StoreError::Corrupt);
                }
                Ok(Replaced::Unlisted(Some(tag))) => {
                    if let Some(owner) = &at.owner {
                        self.index(owner).enter(tag, key, at.ends_at).await?;
                    }
                    listed = Some(tag);
                }
                Ok(Replaced::Unlisted(None)) => {
                    made = self.enter(key, at).await?;
                    listed = made;
                }
                Err(error) => return Err(self.refused(key, at, made, error).await),
            }
        }
    }

    /// Removes the entry of a record that was certainly not written. In other cases it stays until it is trimmed.
    async fn refused(&self, key: &str, at: &Placement, made: Option<Tag>, error: StoreError) -> StoreError {
        if let (StoreError::Stale | StoreError::Missing | StoreError::Full, Some(made), Some(owner)) =
            (&error, made, &at.owner)
        {
            self.index(owner).leave([(made, key)]).await;
        }
        error
    }

    async fn list(&self, owner: &str, place: Option<Place>, limit: u32) -> Result<Page, StoreError> {
        let index = self.index(owner);
        // One more than requested, to detect a further page.
        let mut entries = index.page(place, limit + 1).await?;
        let next = match entries.len() > limit as usize {
            true => {
                entries.truncate(limit as usize);
                entries.last().map(Listed::cursor)
            }
            false => None,
        };
        let seen = join_all(
            entries
                .iter()
                .map(|entry| async move { self.record(&entry.key).row(owner, entry).await }),
        )
        .await;
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        for (seen, entry) in seen.into_iter().zip(&entries) {
            match seen? {
                Seen::Live(row) => rows.push(row),
                Seen::Gone if entry.is_settled(self.now) => gone.push((entry.tag, entry.key.as_str())),
                Seen::Gone | Seen::Expired => {}
            }
        }
        index.leave(gone).await;
        Ok(Page { rows, next })
    }
}

impl Store for RedisStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            // It depends on the servers, and replication is asynchronous; see the documentation of the type.
            acknowledged_writes_survive_failover: false,
            maximum_staleness: Duration::ZERO,
            index_staleness: Duration::ZERO,
            minimum_ttl: Duration::ZERO,
            expiry_resolution: Duration::from_millis(1),
            minimum_write_interval: Duration::ZERO,
            maximum_key_bytes: MAXIMUM_KEY_BYTES,
            maximum_owner_bytes: MAXIMUM_OWNER_BYTES,
            maximum_value_bytes: self.shared.maximum_value_bytes,
        }
    }

    async fn get(&self, now: Timestamp, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        self.asked(now).record(key).get().await
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        let asked = self.asked(now);
        let answers = join_all(
            keys.iter()
                .map(|key| async move { asked.record(key).get().await }),
        )
        .await;
        let one = |answer| match answer {
            // An error of one entry is returned in its place; an error of Redis fails the call.
            answer @ (Ok(_) | Err(StoreError::Missing | StoreError::Corrupt)) => Ok(answer),
            Err(error) => Err(error),
        };
        answers.into_iter().map(one).collect()
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.shared.check_indexed_writes()?;
        self.describe().check_sizes(key, value, at)?;
        let version = random()?;
        let text = Text { value, version, at };
        // Rare and long operations are boxed to keep the future of a read small, because every layer moves it.
        Box::pin(self.asked(now).insert(key, &text)).await
    }

    async fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.shared.check_indexed_writes()?;
        self.describe().check_sizes(key, value, at)?;
        let version = random()?;
        let text = Text { value, version, at };
        Box::pin(self.asked(now).replace(key, &text, expected)).await
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        _owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.shared.check_writes()?;
        self.asked(now).record(key).touch(expires_at).await
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        self.shared.check_writes()?;
        let asked = self.asked(now);
        let (guard, owner) = match condition {
            Condition::Owner(owner) => (None, Some(owner.as_str())),
            Condition::Guard(guard) => (Some(*guard), None),
        };
        match asked.record(key).delete(guard, owner).await? {
            Deleted::Missing => Ok(false),
            Deleted::Stale => Err(StoreError::Stale),
            Deleted::Removed { was_live, listed } => {
                if let Some((owner, tag)) = listed {
                    asked.index(&owner).leave([(tag, key)]).await;
                }
                Ok(was_live)
            }
        }
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        check_batch(deletions)?;
        self.shared.check_indexed_writes()?;
        let asked = self.asked(now);
        let removed = join_all(deletions.iter().map(|Deletion { key, guard }| async move {
            asked.record(key).delete(*guard, Some(owner)).await
        }))
        .await;
        let (mut deleted, mut gone, mut failed) = (0, Vec::new(), None);
        for (removed, Deletion { key, .. }) in removed.into_iter().zip(deletions) {
            match removed {
                Ok(Deleted::Missing | Deleted::Stale) => {}
                Ok(Deleted::Removed { was_live, listed }) => {
                    deleted += u32::from(was_live);
                    gone.extend(listed.map(|(_, tag)| (tag, key.as_str())));
                }
                Err(error) => failed = Some(error),
            }
        }
        asked.index(owner).leave(gone).await;
        match failed {
            None => Ok(deleted),
            Some(error) => Err(error),
        }
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let place = Place::parse(cursor)?;
        check_limit(limit)?;
        self.shared.eviction.check()?;
        Box::pin(self.asked(now).list(owner, place, limit)).await
    }
}
