//! The Durable Object that holds an owner's index: the records that may belong to the owner.
//!
//! It may list a record that does not, and never misses one that does.

use serde::Deserialize;
use tessera_contract::Timestamp;
use wasm_bindgen::prelude::*;
use worker::worker_sys::DurableObjectState;
use worker::{SqlStorage, State, Storage};

use super::owner_protocol::{Line, Reply, Request};
use crate::clock;
use crate::objects::{read_moment, set_alarm, sql_moment};
use crate::store::{Cause, SWEEP_GRACE, StoreError};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY,
    ends_at INTEGER NOT NULL,
    entered_at INTEGER NOT NULL,
    entry TEXT NOT NULL
) WITHOUT ROWID";

/// One owner's index. The runtime creates the object and calls it for one operation after another.
#[wasm_bindgen]
pub struct OwnerObject {
    storage: Storage,
}

impl std::fmt::Debug for OwnerObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnerObject").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Stored {
    key: String,
    entry: String,
    #[serde(deserialize_with = "read_moment")]
    entered_at: Timestamp,
}

#[derive(Deserialize)]
struct Earliest {
    ends_at: Option<f64>,
}

#[wasm_bindgen]
impl OwnerObject {
    /// Creates the object over the runtime's storage.
    #[wasm_bindgen(constructor)]
    pub fn new(state: DurableObjectState) -> Self {
        Self {
            storage: State::from(state).storage(),
        }
    }

    /// Performs one operation; request and answer are JSON texts. A failure of the storage is an answer.
    ///
    /// # Errors
    /// If the request cannot be read.
    pub fn ask(&self, question: &str) -> Result<String, JsError> {
        let question: Request = serde_json::from_str(question)?;
        let answer = self.answer(question).unwrap_or_else(|error| Reply::Refused {
            error: StoreError::Other(Cause::new(error.to_string())),
        });
        Ok(serde_json::to_string(&answer)?)
    }

    /// Deletes entries that ended an hour ago, and sets the next alarm.
    ///
    /// # Errors
    /// If the storage fails; the runtime then calls again.
    pub async fn alarm(&self) -> Result<(), JsError> {
        let ended = clock::now().saturating_sub(SWEEP_GRACE);
        let sql = self.table()?;
        sql.exec(
            "DELETE FROM entries WHERE ends_at <= ?",
            Some(vec![sql_moment(ended)]),
        )?;
        match self.earliest(&sql)? {
            Some(ends_at) => set_alarm(&self.storage, ends_at.saturating_add(SWEEP_GRACE))?,
            None => self.storage.delete_all().await?,
        }
        Ok(())
    }
}

impl OwnerObject {
    fn table(&self) -> Result<SqlStorage, worker::Error> {
        let sql = self.storage.sql();
        sql.exec(SCHEMA, None)?;
        Ok(sql)
    }

    fn earliest(&self, sql: &SqlStorage) -> Result<Option<Timestamp>, worker::Error> {
        let earliest: Earliest = sql
            .exec("SELECT min(ends_at) AS ends_at FROM entries", None)?
            .one()?;
        Ok(earliest.ends_at.map(|at| Timestamp::from_millis(at as u64)))
    }

    fn answer(&self, question: Request) -> Result<Reply, worker::Error> {
        let sql = self.table()?;
        match question {
            Request::Enter {
                now,
                key,
                ends_at,
                entry,
            } => {
                let before = self.earliest(&sql)?;
                let row = vec![
                    key.into(),
                    sql_moment(ends_at),
                    sql_moment(now),
                    entry.to_string().into(),
                ];
                // Of two callers that enter one record, either may win the write, so the later end counts.
                sql.exec(
                    "INSERT INTO entries (key, ends_at, entered_at, entry) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
                     SET ends_at = max(ends_at, excluded.ends_at), entered_at = max(entered_at, excluded.entered_at),
                     entry = excluded.entry",
                    Some(row),
                )?;
                if before.is_none_or(|before| before > ends_at) {
                    set_alarm(&self.storage, ends_at.saturating_add(SWEEP_GRACE))?;
                }
                Ok(Reply::Done)
            }
            Request::Leave { entries } => {
                for (key, entry) in entries {
                    let which = vec![key.into(), entry.to_string().into()];
                    sql.exec("DELETE FROM entries WHERE key = ? AND entry = ?", Some(which))?;
                }
                Ok(Reply::Done)
            }
            Request::List { after, limit } => {
                let which = vec![after.clone().unwrap_or_default().into(), i64::from(limit).into()];
                let query = if after.is_some() {
                    "SELECT key, entry, entered_at FROM entries WHERE key > ? ORDER BY key LIMIT ?"
                } else {
                    "SELECT key, entry, entered_at FROM entries WHERE key >= ? ORDER BY key LIMIT ?"
                };
                let rows: Vec<Stored> = sql.exec(query, Some(which))?.to_array()?;
                let line = |stored: Stored| Line {
                    key: stored.key,
                    entry: stored.entry,
                    entered_at: stored.entered_at,
                };
                Ok(Reply::Lines {
                    lines: rows.into_iter().map(line).collect(),
                })
            }
        }
    }
}
