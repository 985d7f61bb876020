//! A store of your own, complete: one map behind a lock. `cargo run -p tessera-session --example custom_store`
//!
//! Replace the map by your database and keep the conditions: each method is one indivisible step.
//! `cargo xtask test stores custom_store` runs the store suite over this file.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tessera::store::{
    Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Row, SWEEP_GRACE, Store, StoreError,
    check_batch, check_limit,
};
use tessera::{Sessions, Timestamp};

const LONGEST_NAME: u32 = 512;
const LONGEST_VALUE: u32 = 16 * 1024 * 1024;
/// The prefix of every cursor, so that any other text is refused.
const AFTER: &str = "after:";
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// One record with its metadata.
struct Record {
    entry: Entry,
    owner: Option<String>,
    touched_at: Timestamp,
    ends_at: Timestamp,
}

#[derive(Default)]
struct Table {
    records: BTreeMap<String, Record>,
    last_version: u64,
}

/// Keeps sessions in a map. A clone is the same store.
#[derive(Clone, Default)]
pub(crate) struct MapStore {
    table: Arc<Mutex<Table>>,
}

impl MapStore {
    /// Creates a store that removes expired records until its last clone is dropped, so that the map does not grow without end.
    ///
    /// Needs a tokio runtime. A database may have a job of its own instead, or a time to live.
    fn start() -> Self {
        let store = Self::default();
        let table = Arc::downgrade(&store.table);
        tokio::spawn(async move {
            let mut pauses = tokio::time::interval(SWEEP_INTERVAL);
            loop {
                pauses.tick().await;
                let Some(table) = table.upgrade() else { return };
                Self { table }.sweep(Timestamp::now());
            }
        });
        store
    }

    /// Removes the records that expired [`SWEEP_GRACE`] before `now`, and returns their number.
    ///
    /// Within the grace a record stays, because a host whose clock is behind may still serve it.
    pub(crate) fn sweep(&self, now: Timestamp) -> usize {
        let (mut table, expired) = (self.table(), now.saturating_sub(SWEEP_GRACE));
        let held = table.records.len();
        table
            .records
            .retain(|_, record| record.entry.expires_at > expired);
        held - table.records.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A longer name or value is refused before it is stored.
fn check(key: &str, value: &str, owner: Option<&str>) -> Result<(), StoreError> {
    let too_long = |text: &str, most: u32| text.len() > most as usize;
    let is_long = too_long(key, LONGEST_NAME)
        || owner.is_some_and(|owner| too_long(owner, LONGEST_NAME))
        || too_long(value, LONGEST_VALUE);
    if is_long {
        Err(StoreError::TooLarge)
    } else {
        Ok(())
    }
}

impl Table {
    /// An expired record is missing, whether it was removed or not.
    fn live(&self, now: Timestamp, key: &str) -> Result<&Record, StoreError> {
        let record = self
            .records
            .get(key)
            .filter(|record| record.entry.expires_at > now);
        record.ok_or(StoreError::Missing)
    }

    fn write(&mut self, now: Timestamp, key: &str, value: &str, guard: u64, at: &Placement) -> u64 {
        // A version is never used twice. A database would draw 64 random bits instead.
        self.last_version += 1;
        let record = Record {
            entry: Entry {
                value: value.into(),
                version: self.last_version,
                guard,
                expires_at: at.expires_at.min(at.ends_at),
            },
            owner: at.owner.clone(),
            touched_at: now,
            ends_at: at.ends_at,
        };
        self.records.insert(key.to_owned(), record);
        self.last_version
    }
}

impl Store for MapStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            acknowledged_writes_survive_failover: false,
            maximum_staleness: Duration::ZERO,
            index_staleness: Duration::ZERO,
            minimum_ttl: Duration::ZERO,
            expiry_resolution: Duration::ZERO,
            minimum_write_interval: Duration::ZERO,
            maximum_key_bytes: LONGEST_NAME,
            maximum_owner_bytes: LONGEST_NAME,
            maximum_value_bytes: LONGEST_VALUE,
        }
    }

    async fn get(&self, now: Timestamp, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        self.table().live(now, key).map(|record| record.entry.clone())
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        let table = self.table();
        let entry = |key: &String| table.live(now, key).map(|record| record.entry.clone());
        Ok(keys.iter().map(entry).collect())
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        check(key, value, at.owner.as_deref())?;
        let mut table = self.table();
        match table.live(now, key) {
            Ok(_) => Err(StoreError::Stale),
            Err(_) => Ok(table.write(now, key, value, at.guard.unwrap_or(0), at)),
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
        check(key, value, at.owner.as_deref())?;
        let mut table = self.table();
        let Entry { version, guard, .. } = table.live(now, key)?.entry;
        if !expected.is_met(version, guard) {
            return Err(StoreError::Stale);
        }
        Ok(table.write(now, key, value, at.guard.unwrap_or(guard), at))
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        _owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut table = self.table();
        table.live(now, key)?;
        if let Some(record) = table.records.get_mut(key) {
            let later = expires_at.min(record.ends_at);
            // An earlier expiry changes nothing.
            if later >= record.entry.expires_at {
                record.entry.expires_at = later;
                record.touched_at = record.touched_at.max(now);
            }
        }
        Ok(())
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        let mut table = self.table();
        match table.live(now, key) {
            Err(_) => Ok(false),
            Ok(record) if condition.is_met(record.owner.as_deref(), record.entry.guard) => {
                table.records.remove(key);
                Ok(true)
            }
            Ok(_) => Err(StoreError::Stale),
        }
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        check_batch(deletions)?;
        let (mut table, mut removed) = (self.table(), 0);
        for deletion in deletions {
            let meets = |record: &Record| {
                record.owner.as_deref() == Some(owner) && deletion.is_met(record.entry.guard)
            };
            if table.live(now, &deletion.key).is_ok_and(meets) {
                table.records.remove(&deletion.key);
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        check_limit(limit)?;
        // The cursor has the last key of the page before, so that no entry is skipped between two pages.
        let after = match cursor {
            "" => "",
            cursor => cursor.strip_prefix(AFTER).ok_or(StoreError::MalformedCursor)?,
        };
        let table = self.table();
        let owned = table.records.iter().filter(|(key, record)| {
            record.owner.as_deref() == Some(owner) && record.entry.expires_at > now && key.as_str() > after
        });
        let row = |(key, record): (&String, &Record)| Row {
            key: key.clone(),
            version: record.entry.version,
            guard: record.entry.guard,
            touched_at: record.touched_at,
            expires_at: record.entry.expires_at,
            value: Some(record.entry.value.clone()),
        };
        let mut rows: Vec<Row> = owned.take(limit as usize + 1).map(row).collect();
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows
            .last()
            .filter(|_| has_more)
            .map(|row| format!("{AFTER}{}", row.key));
        Ok(Page { rows, next })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = [7; 32]; // Draw 32 random bytes, and keep them secret.
    let sessions = Sessions::builder()
        .signing_key("2026-11", secret)
        .build(MapStore::start())?;
    let session = sessions.create();
    session.set("city", "Ulm")?;
    let grant = session.authenticate("alice").await?;
    let token = grant.token.ok_or("a login hands out a token")?;
    let again = sessions.open(&token).await?;
    println!("alice lives in {:?}", again.get::<String>("city")?);
    Ok(())
}
