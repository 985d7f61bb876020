//! One mailbox in a transaction: its state in `box`, its messages in `mail`.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};
use tessera_connections::{
    Admission, Batch, Bounds, EndReason, Entry, Holder, Limit, MailboxError, Message, MessageId, Name,
    SendKey, State, Walked,
};
use tessera_contract::Timestamp;

use super::super::error::not_done;
use crate::StoreError;

const STATE: &str = "\
SELECT first, before, next, bytes, acknowledged, holder, ended, until, head FROM box WHERE name = ?1 AND until > ?2";
/// The size of a message in a mailbox; `Message::bytes`.
const BYTES: &str = "length(CAST(coalesce(key, '') || coalesce(event, '') || data AS BLOB))";

/// A mailbox in a transaction.
pub(super) struct Open<'a> {
    transaction: &'a Transaction<'a>,
    name: &'a str,
    pub(super) state: State,
    pub(super) until: Timestamp,
    pub(super) head: Arc<str>,
}

impl<'a> Open<'a> {
    pub(super) fn find(
        transaction: &'a Transaction<'a>,
        now: Timestamp,
        name: &'a Name,
    ) -> Result<Self, MailboxError> {
        let mut statement = transaction.prepare_cached(STATE).map_err(not_done)?;
        let found = statement.query_row(params![name.as_str(), millis(now)], |row| {
            let state = State {
                first: number(row, 0)?,
                before: row.get(1)?,
                next: number(row, 2)?,
                bytes: number(row, 3)?,
                acknowledged: number(row, 4)?,
                holder: None,
                ended: None,
            };
            let texts: (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
            Ok((state, texts, number(row, 7)?, row.get::<_, String>(8)?))
        });
        let found = found.optional().map_err(not_done)?;
        let (mut state, (holder, ended), until, head) = found.ok_or(MailboxError::Missing)?;
        (state.holder, state.ended) = (read_holder(holder)?, read_ended(ended)?);
        Ok(Self {
            transaction,
            name: name.as_str(),
            state,
            until: Timestamp::from_millis(until),
            head: head.into(),
        })
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        let mut statement = self.transaction.prepare_cached(sql).map_err(not_done)?;
        statement.execute(parameters).map_err(not_done)
    }

    pub(super) fn save(&self) -> Result<(), StoreError> {
        let state = &self.state;
        self.execute(
            "UPDATE box SET first = ?2, before = ?3, next = ?4, bytes = ?5, acknowledged = ?6, holder = ?7, ended = ?8, \
             until = ?9 WHERE name = ?1",
            params![
                self.name,
                state.first.cast_signed(),
                state.before,
                state.next.cast_signed(),
                state.bytes.cast_signed(),
                state.acknowledged.cast_signed(),
                state.holder.map(|holder| holder.to_string()),
                state.ended.map(EndReason::as_str),
                millis(self.until),
            ],
        )?;
        Ok(())
    }

    /// Evicts the oldest message.
    pub(super) fn evict(&mut self) -> Result<(), StoreError> {
        let sql = format!("DELETE FROM mail WHERE box = ?1 AND number = ?2 RETURNING stamp, {BYTES}");
        let mut statement = self.transaction.prepare_cached(&sql).map_err(not_done)?;
        let oldest = params![self.name, self.state.first.cast_signed()];
        let (stamp, bytes): (u32, usize) = statement
            .query_row(oldest, |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))
            .optional()
            .map_err(not_done)?
            .ok_or(StoreError::Corrupt)?;
        self.state.evicted(stamp, bytes);
        Ok(())
    }

    pub(super) fn stamp_of(&self, number: u64) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT stamp FROM mail WHERE box = ?1 AND number = ?2";
        let mut statement = self.transaction.prepare_cached(sql).map_err(not_done)?;
        let found = statement.query_row(params![self.name, number.cast_signed()], |row| row.get(0));
        found.optional().map_err(not_done)
    }

    fn find_key(&self, key: &SendKey) -> Result<Option<MessageId>, StoreError> {
        let sql = "SELECT number, stamp FROM mail WHERE box = ?1 AND number >= ?2 AND key = ?3 ORDER BY number DESC LIMIT 1";
        let mut statement = self.transaction.prepare_cached(sql).map_err(not_done)?;
        let keyed = params![self.name, self.state.keyed_from().cast_signed(), key.as_str()];
        let found = statement.query_row(keyed, |row| {
            Ok(MessageId {
                number: number(row, 0)?,
                stamp: row.get(1)?,
            })
        });
        found.optional().map_err(not_done)
    }

    pub(super) fn append(
        &mut self,
        message: &Message,
        key: Option<&SendKey>,
        stamp: u32,
        bounds: &Bounds,
        bytes: usize,
    ) -> Result<MessageId, MailboxError> {
        if let Some(key) = key
            && let Some(known) = self.find_key(key)?
        {
            return Ok(known);
        }
        self.state.check_open()?;
        let number = loop {
            match self.state.admit(bytes, bounds)? {
                Admission::Evict => self.evict()?,
                Admission::Store(number) => break number,
            }
        };
        self.execute(
            "INSERT INTO mail (box, number, stamp, key, event, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.name,
                number.cast_signed(),
                stamp,
                key.map(SendKey::as_str),
                message.event(),
                message.data()
            ],
        )?;
        self.state.stored(bytes);
        Ok(MessageId { number, stamp })
    }

    pub(super) fn read(&self, after: MessageId, limit: Limit) -> Result<Batch, MailboxError> {
        let (from, is_known) = self.state.place(after, self.stamp_of(after.number)?);
        let sql = "SELECT number, stamp, event, data, length(key) FROM mail WHERE box = ?1 AND number >= ?2 ORDER BY number LIMIT ?3";
        let mut statement = self.transaction.prepare_cached(sql).map_err(not_done)?;
        let wanted = params![self.name, from.cast_signed(), limit.messages.max(1)];
        let mut rows = statement.query(wanted).map_err(not_done)?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(not_done)? {
            let id = MessageId {
                number: number(row, 0).map_err(not_done)?,
                stamp: row.get(1).map_err(not_done)?,
            };
            let (event, data): (Option<String>, String) =
                (row.get(2).map_err(not_done)?, row.get(3).map_err(not_done)?);
            let message = Message::new(event.as_deref(), &data).map_err(|_| StoreError::Corrupt)?;
            let key_bytes: Option<i64> = row.get(4).map_err(not_done)?;
            bytes += message.bytes(None) + key_bytes.unwrap_or_default() as usize;
            if !limit.admits(entries.len(), bytes) {
                break;
            }
            entries.push(Entry { id, message });
        }
        Ok(Batch {
            from: if is_known { after } else { self.state.beginning() },
            is_gap: !is_known,
            is_last: from + entries.len() as u64 == self.state.next,
            entries,
            holder: self.state.holder,
            ended: self.state.ended,
        })
    }

    pub(super) fn walked(&self) -> Result<Walked, StoreError> {
        Ok(Walked {
            name: self.name.parse().map_err(|_| StoreError::Corrupt)?,
            head: Arc::clone(&self.head),
            holder: self.state.holder,
            ended: self.state.ended,
        })
    }
}

fn read_holder(text: Option<String>) -> Result<Option<Holder>, StoreError> {
    let read = |text: String| text.parse().map_err(|_| StoreError::Corrupt);
    text.map(read).transpose()
}

fn read_ended(text: Option<String>) -> Result<Option<EndReason>, StoreError> {
    let read = |text: String| EndReason::from_name(&text).ok_or(StoreError::Corrupt);
    text.map(read).transpose()
}

fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(super) fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}
