//! Conversions from the rows of mailboxes.

use std::sync::Arc;

use tessera_connections::{Batch, EndReason, Entry, Holder, Limit, Message, MessageId, Name, State, Walked};
use tessera_contract::Timestamp;

use super::super::rows::{check_is_of, moment, number};
use super::super::statement::Row;
use crate::StoreError;

/// The columns of a state: the name, then the numbers, the holder, the end and the expiry.
const NAME: usize = 0;
const FIRST: usize = 1;
const BEFORE: usize = 2;
const NEXT: usize = 3;
const SIZE: usize = 4;
const ACKNOWLEDGED: usize = 5;
const HOLDER: usize = 6;
const ENDED: usize = 7;
const UNTIL: usize = 8;
/// The columns of a message in `read`, after those of the state.
const IS_WATCHED: usize = 9;
const NUMBER: usize = 10;
const STAMP: usize = 11;
const EVENT: usize = 12;
const DATA: usize = 13;
const KEY_SIZE: usize = 14;

fn unsigned(row: &Row, column: usize) -> Result<u64, StoreError> {
    u64::try_from(number(row, column)?).map_err(|_| StoreError::Corrupt)
}

/// A stamp of 32 bits.
pub(super) fn stamp(row: &Row, column: usize) -> Result<u32, StoreError> {
    u32::try_from(number(row, column)?).map_err(|_| StoreError::Corrupt)
}

pub(super) fn id(row: &Row) -> Result<MessageId, StoreError> {
    Ok(MessageId {
        number: unsigned(row, 0)?,
        stamp: stamp(row, 1)?,
    })
}

/// The stamp and the size of a message that is evicted.
pub(super) fn evicted(row: &Row) -> Result<(u32, usize), StoreError> {
    let size = usize::try_from(number(row, 1)?).map_err(|_| StoreError::Corrupt)?;
    Ok((stamp(row, 0)?, size))
}

fn holder(row: &Row, column: usize) -> Result<Option<Holder>, StoreError> {
    let read = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    let bytes = row.bytes(column);
    bytes
        .map(|bytes| read(bytes).ok_or(StoreError::Corrupt))
        .transpose()
}

fn ended(row: &Row, column: usize) -> Result<Option<EndReason>, StoreError> {
    let read = |bytes: &[u8]| EndReason::from_name(std::str::from_utf8(bytes).ok()?);
    let bytes = row.bytes(column);
    bytes
        .map(|bytes| read(bytes).ok_or(StoreError::Corrupt))
        .transpose()
}

/// Reads the state of the mailbox of this name, and its expiry.
pub(super) fn state(row: &Row, name: &Name) -> Result<(State, Timestamp), StoreError> {
    check_is_of(row, NAME, name.as_str())?;
    let state = State {
        first: unsigned(row, FIRST)?,
        before: stamp(row, BEFORE)?,
        next: unsigned(row, NEXT)?,
        bytes: unsigned(row, SIZE)?,
        acknowledged: unsigned(row, ACKNOWLEDGED)?,
        holder: holder(row, HOLDER)?,
        ended: ended(row, ENDED)?,
    };
    Ok((state, moment(row, UNTIL)?))
}

pub(super) fn is_watched(row: &Row) -> Result<bool, StoreError> {
    Ok(number(row, IS_WATCHED)? > 0)
}

/// Reads the batch after a place from the answer to `read`. `None` if the place does not belong to the history and the rows do
/// not begin with the oldest message.
pub(super) fn batch(
    rows: &[Row],
    state: &State,
    after: MessageId,
    limit: Limit,
) -> Result<Option<Batch>, StoreError> {
    let messages = || rows.iter().filter(|row| row.number(NUMBER).is_some());
    let stamp_after = messages()
        .find(|row| row.number(NUMBER) == Some(after.number.cast_signed()))
        .map(|row| stamp(row, STAMP))
        .transpose()?;
    let (from, is_known) = state.place(after, stamp_after);
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for row in messages() {
        let number = unsigned(row, NUMBER)?;
        if number < from {
            continue;
        }
        if number != from + entries.len() as u64 {
            // The rows begin later.
            return Ok(None);
        }
        let event = row.bytes(EVENT).map(|event| std::str::from_utf8(event));
        let event = event.transpose().map_err(|_| StoreError::Corrupt)?;
        let message = Message::new(event, row.text(DATA).ok_or(StoreError::Corrupt)?);
        let message = message.map_err(|_| StoreError::Corrupt)?;
        bytes += message.bytes(None) + usize::try_from(row.number(KEY_SIZE).unwrap_or(0)).unwrap_or(0);
        if !limit.admits(entries.len(), bytes) {
            break;
        }
        let stamp = stamp(row, STAMP)?;
        entries.push(Entry {
            id: MessageId { number, stamp },
            message,
        });
    }
    if entries.is_empty() && from < state.next {
        return Ok(None);
    }
    Ok(Some(Batch {
        from: if is_known { after } else { state.beginning() },
        is_gap: !is_known,
        is_last: from + entries.len() as u64 == state.next,
        entries,
        holder: state.holder,
        ended: state.ended,
    }))
}

/// Reads a row of `look` or `walk`.
pub(super) fn walked(row: &Row) -> Result<Walked, StoreError> {
    Ok(Walked {
        name: name(row)?,
        head: Arc::from(row.text(1).ok_or(StoreError::Corrupt)?),
        holder: holder(row, 2)?,
        ended: ended(row, 3)?,
    })
}

/// Reads the name in the first column.
pub(super) fn name(row: &Row) -> Result<Name, StoreError> {
    let name = row.text(0).ok_or(StoreError::Corrupt)?;
    name.parse().map_err(|_| StoreError::Corrupt)
}
