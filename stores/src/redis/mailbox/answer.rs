//! Reads the answers of the scripts and the stored state of a mailbox.

use std::sync::Arc;

use redis::Value;
use tessera_connections::{Batch, EndReason, Entry, Holder, MailboxError, Message, MessageId, Name, Walked};
use tessera_contract::Timestamp;

use crate::StoreError;

/// The holder in a state: `-` for none.
fn holder(text: &str) -> Result<Option<Holder>, StoreError> {
    match text {
        "-" => Ok(None),
        text => text.parse().map(Some).map_err(|_| StoreError::Corrupt),
    }
}

/// The end in a state: `-` for none.
fn ended(text: &str) -> Result<Option<EndReason>, StoreError> {
    match text {
        "-" => Ok(None),
        text => EndReason::from_name(text).map(Some).ok_or(StoreError::Corrupt),
    }
}

fn number(text: &str) -> Result<u64, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt)
}

/// 8 hexadecimal digits.
fn stamp(text: &str) -> Result<u32, StoreError> {
    u32::from_str_radix(text, 16).map_err(|_| StoreError::Corrupt)
}

/// The error of a script that has returned another state than `done`.
pub(super) fn refusal(state: &str) -> MailboxError {
    match state {
        "missing" => MailboxError::Missing,
        "ended" => MailboxError::Ended,
        "full" => MailboxError::Full,
        "taken" => MailboxError::Taken,
        _ => StoreError::Corrupt.into(),
    }
}

/// Reads a message: stamp, key, event and data.
fn message(number: u64, stored: &str) -> Result<Entry, StoreError> {
    let read = || {
        let (names, data) = stored.split_once('\n')?;
        let mut names = names.splitn(3, ' ');
        let (digits, _key, event) = (names.next()?, names.next()?, names.next()?);
        let event = Some(event).filter(|event| !event.is_empty());
        Some((stamp(digits).ok()?, Message::new(event, data).ok()?))
    };
    let (stamp, message) = read().ok_or(StoreError::Corrupt)?;
    Ok(Entry {
        id: MessageId { number, stamp },
        message,
    })
}

/// Writes a message from its key on.
pub(super) fn written(key: &str, message: &Message) -> String {
    let (event, data) = (message.event().unwrap_or_default(), message.data());
    format!("{key} {event}\n{data}")
}

/// Reads the reply of `read.lua`.
pub(super) fn batch(after: MessageId, reply: Value) -> Result<Batch, MailboxError> {
    let values = match reply {
        Value::Array(values) => values,
        Value::BulkString(state) => return Err(refusal(&String::from_utf8_lossy(&state))),
        _ => return Err(StoreError::Corrupt.into()),
    };
    let text = |value: Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| StoreError::Corrupt),
        _ => Err(StoreError::Corrupt),
    };
    let texts: Result<Vec<String>, StoreError> = values.into_iter().map(text).collect();
    let texts = texts?;
    let [first, before, held_by, end, from, is_known, next, messages @ ..] = &texts[..] else {
        return Err(StoreError::Corrupt.into());
    };
    let from = number(from)?;
    let entries: Result<Vec<Entry>, StoreError> = (from..)
        .zip(messages)
        .map(|(number, stored)| message(number, stored))
        .collect();
    let entries = entries?;
    let is_known = is_known == "1";
    let beginning = MessageId {
        number: number(first)?.checked_sub(1).ok_or(StoreError::Corrupt)?,
        stamp: stamp(before)?,
    };
    Ok(Batch {
        from: if is_known { after } else { beginning },
        is_gap: !is_known,
        is_last: from + entries.len() as u64 == number(next)?,
        entries,
        holder: holder(held_by)?,
        ended: ended(end)?,
    })
}

/// Reads the state of a mailbox; `None` if its time has passed.
pub(super) fn walked(now: Timestamp, name: &Name, state: &str) -> Result<Option<Walked>, StoreError> {
    let mut parts = state.splitn(9, ' ');
    let mut part = || parts.next().ok_or(StoreError::Corrupt);
    if part()? != "1" {
        return Err(StoreError::Corrupt);
    }
    let until = Timestamp::from_millis(number(part()?)?);
    for _ in 0..4 {
        part()?;
    }
    let (held_by, end, head) = (part()?, part()?, part()?);
    if until <= now {
        return Ok(None);
    }
    Ok(Some(Walked {
        name: name.clone(),
        head: Arc::from(head),
        holder: holder(held_by)?,
        ended: ended(end)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for (event, data) in [
            (None, ""),
            (Some("tick"), "a\n b\n"),
            (None, "ä ö"),
            (Some("-"), "-"),
        ] {
            let sent = Message::new(event, data).unwrap();
            let stored = format!("00c0ffee {}", written("key", &sent));
            let id = MessageId {
                number: 7,
                stamp: 0x00c0_ffee,
            };
            assert_eq!(message(7, &stored).unwrap(), Entry { id, message: sent });
        }
        for damaged in [
            "",
            "00c0ffee",
            "00c0ffee a b",
            "00c0ffee\n",
            "xyz  \n",
            "00c0ffee  a b\n",
        ] {
            assert!(
                matches!(message(7, damaged), Err(StoreError::Corrupt)),
                "{damaged}"
            );
        }
    }

    #[test]
    fn a_damaged_state_is_corrupt() {
        let name: Name = "a".parse().unwrap();
        let at = Timestamp::from_millis;
        let state = "1 90 1 00000000 0 0 0000000000000007.0000000000000008 closed {\"a\": 1}";
        let found = walked(at(89), &name, state).unwrap().unwrap();
        assert_eq!(
            (&*found.head, found.ended),
            ("{\"a\": 1}", Some(EndReason::Closed))
        );
        assert_eq!(
            found.holder,
            Some(Holder {
                node: 7,
                attachment: 8
            })
        );
        assert_eq!(walked(at(90), &name, state).unwrap(), None);
        for damaged in [
            "",
            "2 90 1 0 0 0 - - {}",
            "1 x 1 0 0 0 - - {}",
            "1 90 1 0 0 0 7 - {}",
            "1 90 1 0 0 0 - over {}",
            "1 90 1 0 0 0 - -",
        ] {
            assert!(
                matches!(walked(at(0), &name, damaged), Err(StoreError::Corrupt)),
                "{damaged}"
            );
        }
    }
}
