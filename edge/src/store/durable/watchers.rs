//! The connections that a record's object notifies of changes: their sessions may have ended.
//!
//! A notification is stored with the change, and repeated until it has succeeded, so that none is lost.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use tessera_contract::Timestamp;
use worker::{ObjectNamespace, SqlStorage};

use crate::clock;
use crate::objects::{notify, read_moment, sql_moment};
use crate::store::{Cause, StoreError};

/// The maximum number of connections that one record notifies. A session has fewer, but their ends may not have arrived.
const MAXIMUM_WATCHERS: f64 = 128.0;
/// The pause before the first repetition of a notification. It doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The number of doublings.
const DOUBLINGS: u32 = 7;
/// The number of attempts after which a notification is given up. They take more than the longest life of a connection.
const MAXIMUM_ATTEMPTS: u32 = 400;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS watchers (
    connection TEXT PRIMARY KEY,
    due_at INTEGER,
    attempts INTEGER NOT NULL
) WITHOUT ROWID";

/// The connections that watch one record.
pub(super) struct Watchers {
    sql: SqlStorage,
    /// `None` if the Worker has no connections.
    connections: Option<ObjectNamespace>,
    /// Whether the table exists: most records have no watchers.
    has_table: Cell<bool>,
}

#[derive(Deserialize)]
struct Due {
    connection: String,
    #[serde(deserialize_with = "read_moment")]
    due_at: Timestamp,
    attempts: u32,
}

#[derive(Deserialize)]
struct Found {
    found: Option<f64>,
}

impl Watchers {
    pub(super) fn new(sql: SqlStorage, connections: Option<ObjectNamespace>, has_table: bool) -> Self {
        Self {
            sql,
            connections,
            has_table: Cell::new(has_table),
        }
    }

    /// Whether there may be watchers, and objects to notify: the Worker may have lost the binding since.
    fn can_notify(&self) -> bool {
        self.has_table.get() && self.connections.is_some()
    }

    /// Notes that the object's storage was emptied.
    pub(super) fn clear(&self) {
        self.has_table.set(false);
    }

    /// # Errors
    /// `StoreError::Throttled` if there are too many. They are notified, so that those that have ended go.
    pub(super) fn add(&self, connection: String) -> Result<(), StoreError> {
        let added = || {
            if !self.has_table.replace(true) {
                self.sql.exec(SCHEMA, None)?;
            }
            let query = "SELECT count(*) AS found FROM watchers WHERE connection != ?";
            let others: Found = self
                .sql
                .exec(query, Some(vec![connection.as_str().into()]))?
                .one()?;
            let is_full = others.found.unwrap_or_default() >= MAXIMUM_WATCHERS;
            if !is_full {
                let row = Some(vec![connection.into()]);
                self.sql
                    .exec("INSERT OR IGNORE INTO watchers VALUES (?, NULL, 0)", row)?;
            }
            Ok::<_, worker::Error>(!is_full)
        };
        match added() {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Throttled(FIRST_PAUSE)),
            Err(error) => Err(StoreError::Other(Cause::new(error.to_string()))),
        }
    }

    pub(super) fn remove(&self, connection: String) -> Result<(), worker::Error> {
        if self.has_table.get() {
            let which = Some(vec![connection.into()]);
            self.sql
                .exec("DELETE FROM watchers WHERE connection = ?", which)?;
        }
        Ok(())
    }

    /// Notes, with a change of the record, that all watchers are to be notified. Returns when to repeat what has not succeeded by
    /// then; `None` if there is no watcher.
    pub(super) fn note_change(&self) -> Result<Option<Timestamp>, worker::Error> {
        self.note("UPDATE watchers SET due_at = ?, attempts = 0")
    }

    /// The same without a change, so that connections that have ended go. Notifications under way stay as they are.
    pub(super) fn weed(&self) -> Result<Option<Timestamp>, worker::Error> {
        self.note("UPDATE watchers SET due_at = ? WHERE due_at IS NULL")
    }

    fn note(&self, query: &str) -> Result<Option<Timestamp>, worker::Error> {
        if !self.can_notify() {
            return Ok(None);
        }
        let now = clock::now();
        self.sql.exec(query, Some(vec![sql_moment(now)]))?;
        let is_one_due = self.next()?.is_some();
        Ok(is_one_due.then(|| now.saturating_add(FIRST_PAUSE)))
    }

    /// The time of the next notification.
    pub(super) fn next(&self) -> Result<Option<Timestamp>, worker::Error> {
        if !self.can_notify() {
            return Ok(None);
        }
        let next: Found = self
            .sql
            .exec("SELECT min(due_at) AS found FROM watchers", None)?
            .one()?;
        Ok(next.found.map(|at| Timestamp::from_millis(at as u64)))
    }

    /// Sends the notifications that are due.
    pub(super) async fn notify(&self) -> Result<(), worker::Error> {
        let Some(connections) = self.connections.as_ref().filter(|_| self.has_table.get()) else {
            return Ok(());
        };
        let query = "SELECT connection, due_at, attempts FROM watchers WHERE due_at <= ?";
        let now = Some(vec![sql_moment(clock::now())]);
        let due: Vec<Due> = self.sql.exec(query, now)?.to_array()?;
        let sent = due.into_iter().map(|due| async move {
            let sent = notify(connections, &due.connection).await;
            (due, sent)
        });
        for (due, sent) in join_all(sent).await {
            let which = || vec![due.connection.clone().into(), sql_moment(due.due_at)];
            // The storage may have been emptied meanwhile.
            if !self.has_table.get() {
                break;
            }
            match sent {
                Ok(true) => {
                    let query = "UPDATE watchers SET due_at = NULL WHERE connection = ? AND due_at = ?";
                    self.sql.exec(query, Some(which()))?;
                }
                Ok(false) => self.remove(due.connection.clone())?,
                Err(_) if due.attempts >= MAXIMUM_ATTEMPTS => self.remove(due.connection.clone())?,
                Err(failure) => {
                    tracing::debug!("a connection was not notified: {}", failure.of_read());
                    let pause = FIRST_PAUSE * 2_u32.pow(due.attempts.min(DOUBLINGS));
                    let next = clock::now().saturating_add(pause);
                    let mut row = vec![sql_moment(next)];
                    row.extend(which());
                    let query = "UPDATE watchers SET due_at = ?, attempts = attempts + 1 \
                                 WHERE connection = ? AND due_at = ?";
                    self.sql.exec(query, Some(row))?;
                }
            }
        }
        Ok(())
    }
}
