//! The rows of a mailbox in its object. `State` of `tessera-connections` decides on each change.
//!
//! Nothing here awaits, so that the runtime stores all writes of a call, or none.

use std::cell::Cell;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tessera_connections::{EndReason, Holder, MailboxError, Name, State, Walked};
use tessera_contract::Timestamp;
use worker::{SqlStorage, SqlStorageValue};

use super::stored::{Bound, Row, Stored};
use crate::objects::sql_moment;
use crate::store::{Cause, StoreError};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS mailbox (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL,
    head TEXT NOT NULL,
    until INTEGER NOT NULL,
    first_number INTEGER NOT NULL,
    stamp_before INTEGER NOT NULL,
    next_number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    holder TEXT,
    ended TEXT,
    handle TEXT,
    record TEXT,
    ends_at INTEGER,
    judge_at INTEGER,
    unjudged_since INTEGER,
    is_watched INTEGER,
    alarm_at INTEGER,
    has_accepted INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY,
    stamp INTEGER NOT NULL,
    send_key TEXT,
    event TEXT,
    data TEXT NOT NULL,
    size INTEGER NOT NULL
)";

/// The mailbox of one object.
pub(super) struct Rows {
    pub(super) sql: SqlStorage,
    has_tables: Cell<bool>,
}

/// A failure of the object's storage. Its text is the runtime's.
pub(super) fn failed(error: &worker::Error) -> MailboxError {
    StoreError::Other(Cause::new(error.to_string())).into()
}

#[derive(Deserialize)]
struct Table {}

/// A number of at most 53 bits, as JavaScript has it.
pub(super) fn written(number: u64) -> SqlStorageValue {
    SqlStorageValue::Float(number as f64)
}

pub(super) fn text(text: Option<impl ToString>) -> SqlStorageValue {
    text.map(|text| text.to_string()).into()
}

impl Rows {
    pub(super) fn new(sql: SqlStorage) -> Self {
        let found = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'mailbox'", None);
        let found = found.and_then(|rows| rows.to_array::<Table>());
        Self {
            has_tables: Cell::new(found.is_ok_and(|rows| !rows.is_empty())),
            sql,
        }
    }

    /// Notes that the object's storage was emptied.
    pub(super) fn clear(&self) {
        self.has_tables.set(false);
    }

    pub(super) fn exec(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<(), MailboxError> {
        let done = self.sql.exec(query, Some(values));
        done.map(drop).map_err(|error| failed(&error))
    }

    pub(super) fn select<T: DeserializeOwned>(
        &self,
        query: &str,
        values: Vec<SqlStorageValue>,
    ) -> Result<Vec<T>, MailboxError> {
        let rows = self.sql.exec(query, Some(values));
        rows.and_then(|rows| rows.to_array())
            .map_err(|error| failed(&error))
    }

    /// The mailbox, although its time may have passed.
    pub(super) fn find(&self) -> Result<Option<Stored>, MailboxError> {
        if !self.has_tables.get() {
            return Ok(None);
        }
        let rows: Vec<Row> = self.select("SELECT * FROM mailbox", Vec::new())?;
        rows.into_iter().next().map(TryInto::try_into).transpose()
    }

    /// The mailbox, if it lives.
    pub(super) fn live(&self, now: Timestamp) -> Result<Stored, MailboxError> {
        let stored = self.find()?.filter(|stored| stored.until > now);
        stored.ok_or(MailboxError::Missing)
    }

    /// Writes all but the name and the head.
    pub(super) fn save(&self, stored: &Stored) -> Result<(), MailboxError> {
        let State {
            first,
            before,
            next,
            bytes,
            acknowledged,
            holder,
            ended,
        } = &stored.state;
        let bound = stored.bound.as_ref();
        let moment = |at: Option<Timestamp>| at.map_or(SqlStorageValue::Null, sql_moment);
        let values = vec![
            sql_moment(stored.until),
            written(*first),
            written(u64::from(*before)),
            written(*next),
            written(*bytes),
            written(*acknowledged),
            text(*holder),
            text(ended.map(EndReason::as_str)),
            text(bound.map(|bound| &bound.handle)),
            text(bound.map(|bound| &bound.record)),
            moment(bound.map(|bound| bound.ends_at)),
            moment(bound.map(|bound| bound.judge_at)),
            moment(bound.and_then(|bound| bound.unjudged_since)),
            bound.map_or(SqlStorageValue::Null, |bound| {
                written(u64::from(bound.is_watched))
            }),
            moment(stored.alarm_at),
            written(u64::from(stored.has_accepted)),
            written(stored.sent_bytes),
        ];
        self.exec(
            "UPDATE mailbox SET until = ?, first_number = ?, stamp_before = ?, next_number = ?, size = ?, acknowledged = ?,
             holder = ?, ended = ?, handle = ?, record = ?, ends_at = ?, judge_at = ?, unjudged_since = ?, is_watched = ?,
             alarm_at = ?, has_accepted = ?, sent_bytes = ?",
            values,
        )
    }

    pub(super) fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        if !self.has_tables.get() {
            self.sql.exec(SCHEMA, None).map_err(|error| failed(&error))?;
            self.has_tables.set(true);
        }
        let before = self.find()?;
        if let Some(live) = before.as_ref().filter(|stored| stored.until > now) {
            return if *live.head == *head {
                Ok(())
            } else {
                Err(MailboxError::Taken)
            };
        }
        self.exec("DELETE FROM messages", Vec::new())?;
        let new = State::default();
        let values = vec![
            name.as_str().into(),
            head.into(),
            sql_moment(until),
            written(new.first),
            written(new.next),
        ];
        self.exec(
            "INSERT OR REPLACE INTO mailbox
             (one, name, head, until, first_number, stamp_before, next_number, size, acknowledged, has_accepted,
             sent_bytes)
             VALUES (1, ?, ?, ?, ?, 0, ?, 0, 0, 0, 0)",
            values,
        )
    }

    pub(super) fn attach(
        &self,
        now: Timestamp,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        let mut stored = self.live(now)?;
        stored.state.attach(holder)?;
        stored.until = stored.until.max(until);
        stored.has_accepted = false;
        stored.sent_bytes = 0;
        if let Some(bound) = &mut stored.bound {
            // Its session was opened just now.
            bound.unjudged_since = None;
        }
        self.save(&stored)
    }

    pub(super) fn detach(
        &self,
        now: Timestamp,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        self.change(now, until, |state| state.detach(holder))
    }

    pub(super) fn end(
        &self,
        now: Timestamp,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        self.change(now, until, |state| state.end(reason))
    }

    /// Makes a change which, if it applies, lets the mailbox live until `until`.
    fn change(
        &self,
        now: Timestamp,
        until: Timestamp,
        change: impl FnOnce(&mut State) -> bool,
    ) -> Result<bool, MailboxError> {
        let mut stored = match self.live(now) {
            Err(MailboxError::Missing) => return Ok(false),
            stored => stored?,
        };
        let applies = change(&mut stored.state);
        if applies {
            stored.until = until;
            self.save(&stored)?;
        }
        Ok(applies)
    }

    /// Notes that the holder's socket was accepted, and lets the mailbox live until `until` at least.
    pub(super) fn accepted(&self, now: Timestamp, until: Timestamp) -> Result<(), MailboxError> {
        let mut stored = self.live(now)?;
        stored.has_accepted = true;
        stored.until = stored.until.max(until);
        self.save(&stored)
    }

    /// Lets the mailbox live until `until`.
    pub(super) fn lives_until(&self, now: Timestamp, until: Timestamp) -> Result<(), MailboxError> {
        let mut stored = self.live(now)?;
        stored.until = until;
        self.save(&stored)
    }

    pub(super) fn keep(&self, now: Timestamp, until: Timestamp) -> Result<bool, MailboxError> {
        let mut stored = match self.live(now) {
            Err(MailboxError::Missing) => return Ok(false),
            stored => stored?,
        };
        if until > stored.until {
            stored.until = until;
            self.save(&stored)?;
        }
        Ok(true)
    }

    pub(super) fn look(&self, now: Timestamp) -> Result<Option<Walked>, MailboxError> {
        let stored = self.find()?.filter(|stored| stored.until > now);
        Ok(stored.map(|stored| Walked {
            name: stored.name,
            head: Arc::clone(&stored.head),
            holder: stored.state.holder,
            ended: stored.state.ended,
        }))
    }

    /// Notes that the record of the session is watched.
    pub(super) fn watched(&self) -> Result<(), MailboxError> {
        if let Some(mut stored) = self.find()?
            && let Some(bound) = &mut stored.bound
        {
            bound.is_watched = true;
            self.save(&stored)?;
        }
        Ok(())
    }

    /// Lets the connection end with a session.
    pub(super) fn bind(&self, now: Timestamp, bound: Bound) -> Result<(), MailboxError> {
        let mut stored = self.live(now)?;
        stored.bound = Some(bound);
        self.save(&stored)
    }
}
