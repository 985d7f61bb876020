//! The messages of a mailbox in its object.

use serde::Deserialize;
use tessera_connections::{
    Admission, Batch, Bounds, Entry, Holder, Limit, MailboxError, Message, MessageId, SendKey, State,
};
use tessera_contract::Timestamp;

use super::rows::{Rows, failed, text, written};
use super::stored::{number, stamp};
use crate::store::StoreError;

#[derive(Deserialize)]
struct Evicted {
    stamp: f64,
    size: f64,
}

#[derive(Deserialize)]
struct Placed {
    number: f64,
    stamp: f64,
}

#[derive(Deserialize)]
struct Read {
    number: f64,
    stamp: f64,
    event: Option<String>,
    data: String,
    size: f64,
}

impl Rows {
    fn evict(&self, state: &mut State) -> Result<(), MailboxError> {
        let oldest: Vec<Evicted> = self.select(
            "DELETE FROM messages WHERE number = ? RETURNING stamp, size",
            vec![written(state.first)],
        )?;
        let oldest = oldest.first().ok_or(StoreError::Corrupt)?;
        state.evicted(stamp(oldest.stamp), oldest.size as usize);
        Ok(())
    }

    /// The message with a sender's key, among those that are searched for it.
    fn with_key(&self, state: &State, key: &SendKey) -> Result<Option<MessageId>, MailboxError> {
        let found: Vec<Placed> = self.select(
            "SELECT number, stamp FROM messages WHERE number >= ? AND send_key = ? ORDER BY number DESC LIMIT 1",
            vec![written(state.keyed_from()), key.as_str().into()],
        )?;
        Ok(found.first().map(|found| MessageId {
            number: number(found.number),
            stamp: stamp(found.stamp),
        }))
    }

    /// Appends a message. Returns its id, and whether it is new.
    pub(super) fn append(
        &self,
        now: Timestamp,
        message: &Message,
        key: Option<&SendKey>,
        drawn: u32,
        bounds: &Bounds,
    ) -> Result<(MessageId, bool), MailboxError> {
        let bytes = bounds.size(message, key)?;
        let mut stored = self.live(now)?;
        if let Some(key) = key
            && let Some(known) = self.with_key(&stored.state, key)?
        {
            return Ok((known, false));
        }
        stored.state.check_open()?;
        let number = loop {
            match stored.state.admit(bytes, bounds) {
                Ok(Admission::Evict) => self.evict(&mut stored.state)?,
                Ok(Admission::Store(number)) => break number,
                Err(error) => {
                    // Messages may have been evicted, and the rule of a full mailbox may have ended it.
                    self.save(&stored)?;
                    return Err(error);
                }
            }
        };
        stored.state.stored(bytes);
        let values = vec![
            written(number),
            written(u64::from(drawn)),
            text(key.map(SendKey::as_str)),
            text(message.event()),
            message.data().into(),
            written(bytes as u64),
        ];
        self.exec(
            "INSERT INTO messages (number, stamp, send_key, event, data, size) VALUES (?, ?, ?, ?, ?, ?)",
            values,
        )?;
        self.save(&stored)?;
        let stamp = drawn;
        Ok((MessageId { number, stamp }, true))
    }

    pub(super) fn read(&self, now: Timestamp, after: MessageId, limit: Limit) -> Result<Batch, MailboxError> {
        let state = self.live(now)?.state;
        let (from, is_known) = state.place(after, self.stamp_of(after.number)?);
        let rows = self.sql.exec(
            "SELECT number, stamp, event, data, size FROM messages WHERE number >= ? ORDER BY number LIMIT ?",
            Some(vec![written(from), written(u64::from(limit.messages.max(1)))]),
        );
        let rows = rows.map_err(|error| failed(&error))?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        // One after the other, because all messages of the limit may be far more than its bytes.
        for row in rows.next::<Read>() {
            let row = row.map_err(|error| failed(&error))?;
            bytes += row.size as usize;
            if !limit.admits(entries.len(), bytes) {
                break;
            }
            let message = Message::new(row.event.as_deref(), &row.data).map_err(|_| StoreError::Corrupt)?;
            let id = MessageId {
                number: number(row.number),
                stamp: stamp(row.stamp),
            };
            entries.push(Entry { id, message });
        }
        Ok(Batch {
            from: if is_known { after } else { state.beginning() },
            is_gap: !is_known,
            is_last: from + entries.len() as u64 == state.next,
            entries,
            holder: state.holder,
            ended: state.ended,
        })
    }

    /// The stamp of the message with this number.
    fn stamp_of(&self, number: u64) -> Result<Option<u32>, MailboxError> {
        let found: Vec<Placed> = self.select(
            "SELECT number, stamp FROM messages WHERE number = ?",
            vec![written(number)],
        )?;
        Ok(found.first().map(|found| stamp(found.stamp)))
    }

    /// The place of the last message that the client has been sent.
    pub(super) fn sent(&self, state: &State) -> Result<MessageId, MailboxError> {
        let number = state.acknowledged;
        let stamp = self.stamp_of(number)?;
        Ok(stamp.map_or_else(|| state.beginning(), |stamp| MessageId { number, stamp }))
    }

    pub(super) fn acknowledge(
        &self,
        now: Timestamp,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        self.acknowledge_sent(now, holder, through, replay, 0).map(drop)
    }

    /// The same for what the holder's socket was sent in frames of this size. Returns the size of all that it was sent.
    pub(super) fn acknowledge_sent(
        &self,
        now: Timestamp,
        holder: Holder,
        through: MessageId,
        replay: u32,
        bytes: u64,
    ) -> Result<u64, MailboxError> {
        let mut stored = self.live(now)?;
        if stored.state.holder != Some(holder) {
            return Ok(0);
        }
        if stored.state.place(through, self.stamp_of(through.number)?).1 {
            for _ in 0..stored.state.acknowledge(through.number, replay) {
                self.evict(&mut stored.state)?;
            }
        }
        stored.sent_bytes += bytes;
        self.save(&stored)?;
        Ok(stored.sent_bytes)
    }
}
