//! A mailbox and its session, as an object stores them.

use std::sync::Arc;

use serde::Deserialize;
use tessera_connections::{EndReason, MailboxError, Name, State};
use tessera_contract::Timestamp;

use crate::store::StoreError;

/// The stored mailbox, without its messages.
pub(super) struct Stored {
    pub(super) name: Name,
    pub(super) head: Arc<str>,
    pub(super) until: Timestamp,
    pub(super) state: State,
    pub(super) bound: Option<Bound>,
    /// The time of the alarm that was set last.
    pub(super) alarm_at: Option<Timestamp>,
    /// Whether the holder's socket was accepted. Before, its client has joined, and its poll or socket is on the way.
    pub(super) has_accepted: bool,
    /// The size of the frames that the holder's socket was sent, in bytes.
    pub(super) sent_bytes: u64,
}

/// The session with which a connection ends.
pub(super) struct Bound {
    pub(super) handle: String,
    /// The key of the session's record.
    pub(super) record: String,
    /// The latest end of the connection.
    pub(super) ends_at: Timestamp,
    /// When to judge the session, even if its record does not change.
    pub(super) judge_at: Timestamp,
    /// Since when the session could not be judged.
    pub(super) unjudged_since: Option<Timestamp>,
    /// Whether the record's object notifies of changes.
    pub(super) is_watched: bool,
}

/// The row of a mailbox. Its numbers are JavaScript's.
#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) head: String,
    pub(super) until: f64,
    pub(super) first_number: f64,
    pub(super) stamp_before: f64,
    pub(super) next_number: f64,
    pub(super) size: f64,
    pub(super) acknowledged: f64,
    pub(super) holder: Option<String>,
    pub(super) ended: Option<String>,
    pub(super) handle: Option<String>,
    pub(super) record: Option<String>,
    pub(super) ends_at: Option<f64>,
    pub(super) judge_at: Option<f64>,
    pub(super) unjudged_since: Option<f64>,
    pub(super) is_watched: Option<f64>,
    pub(super) alarm_at: Option<f64>,
    pub(super) has_accepted: f64,
    pub(super) sent_bytes: f64,
}

/// A number that was written as one of at most 53 bits.
pub(super) fn number(number: f64) -> u64 {
    number as u64
}

pub(super) fn optional(moment: Option<f64>) -> Option<Timestamp> {
    moment.map(|moment| Timestamp::from_millis(number(moment)))
}

/// The stamp of a message, of 32 bits.
pub(super) fn stamp(stamp: f64) -> u32 {
    stamp as u32
}

impl TryFrom<Row> for Stored {
    type Error = MailboxError;

    fn try_from(row: Row) -> Result<Self, MailboxError> {
        let corrupt = || MailboxError::Store(StoreError::Corrupt);
        let holder = row.holder.map(|text| text.parse()).transpose();
        let ended = row
            .ended
            .map(|text| EndReason::from_name(&text).ok_or_else(corrupt));
        let bound = match (row.handle, row.record) {
            (Some(handle), Some(record)) => Some(Bound {
                handle,
                record,
                ends_at: optional(row.ends_at).ok_or_else(corrupt)?,
                judge_at: optional(row.judge_at).ok_or_else(corrupt)?,
                unjudged_since: optional(row.unjudged_since),
                is_watched: row.is_watched.unwrap_or_default() > 0.0,
            }),
            _ => None,
        };
        Ok(Self {
            name: row.name.parse().map_err(|_| corrupt())?,
            head: row.head.into(),
            until: Timestamp::from_millis(number(row.until)),
            state: State {
                first: number(row.first_number),
                before: stamp(row.stamp_before),
                next: number(row.next_number),
                bytes: number(row.size),
                acknowledged: number(row.acknowledged),
                holder: holder.map_err(|_| corrupt())?,
                ended: ended.transpose()?,
            },
            bound,
            alarm_at: optional(row.alarm_at),
            has_accepted: row.has_accepted > 0.0,
            sent_bytes: number(row.sent_bytes),
        })
    }
}
