//! The Durable Object that holds one record.
//!
//! It handles each operation without awaiting anything, which makes compare-and-swap one step.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use tessera_contract::Timestamp;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use worker::worker_sys::DurableObjectState;
use worker::{Env, SqlStorage, SqlStorageValue, State, Storage};

use super::record_protocol::{Draft, Listing, Place, Reply, Request};
use super::watchers::Watchers;
use crate::clock;
use crate::objects::{read_moment, set_alarm, sql_moment};
use crate::store::{CONNECTIONS_BINDING, Cause, Expected, SWEEP_GRACE, StoreError};

/// The shortest time from one alarm to the next.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The time after which the storage of a deleted record is emptied.
const EMPTIED_AFTER: Duration = Duration::from_secs(10);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS record (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    value TEXT NOT NULL,
    version TEXT NOT NULL,
    guard TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    touched_at INTEGER NOT NULL,
    owner TEXT,
    entry TEXT
)";

/// One record. The runtime creates the object and calls it for one operation after another.
#[wasm_bindgen]
pub struct SessionObject {
    storage: Storage,
    /// Whether the table exists. A read creates no table, so that a key without a record stores nothing.
    has_table: Cell<bool>,
    watchers: Rc<Watchers>,
}

impl std::fmt::Debug for SessionObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionObject").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Table {
    name: String,
}

#[derive(Deserialize)]
struct Stored {
    value: String,
    version: String,
    guard: String,
    #[serde(deserialize_with = "read_moment")]
    expires_at: Timestamp,
    #[serde(deserialize_with = "read_moment")]
    ends_at: Timestamp,
    #[serde(deserialize_with = "read_moment")]
    touched_at: Timestamp,
    owner: Option<String>,
    entry: Option<String>,
}

impl Stored {
    fn version(&self) -> Option<u64> {
        self.version.parse().ok()
    }

    fn guard(&self) -> Option<u64> {
        self.guard.parse().ok()
    }

    fn is_expected(&self, expected: Expected) -> bool {
        let known = self.version().zip(self.guard());
        known.is_some_and(|(version, guard)| expected.is_met(version, guard))
    }

    /// Whether it has this owner and this guard. An absent condition is met.
    fn meets(&self, owner: Option<&str>, guard: Option<u64>) -> bool {
        (owner.is_none() || self.owner.as_deref() == owner) && (guard.is_none() || self.guard() == guard)
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at > now
    }

    fn place(&self) -> Option<Place> {
        let entry = self.entry.as_ref()?.parse().ok()?;
        Some(Place {
            owner: self.owner.clone()?,
            entry,
        })
    }
}

#[wasm_bindgen]
impl SessionObject {
    /// Creates the object over the runtime's storage.
    #[wasm_bindgen(constructor)]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        let storage = State::from(state).storage();
        let tables = storage.sql().exec("SELECT name FROM sqlite_master", None);
        let tables: Vec<Table> = tables.and_then(|rows| rows.to_array()).unwrap_or_default();
        let has = |name: &str| tables.iter().any(|table| table.name == name);
        let connections = env.durable_object(CONNECTIONS_BINDING).ok();
        let watchers = Watchers::new(storage.sql(), connections, has("watchers"));
        Self {
            has_table: Cell::new(has("record")),
            watchers: Rc::new(watchers),
            storage,
        }
    }

    /// Performs one operation; request and answer are JSON texts. A failure of the storage is an answer.
    ///
    /// Connections that watch the record are notified afterwards.
    ///
    /// # Errors
    /// If the request cannot be read.
    pub fn ask(&self, question: &str) -> Result<String, JsError> {
        let question: Request = serde_json::from_str(question)?;
        let answer = self.answer(question).unwrap_or_else(|failure| match failure {
            Failure::Refused(error) => Reply::Refused { error },
            Failure::Storage(error) => Reply::Refused {
                error: StoreError::Other(Cause::new(error.to_string())),
            },
        });
        Ok(serde_json::to_string(&answer)?)
    }

    /// Deletes the record if it expired an hour ago, repeats notifications, and sets the next alarm.
    ///
    /// # Errors
    /// If the storage fails; the runtime then calls again.
    pub async fn alarm(&self) -> Result<(), JsError> {
        self.watchers.notify().await?;
        let due = self
            .read()?
            .map(|stored| stored.expires_at.saturating_add(SWEEP_GRACE));
        let due = due.filter(|due| *due > clock::now());
        match due.into_iter().chain(self.watchers.next()?).min() {
            // The clock that sets alarms off may be ahead of this object's.
            Some(next) => self.wake_at(next.max(clock::now().saturating_add(SHORTEST_PAUSE)))?,
            None => {
                self.has_table.set(false);
                self.watchers.clear();
                self.storage.delete_all().await?;
            }
        }
        Ok(())
    }
}

/// An error of an operation.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Refused(#[from] StoreError),
    #[error(transparent)]
    Storage(#[from] worker::Error),
}

impl SessionObject {
    fn sql(&self) -> SqlStorage {
        self.storage.sql()
    }

    fn answer(&self, question: Request) -> Result<Reply, Failure> {
        match question {
            Request::Get { now } => {
                let stored = self.live(now)?;
                Ok(Reply::Entry {
                    version: stored.version().ok_or(StoreError::Corrupt)?,
                    guard: stored.guard().ok_or(StoreError::Corrupt)?,
                    expires_at: stored.expires_at,
                    touched_at: stored.touched_at,
                    value: stored.value,
                    owner: stored.owner,
                })
            }
            Request::Insert { now, draft } => {
                let before = self.read()?;
                if before.as_ref().is_some_and(|stored| stored.is_alive(now)) {
                    return Err(StoreError::Stale.into());
                }
                self.write(before.as_ref(), now, 0, draft)
            }
            Request::Replace { now, expected, draft } => {
                let before = self.live(now)?;
                if !before.is_expected(expected) {
                    return Err(StoreError::Stale.into());
                }
                let kept = before.guard().ok_or(StoreError::Corrupt)?;
                let is_guard_changed = draft.guard.is_some_and(|guard| guard != kept);
                let reply = self.write(Some(&before), now, kept, draft)?;
                if is_guard_changed && matches!(reply, Reply::Written { .. }) {
                    self.notify(self.watchers.note_change()?)?;
                }
                Ok(reply)
            }
            Request::Touch { now, expires_at } => {
                let stored = self.live(now)?;
                let later = expires_at.min(stored.ends_at);
                if later > stored.expires_at {
                    let set = vec![sql_moment(later), sql_moment(now)];
                    self.sql()
                        .exec("UPDATE record SET expires_at = ?, touched_at = ?", Some(set))?;
                }
                Ok(Reply::Touched)
            }
            Request::Watch { now, connection } => {
                self.live(now)?;
                let added = self.watchers.add(connection);
                if matches!(added, Err(StoreError::Throttled(_))) {
                    self.notify(self.watchers.weed()?)?;
                }
                added?;
                Ok(Reply::Watched)
            }
            Request::Unwatch { connection } => {
                self.watchers.remove(connection)?;
                Ok(Reply::Watched)
            }
            Request::Delete { now, owner, guard } => {
                // An expired record is left to the alarm, because it may be live to a caller whose clock is behind.
                let Some(stored) = self.read()?.filter(|stored| stored.is_alive(now)) else {
                    return Ok(Reply::Deleted {
                        was_there: false,
                        left: None,
                    });
                };
                if !stored.meets(owner.as_deref(), guard) {
                    return Err(StoreError::Stale.into());
                }
                self.sql().exec("DELETE FROM record", None)?;
                // Soon, because an object takes room until its storage is emptied.
                self.wake_at(clock::now().saturating_add(EMPTIED_AFTER))?;
                self.notify(self.watchers.note_change()?)?;
                Ok(Reply::Deleted {
                    was_there: true,
                    left: stored.place(),
                })
            }
        }
    }

    /// Sends the notifications that were noted. The alarm does so if this object stops before.
    fn notify(&self, repeated_at: Option<Timestamp>) -> Result<(), worker::Error> {
        if let Some(repeated_at) = repeated_at {
            self.wake_at(repeated_at)?;
            let watchers = Rc::clone(&self.watchers);
            spawn_local(async move {
                if let Err(error) = watchers.notify().await {
                    tracing::debug!("the notifications of a change are repeated: {error}");
                }
            });
        }
        Ok(())
    }

    /// Writes a record. `kept` is the guard if the draft has none.
    fn write(
        &self,
        before: Option<&Stored>,
        now: Timestamp,
        kept: u64,
        draft: Draft,
    ) -> Result<Reply, Failure> {
        let Draft {
            value,
            version,
            guard,
            expires_at,
            ends_at,
            listing,
        } = draft;
        let old = before.and_then(Stored::place);
        let place = match listing {
            Listing::Nowhere => None,
            Listing::Entered(place) => Some(place),
            Listing::AsBefore(owner) => {
                let known = before.is_some_and(|stored| stored.ends_at >= ends_at);
                match &old {
                    Some(place) if place.owner == owner && known => Some(place.clone()),
                    _ => return Ok(Reply::EnterFirst),
                }
            }
        };
        if !self.has_table.get() {
            self.sql().exec(SCHEMA, None)?;
            self.has_table.set(true);
        }
        let (owner, entry) = place
            .clone()
            .map(|place| (place.owner, place.entry.to_string()))
            .unzip();
        let row: Vec<SqlStorageValue> = vec![
            value.into(),
            version.to_string().into(),
            guard.unwrap_or(kept).to_string().into(),
            sql_moment(expires_at),
            sql_moment(ends_at),
            sql_moment(now),
            owner.into(),
            entry.into(),
        ];
        // Before the record is written, because a record without an alarm would stay for ever.
        if before.is_none() {
            let due = expires_at.saturating_add(SWEEP_GRACE);
            // Notifications of a record before may be left.
            let due = self.watchers.next()?.map_or(due, |next| next.min(due));
            self.wake_at(due)?;
        }
        self.sql().exec(
            "INSERT OR REPLACE INTO record (one, value, version, guard, expires_at, ends_at, touched_at, owner, entry)
             VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
            Some(row),
        )?;
        // An entry in the same owner's index was already replaced by the new one.
        let left = old.filter(|old| place.as_ref().is_none_or(|place| place.owner != old.owner));
        Ok(Reply::Written { left })
    }

    fn read(&self) -> Result<Option<Stored>, worker::Error> {
        if !self.has_table.get() {
            return Ok(None);
        }
        let rows: Vec<Stored> = self.sql().exec("SELECT * FROM record", None)?.to_array()?;
        Ok(rows.into_iter().next())
    }

    fn live(&self, now: Timestamp) -> Result<Stored, Failure> {
        let stored = self.read()?.filter(|stored| stored.is_alive(now));
        stored.ok_or(Failure::Refused(StoreError::Missing))
    }

    /// Sets the alarm. Not awaited: the runtime sends no answer before the alarm is stored.
    fn wake_at(&self, at: Timestamp) -> Result<(), worker::Error> {
        set_alarm(&self.storage, at)
    }
}
