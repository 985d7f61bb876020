//! `DurableStore`: one Durable Object for each record, and one for each owner's index. Strongly consistent.

mod directory;
mod owner_object;
mod owner_protocol;
mod record_object;
mod record_protocol;
mod watchers;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use tessera_contract::Timestamp;
use tessera_http::chain;
use worker::ObjectNamespace;

pub(crate) use self::directory::Directory;
use self::owner_protocol::Line;
use self::record_protocol::{Draft, Listing, Place};
use crate::objects::{Failure, ask};
use crate::random;
use crate::store::{
    Capabilities, Cause, Condition, Deletion, END_OF_TIME, Entry, Expected, LONGEST_CALL, Page, Placement,
    Row, SWEEP_GRACE, Store, StoreError, check_batch, check_limit, ends_at, expires_at, removed_of,
};

/// The number of records of a page that are read concurrently.
///
/// An isolate has 128 MiB in total, and a record of the maximum length is in memory more than once while it is read.
const ROWS_AT_ONCE: usize = 16;
/// The size of the records at which a page is full, in bytes.
const PAGE_BYTES: usize = 4 << 20;
/// The prefix of every cursor. The last key of the previous page follows, in base64url.
const CURSOR: char = 'k';

/// Records and indexes in Durable Objects.
#[derive(Clone)]
pub(crate) struct DurableStore {
    sessions: ObjectNamespace,
    owners: ObjectNamespace,
    space: String,
}

impl DurableStore {
    /// `space` is the prefix of every object's name, which separates spaces from each other.
    pub(crate) fn new(sessions: ObjectNamespace, owners: ObjectNamespace, space: &str) -> Self {
        Self {
            sessions,
            owners,
            space: space.to_owned(),
        }
    }

    async fn record(
        &self,
        key: &str,
        question: &record_protocol::Request,
    ) -> Result<record_protocol::Reply, StoreError> {
        let name = format!("{}k:{key}", self.space);
        let of = match question {
            record_protocol::Request::Get { .. }
            | record_protocol::Request::Watch { .. }
            | record_protocol::Request::Unwatch { .. } => Failure::of_read,
            _ => Failure::of_write,
        };
        match ask(&self.sessions, &name, question).await.map_err(of)? {
            record_protocol::Reply::Refused { error } => Err(error),
            answer => Ok(answer),
        }
    }

    async fn index(
        &self,
        owner: &str,
        question: &owner_protocol::Request,
    ) -> Result<owner_protocol::Reply, StoreError> {
        let asked = ask(&self.owners, &format!("{}o:{owner}", self.space), question).await;
        // A superfluous line is harmless, so a write whose answer was lost can be repeated.
        match asked.map_err(Failure::of_read)? {
            owner_protocol::Reply::Refused { error } => Err(error),
            answer => Ok(answer),
        }
    }

    /// Enters a record in an owner's index. This comes before the record is written.
    async fn enter(
        &self,
        now: Timestamp,
        key: &str,
        owner: &str,
        ends_at: Timestamp,
    ) -> Result<Listing, StoreError> {
        let entry = random::number();
        let question = owner_protocol::Request::Enter {
            now,
            key: key.to_owned(),
            ends_at,
            entry,
        };
        self.index(owner, &question).await?;
        Ok(Listing::Entered(Place {
            owner: owner.to_owned(),
            entry,
        }))
    }

    /// Removes a record from an index after the record was written. A failure leaves a superfluous line.
    async fn leave(&self, key: &str, left: Option<Place>) {
        if let Some(Place { owner, entry }) = left {
            self.leave_many(&owner, vec![(key.to_owned(), entry)]).await;
        }
    }

    async fn leave_many(&self, owner: &str, entries: Vec<(String, u64)>) {
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self
            .index(owner, &owner_protocol::Request::Leave { entries })
            .await
        {
            tracing::debug!(
                "lines of an index could not be removed and remain until a later listing: {}",
                chain(&error)
            );
        }
    }

    /// Notifies the object of a connection of each change of a record's guard, and of its deletion.
    ///
    /// # Errors
    /// `StoreError::Missing` if there is no record.
    pub(crate) async fn watch(&self, now: Timestamp, key: &str, connection: &str) -> Result<(), StoreError> {
        let connection = connection.to_owned();
        let question = record_protocol::Request::Watch { now, connection };
        self.record(key, &question).await.map(drop)
    }

    /// Ends these notifications.
    pub(crate) async fn unwatch(&self, key: &str, connection: &str) -> Result<(), StoreError> {
        let connection = connection.to_owned();
        let question = record_protocol::Request::Unwatch { connection };
        self.record(key, &question).await.map(drop)
    }

    async fn read(&self, now: Timestamp, key: &str) -> Result<Read, StoreError> {
        match self.record(key, &record_protocol::Request::Get { now }).await? {
            record_protocol::Reply::Entry {
                value,
                version,
                guard,
                expires_at,
                touched_at,
                owner,
            } => {
                let entry = Entry {
                    value: value.into(),
                    version,
                    guard,
                    expires_at,
                };
                Ok(Read {
                    entry,
                    touched_at,
                    owner,
                })
            }
            _ => Err(unexpected()),
        }
    }

    #[cfg(feature = "test-routes")]
    pub(crate) async fn lines(&self, owner: &str) -> Result<Vec<String>, StoreError> {
        let question = owner_protocol::Request::List {
            after: None,
            limit: tessera_contract::store::BATCH_LIMIT as u32,
        };
        match self.index(owner, &question).await? {
            owner_protocol::Reply::Lines { lines } => Ok(lines.into_iter().map(|line| line.key).collect()),
            _ => Err(unexpected()),
        }
    }

    /// Returns the row of a line, if its record is live and has this owner.
    ///
    /// Otherwise returns `Err` with the entry to remove, or `Err(None)` if the line is too recent to be removed or its record
    /// has expired only lately.
    async fn row(
        &self,
        now: Timestamp,
        owner: &str,
        line: Line,
    ) -> Result<Result<Row, Option<(String, u64)>>, StoreError> {
        // With the time of an hour ago, because a caller with an earlier time may still touch a record that has just expired.
        let read = match self.read(now.saturating_sub(SWEEP_GRACE), &line.key).await {
            Ok(read) if read.owner.as_deref() == Some(owner) && read.entry.expires_at <= now => {
                return Ok(Err(None));
            }
            Ok(read) if read.owner.as_deref() == Some(owner) => read,
            Ok(_) | Err(StoreError::Missing) => {
                // A recent line's record may be about to be written.
                let is_old = line.entered_at.saturating_add(LONGEST_CALL) < now;
                let entry = line.entry.parse().ok().map(|entry| (line.key, entry));
                return Ok(Err(entry.filter(|_| is_old)));
            }
            Err(error) => return Err(error),
        };
        Ok(Ok(Row {
            key: line.key,
            version: read.entry.version,
            guard: read.entry.guard,
            touched_at: read.touched_at,
            expires_at: read.entry.expires_at,
            value: Some(read.entry.value),
        }))
    }

    /// Removes a record that meets the given conditions. Returns whether a live one was there, and its line in an index.
    ///
    /// # Errors
    /// `StoreError::Stale` if a live record does not meet them.
    async fn remove(
        &self,
        now: Timestamp,
        key: &str,
        owner: Option<&str>,
        guard: Option<u64>,
    ) -> Result<(bool, Option<Place>), StoreError> {
        if !self.describe().fits_key(key) {
            return Ok((false, None));
        }
        let owner = owner.map(str::to_owned);
        let question = record_protocol::Request::Delete { now, owner, guard };
        match self.record(key, &question).await? {
            record_protocol::Reply::Deleted { was_there, left } => Ok((was_there, left)),
            _ => Err(unexpected()),
        }
    }
}

struct Read {
    entry: Entry,
    touched_at: Timestamp,
    owner: Option<String>,
}

impl Store for DurableStore {
    fn describe(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            list_by_owner: true,
            acknowledged_writes_survive_failover: true,
            maximum_staleness: Duration::ZERO,
            index_staleness: Duration::ZERO,
            minimum_ttl: Duration::ZERO,
            expiry_resolution: Duration::from_millis(1),
            minimum_write_interval: Duration::ZERO,
            maximum_key_bytes: 512,
            maximum_owner_bytes: 512,
            maximum_value_bytes: 1 << 20,
        }
    }

    async fn get(&self, now: Timestamp, key: &str, _fresh: bool) -> Result<Entry, StoreError> {
        if !self.describe().fits_key(key) {
            return Err(StoreError::Missing);
        }
        Ok(self.read(now, key).await?.entry)
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        check_batch(keys)?;
        let answers = join_all(keys.iter().map(|key| self.get(now, key, true))).await;
        // A failure that does not depend on the key is the result for all.
        match answers
            .iter()
            .find_map(|answer| answer.as_ref().err().filter(|error| concerns_all(error)))
        {
            Some(error) => Err(error.clone()),
            None => Ok(answers),
        }
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.describe().check_sizes(key, value, at)?;
        #[cfg(feature = "test-routes")]
        if crate::faults::is_unwritable() {
            return Err(StoreError::OutcomeUnknown(Cause::new(
                "the object was made to fail",
            )));
        }
        let listing = match &at.owner {
            None => Listing::Nowhere,
            Some(owner) => self.enter(now, key, owner, ends_at(at)).await?,
        };
        let version = random::number();
        let draft = draft(value, version, at, listing);
        match self
            .record(key, &record_protocol::Request::Insert { now, draft })
            .await?
        {
            record_protocol::Reply::Written { left } => {
                self.leave(key, left).await;
                Ok(version)
            }
            _ => Err(unexpected()),
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
        #[cfg(feature = "test-routes")]
        if crate::faults::is_unwritable() {
            return Err(StoreError::OutcomeUnknown(Cause::new(
                "the object was made to fail",
            )));
        }
        let version = random::number();
        let question = |listing| record_protocol::Request::Replace {
            now,
            expected,
            draft: draft(value, version, at, listing),
        };
        let owner = at.owner.as_deref();
        let listing = owner.map_or(Listing::Nowhere, |owner| Listing::AsBefore(owner.to_owned()));
        let mut answer = self.record(key, &question(listing)).await?;
        if let (record_protocol::Reply::EnterFirst, Some(owner)) = (&answer, owner) {
            let listing = self.enter(now, key, owner, ends_at(at)).await?;
            answer = self.record(key, &question(listing)).await?;
        }
        match answer {
            record_protocol::Reply::Written { left } => {
                self.leave(key, left).await;
                Ok(version)
            }
            _ => Err(unexpected()),
        }
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        _owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.describe().fits_key(key) {
            return Err(StoreError::Missing);
        }
        let expires_at = expires_at.min(END_OF_TIME);
        self.record(key, &record_protocol::Request::Touch { now, expires_at })
            .await?;
        Ok(())
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        let (owner, guard) = match condition {
            Condition::Owner(owner) => (Some(owner.as_str()), None),
            Condition::Guard(guard) => (None, Some(*guard)),
        };
        let (was_there, left) = self.remove(now, key, owner, guard).await?;
        self.leave(key, left).await;
        Ok(was_there)
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        check_batch(deletions)?;
        let removed = join_all(
            deletions
                .iter()
                .map(|deletion| self.remove(now, &deletion.key, Some(owner), deletion.guard)),
        )
        .await;
        let (mut count, mut left, mut failures) = (0, Vec::new(), Vec::new());
        for (deletion, removed) in deletions.iter().zip(removed) {
            match removed {
                Ok((was_there, place)) => {
                    count += u32::from(was_there);
                    left.extend(place.map(|place| (deletion.key.clone(), place.entry)));
                }
                // It has another owner or guard, and is kept.
                Err(StoreError::Stale) => {}
                Err(error) => failures.push(error),
            }
        }
        self.leave_many(owner, left).await;
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
        let after = read_cursor(cursor)?;
        if !self.describe().fits_owner(owner) {
            return Ok(Page::default());
        }
        let owner_protocol::Reply::Lines { lines } = self
            .index(owner, &owner_protocol::Request::List { after, limit })
            .await?
        else {
            return Err(unexpected());
        };
        let mut is_more = lines.len() == limit as usize;
        let (mut rows, mut gone, mut last, mut bytes) = (Vec::new(), Vec::new(), None, 0);
        let mut lines = lines.into_iter().peekable();
        while lines.peek().is_some() {
            if bytes > PAGE_BYTES {
                is_more = true;
                break;
            }
            let some: Vec<Line> = lines.by_ref().take(ROWS_AT_ONCE).collect();
            last = some.last().map(|line| line.key.clone());
            for row in join_all(some.into_iter().map(|line| self.row(now, owner, line))).await {
                match row? {
                    Ok(row) => {
                        bytes += row.value.as_ref().map_or(0, |value| value.len());
                        rows.push(row);
                    }
                    Err(entry) => gone.extend(entry),
                }
            }
        }
        self.leave_many(owner, gone).await;
        let next = last.filter(|_| is_more).map(|key| write_cursor(&key));
        Ok(Page { rows, next })
    }
}

fn draft(value: &str, version: u64, at: &Placement, listing: Listing) -> Draft {
    Draft {
        value: value.to_owned(),
        version,
        guard: at.guard,
        expires_at: expires_at(at),
        ends_at: ends_at(at),
        listing,
    }
}

fn write_cursor(key: &str) -> String {
    format!("{CURSOR}{}", URL_SAFE_NO_PAD.encode(key))
}

fn read_cursor(cursor: &str) -> Result<Option<String>, StoreError> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let key = cursor
        .strip_prefix(CURSOR)
        .and_then(|key| URL_SAFE_NO_PAD.decode(key).ok());
    let key = key.and_then(|key| String::from_utf8(key).ok());
    key.map(Some).ok_or(StoreError::MalformedCursor)
}

fn concerns_all(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable(_) | StoreError::Throttled(_) | StoreError::Other(_)
    )
}

fn unexpected() -> StoreError {
    StoreError::Other(Cause::new(
        "a Durable Object's answer is not of the expected type",
    ))
}
