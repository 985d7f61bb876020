//! One record: a string with the head and the unchanged text.

use std::sync::Arc;

use redis::{Cmd, Value, cmd};
use tokio::time::Instant;

use super::digits::millis;
use super::head::{HEAD_BYTES, Head, HeadFormat};
use super::index::Listed;
use super::link::{Effect, Link};
use super::scripts::{Call, DELETE, IMPORT, INSERT, REPLACE, Script, TOUCH};
use super::tag::Tag;
use crate::{Entry, Expected, Placement, Row, SWEEP_GRACE, StoreError};
use tessera_contract::Timestamp;

/// The maximum length of a value in a list: a page of 100 rows is about 1.7 MB.
const ROW_VALUE_BYTES: usize = 16 * 1024;
/// The length of a record that a list reads: a longer record has a longer value.
const ROW_BYTES: usize = HEAD_BYTES + ROW_VALUE_BYTES;

/// A record under its key.
pub(super) struct Record<'a> {
    pub(super) link: &'a Link,
    /// The key with the prefix.
    pub(super) name: String,
    /// The format of its writes.
    pub(super) format: HeadFormat,
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
}

/// The content of a written record.
pub(super) struct Text<'a> {
    pub(super) value: &'a str,
    pub(super) version: u64,
    pub(super) at: &'a Placement,
}

/// The index entry that lists a written record.
pub(super) enum Listing {
    /// The same entry as before, or still none.
    Kept,
    /// The entry that the caller named, if any.
    Moved {
        /// The previous owner and entry.
        until_now: Option<(String, Tag)>,
    },
}

/// The result of a replacement.
pub(super) enum Replaced {
    Done(Listing),
    /// The caller first has to renew this entry of the index, or to create one if it is `None`.
    Unlisted(Option<Tag>),
}

/// The result of a deletion.
pub(super) enum Deleted {
    /// There is no record, or an expired one that does not meet the condition.
    Missing,
    /// A live record does not meet the condition.
    Stale,
    /// The record is gone.
    Removed {
        was_live: bool,
        /// The owner and the entry that listed it.
        listed: Option<(String, Tag)>,
    },
}

/// A record as an entry of its owner's list.
pub(super) enum Seen {
    /// The record does not exist, or does not name this entry.
    Gone,
    Expired,
    Live(Row),
}

/// The part of a record that a list reads.
pub(super) struct Beginning(Vec<u8>);

impl Beginning {
    /// The head, and the text unless it is too long for a list.
    pub(super) fn read(&self) -> Result<(Head<'_>, Option<Arc<str>>), StoreError> {
        let (head, text) = Head::read(&self.0)?;
        let is_whole = self.0.len() <= ROW_BYTES && text.len() <= ROW_VALUE_BYTES;
        let value = match is_whole {
            true => Some(Arc::from(utf8(text)?)),
            false => None,
        };
        Ok((head, value))
    }
}

/// The answer of a script: a state, and up to two texts.
type Answer = (String, Option<String>, Option<String>);

impl Record<'_> {
    pub(super) async fn get(&self) -> Result<Entry, StoreError> {
        let record = self.bytes().await?.ok_or(StoreError::Missing)?;
        let (head, text) = Head::read(&record)?;
        if head.expires_at <= self.now {
            return Err(StoreError::Missing);
        }
        Ok(Entry {
            value: Arc::from(utf8(text)?),
            version: head.version,
            guard: head.guard,
            expires_at: head.expires_at,
        })
    }

    async fn bytes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = Cmd::with_capacity(2, 3 + self.name.len());
        command.arg("GET").arg(&self.name);
        match self.link.ask(&command, Effect::Repeatable, self.deadline).await? {
            Value::BulkString(bytes) => Ok(Some(bytes)),
            Value::Nil => Ok(None),
            _ => Err(StoreError::Corrupt),
        }
    }

    /// The part of the record that a list reads; `None` if there is no record.
    pub(super) async fn beginning(&self) -> Result<Option<Beginning>, StoreError> {
        let mut command = cmd("GETRANGE");
        // The last byte is one more than the longest record that is read whole.
        command.arg(&self.name).arg(0).arg(ROW_BYTES);
        match self.link.ask(&command, Effect::Repeatable, self.deadline).await? {
            // There is no record, or an empty string, which is not a valid one.
            Value::BulkString(bytes) if bytes.is_empty() => Ok(self.bytes().await?.map(Beginning)),
            Value::BulkString(bytes) => Ok(Some(Beginning(bytes))),
            _ => Err(StoreError::Corrupt),
        }
    }

    pub(super) async fn insert(&self, text: &Text<'_>, listed: Option<Tag>) -> Result<Listing, StoreError> {
        let answer = self.states(&self.write(&INSERT, text, self.now, listed)).await?;
        match answer.0.as_str() {
            "stale" => Err(StoreError::Stale),
            _ => written(answer),
        }
    }

    /// As [`Self::insert`], with another store's version and moments, and also over the version `over`.
    pub(super) async fn import(
        &self,
        text: &Text<'_>,
        touched_at: Timestamp,
        over: u64,
        listed: Option<Tag>,
    ) -> Result<Listing, StoreError> {
        let call = self.write(&IMPORT, text, touched_at, listed).arg(bits(over));
        let answer = self.states(&call).await?;
        match answer.0.as_str() {
            "stale" => Err(StoreError::Stale),
            _ => written(answer),
        }
    }

    pub(super) async fn replace(
        &self,
        text: &Text<'_>,
        expected: Expected,
        listed: Option<Tag>,
    ) -> Result<Replaced, StoreError> {
        let call = self.write(&REPLACE, text, self.now, listed);
        let call = match expected {
            Expected::Version(version) => call.arg(bits(version)),
            Expected::Guard(guard) => call.arg("").arg(bits(guard)),
        };
        let answer = self.states(&call).await?;
        match answer.0.as_str() {
            "missing" => Err(StoreError::Missing),
            "stale" => Err(StoreError::Stale),
            "unlisted" => Ok(Replaced::Unlisted(answer.1.as_deref().and_then(Tag::parse))),
            _ => written(answer).map(Replaced::Done),
        }
    }

    /// A call of a writing script, with the arguments that all writing scripts take: the record in pieces.
    /// A guard or a tag that the script fills in is empty.
    fn write(
        &self,
        script: &'static Script,
        text: &Text<'_>,
        touched_at: Timestamp,
        listed: Option<Tag>,
    ) -> Call {
        let Text { value, version, at } = text;
        let expires_at = at.expires_at.min(at.ends_at);
        let tag = match (&at.owner, listed) {
            (Some(_), tag) => tag.map(|tag| tag.to_string()).unwrap_or_default(),
            (None, _) => Tag::NONE.to_string(),
        };
        let owner = at.owner.as_deref().unwrap_or_default();
        Call::new(script, self.name.clone())
            .arg(format!("{} {}", self.format.number(), bits(*version)))
            .arg(at.guard.map(bits).unwrap_or_default())
            .arg(format!(
                "{} {} {}",
                moment(at.ends_at),
                moment(expires_at),
                moment(touched_at)
            ))
            .arg(tag)
            .arg(format!("{:03} {owner}\n{value}", owner.len()))
            .arg(self.life(expires_at))
            .arg(moment(self.now))
    }

    /// The time to live of the key, in milliseconds: until an hour after the record's expiry.
    fn life(&self, expires_at: Timestamp) -> u64 {
        millis(expires_at).saturating_sub(millis(self.now)) + tessera_contract::millis(SWEEP_GRACE)
    }

    pub(super) async fn touch(&self, expires_at: Timestamp) -> Result<(), StoreError> {
        let call = Call::new(&TOUCH, self.name.clone())
            .arg(moment(self.now))
            .arg(moment(expires_at))
            .arg(self.life(expires_at));
        let state: String = self.link.run(&call, Effect::Repeatable, self.deadline).await?;
        match state.as_str() {
            "done" => Ok(()),
            "missing" => Err(StoreError::Missing),
            _ => Err(StoreError::Corrupt),
        }
    }

    /// Removes the record if it has the named guard and owner; `None` matches any.
    pub(super) async fn delete(
        &self,
        guard: Option<u64>,
        owner: Option<&str>,
    ) -> Result<Deleted, StoreError> {
        let call = Call::new(&DELETE, self.name.clone())
            .arg(moment(self.now))
            .arg(guard.map(bits).unwrap_or_default());
        let call = match owner {
            Some(owner) => call.arg(owner),
            None => call,
        };
        let (state, owner, listed) = self.states(&call).await?;
        let was_live = match state.as_str() {
            "missing" => return Ok(Deleted::Missing),
            "stale" => return Ok(Deleted::Stale),
            "removed" => true,
            "expired" => false,
            _ => return Err(StoreError::Corrupt),
        };
        let listed = entry(owner, listed);
        Ok(Deleted::Removed { was_live, listed })
    }

    pub(super) async fn row(&self, owner: &str, entry: &Listed) -> Result<Seen, StoreError> {
        let Some(beginning) = self.beginning().await? else {
            return Ok(Seen::Gone);
        };
        let (head, value) = beginning.read()?;
        if head.listed != Some((owner, entry.tag)) {
            return Ok(Seen::Gone);
        }
        if head.expires_at <= self.now {
            return Ok(Seen::Expired);
        }
        Ok(Seen::Live(Row {
            key: entry.key.clone(),
            version: head.version,
            guard: head.guard,
            touched_at: head.touched_at,
            expires_at: head.expires_at,
            value,
        }))
    }

    /// Runs a script that must not run twice, and returns its state with the texts that follow.
    async fn states(&self, call: &Call) -> Result<Answer, StoreError> {
        let answer: Value = self.link.run(call, Effect::Once, self.deadline).await?;
        let mut texts = match answer {
            Value::Array(values) => values.into_iter(),
            state => vec![state].into_iter(),
        };
        let mut next = || match texts.next() {
            Some(Value::BulkString(text)) => String::from_utf8(text).map(Some),
            _ => Ok(None),
        };
        let mut read = || next().map_err(|_| StoreError::Corrupt);
        let state = read()?.ok_or(StoreError::Corrupt)?;
        Ok((state, read()?, read()?))
    }
}

fn written((state, owner, tag): Answer) -> Result<Listing, StoreError> {
    match state.as_str() {
        "kept" => Ok(Listing::Kept),
        "moved" => Ok(Listing::Moved {
            until_now: entry(owner, tag),
        }),
        _ => Err(StoreError::Corrupt),
    }
}

fn entry(owner: Option<String>, listed: Option<String>) -> Option<(String, Tag)> {
    Some((owner?, Tag::parse(&listed?)?))
}

fn utf8(text: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(text).map_err(|_| StoreError::Corrupt)
}

/// A version or a guard as it is stored.
fn bits(number: u64) -> String {
    format!("{number:016x}")
}

/// A moment as it is stored.
fn moment(moment: Timestamp) -> String {
    format!("{:016}", millis(moment))
}
