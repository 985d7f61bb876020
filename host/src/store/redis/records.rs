//! One record: a hash with the text as it came and what is kept beside it.

use std::sync::Arc;

use redis::cmd;
use tokio::time::Instant;

use super::index::{Listed, Tag, millis, number};
use super::link::{Effect, Link};
use super::scripts::{Call, DELETE, IMPORT, INSERT, REPLACE, ROW, TOUCH};
use crate::store::{Entry, Placement, Row, StoreError};
use crate::time::Timestamp;

/// How many bytes of a value a list brings along: a page of 100 rows is at most 1.6 MB.
const ROW_VALUE_BYTES: usize = 16 * 1024;

/// A record under its key.
pub(super) struct Record<'a> {
    pub(super) link: &'a Link,
    /// The key with the prefix.
    pub(super) name: String,
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
}

/// What a write puts into the record.
pub(super) struct Text<'a> {
    pub(super) value: &'a str,
    pub(super) version: u64,
    pub(super) at: &'a Placement,
}

/// By which entries a record is and was listed.
pub(super) struct Moved {
    pub(super) now: Option<Tag>,
    pub(super) until_now: Option<(String, Tag)>,
}

/// What became of a replacement.
pub(super) enum Replaced {
    Done(Moved),
    /// The owner's index has to be seen to first: this entry renewed, or a new one made.
    Unlisted(Option<Tag>),
}

/// A record as its owner's list sees it.
pub(super) enum Seen {
    /// It is not there, or does not name this entry.
    Gone,
    Expired,
    Live(Row),
}

/// State, and up to three texts; those that a state does not have are missing or nil.
type Answer = (String, Option<String>, Option<String>, Option<String>);

impl Record<'_> {
    pub(super) async fn get(&self) -> Result<Entry, StoreError> {
        let mut command = cmd("HMGET");
        command
            .arg(&self.name)
            .arg(&["value", "version", "expires_at"][..]);
        type Fields = (Option<String>, Option<String>, Option<String>);
        let fields: Fields = self.link.ask(&command, Effect::Repeatable, self.deadline).await?;
        let (value, version, expires_at) = match fields {
            (None, None, None) => return Err(StoreError::Missing),
            (Some(value), Some(version), Some(expires_at)) => (value, version, expires_at),
            _ => return Err(StoreError::Corrupt),
        };
        let expires_at = moment(&expires_at)?;
        if expires_at <= self.now {
            return Err(StoreError::Missing);
        }
        Ok(Entry {
            value: Arc::from(value),
            version: number(&version).ok_or(StoreError::Corrupt)?,
            guard: 0,
            expires_at,
        })
    }

    /// Answers by which entry an expired record that was there is listed.
    pub(super) async fn insert(&self, text: &Text<'_>, listed: Option<Tag>) -> Result<Moved, StoreError> {
        let call = self.write(Call::new(&INSERT, self.name.clone()), text, 0, listed);
        let answer: Vec<Option<String>> = self.link.run(&call, Effect::Once, self.deadline).await?;
        match state(answer)? {
            (state, ..) if state == "stale" => Err(StoreError::Stale),
            answer => done(answer),
        }
    }

    /// As [`Self::insert`], with another store's version and moments; over the version `over`, too.
    pub(super) async fn import(
        &self,
        text: &Text<'_>,
        touched_at: Timestamp,
        over: u64,
        listed: Option<Tag>,
    ) -> Result<Moved, StoreError> {
        let call = Call::new(&IMPORT, self.name.clone())
            .arg(millis(self.now))
            .arg(text.value)
            .arg(text.version)
            .arg(millis(text.at.expires_at.min(text.at.ends_at)))
            .arg(millis(text.at.ends_at))
            .arg(over)
            .arg(millis(touched_at));
        let call = match (&text.at.owner, listed) {
            (Some(owner), Some(tag)) => call.arg(owner).arg(tag.to_string()),
            _ => call,
        };
        let answer: Vec<Option<String>> = self.link.run(&call, Effect::Once, self.deadline).await?;
        match state(answer)? {
            (state, ..) if state == "stale" => Err(StoreError::Stale),
            answer => done(answer),
        }
    }

    pub(super) async fn replace(
        &self,
        text: &Text<'_>,
        expected: u64,
        listed: Option<Tag>,
    ) -> Result<Replaced, StoreError> {
        let call = self.write(Call::new(&REPLACE, self.name.clone()), text, expected, listed);
        let answer: Vec<Option<String>> = self.link.run(&call, Effect::Once, self.deadline).await?;
        let answer = state(answer)?;
        match answer.0.as_str() {
            "missing" => Err(StoreError::Missing),
            "stale" => Err(StoreError::Stale),
            "unlisted" => Ok(Replaced::Unlisted(answer.1.as_deref().and_then(Tag::parse))),
            _ => done(answer).map(Replaced::Done),
        }
    }

    fn write(&self, call: Call, text: &Text<'_>, expected: u64, listed: Option<Tag>) -> Call {
        let Text { value, version, at } = text;
        let call = call
            .arg(millis(self.now))
            .arg(*value)
            .arg(*version)
            .arg(millis(at.expires_at.min(at.ends_at)))
            .arg(millis(at.ends_at))
            .arg(expected);
        let call = match &at.owner {
            Some(owner) => call.arg(owner),
            None => return call,
        };
        match listed {
            Some(tag) => call.arg(tag.to_string()),
            None => call,
        }
    }

    pub(super) async fn touch(&self, expires_at: Timestamp) -> Result<(), StoreError> {
        let call = Call::new(&TOUCH, self.name.clone())
            .arg(millis(self.now))
            .arg(millis(expires_at));
        match self
            .link
            .run::<i64>(&call, Effect::Repeatable, self.deadline)
            .await?
        {
            0 => Err(StoreError::Missing),
            _ => Ok(()),
        }
    }

    /// Answers whether a live record was there, and by which entry it was listed.
    pub(super) async fn delete(
        &self,
        owner: Option<&str>,
    ) -> Result<(bool, Option<(String, Tag)>), StoreError> {
        let call = Call::new(&DELETE, self.name.clone()).arg(millis(self.now));
        let call = match owner {
            Some(owner) => call.arg(owner),
            None => call,
        };
        type Removed = (i64, Option<String>, Option<String>);
        let (was_live, owner, listed): Removed = self.link.run(&call, Effect::Once, self.deadline).await?;
        Ok((was_live == 1, entry(owner, listed)))
    }

    pub(super) async fn row(&self, owner: &str, listed: &Listed) -> Result<Seen, StoreError> {
        let call = Call::new(&ROW, self.name.clone())
            .arg(millis(self.now))
            .arg(owner)
            .arg(listed.tag.to_string())
            .arg(ROW_VALUE_BYTES);
        let answer: Vec<Option<String>> = self.link.run(&call, Effect::Repeatable, self.deadline).await?;
        let mut answer = answer.into_iter();
        let mut next = || answer.next().flatten();
        match next().as_deref() {
            Some("gone") => Ok(Seen::Gone),
            Some("expired") => Ok(Seen::Expired),
            Some("live") => {
                let mut field = || next().ok_or(StoreError::Corrupt);
                let version = number(&field()?).ok_or(StoreError::Corrupt)?;
                let (touched_at, expires_at) = (moment(&field()?)?, moment(&field()?)?);
                Ok(Seen::Live(Row {
                    key: listed.key.clone(), guard: 0,
                    version,
                    touched_at,
                    expires_at,
                    value: next().map(Arc::from),
                }))
            }
            _ => Err(StoreError::Corrupt),
        }
    }
}

/// What a writing script answers, as long as it may be.
fn state(answer: Vec<Option<String>>) -> Result<Answer, StoreError> {
    let mut answer = answer.into_iter();
    let mut next = || answer.next().flatten();
    let state = next().ok_or(StoreError::Corrupt)?;
    Ok((state, next(), next(), next()))
}

fn done((state, now, owner, listed): Answer) -> Result<Moved, StoreError> {
    if state != "done" {
        return Err(StoreError::Corrupt);
    }
    Ok(Moved {
        now: now.as_deref().and_then(Tag::parse),
        until_now: entry(owner, listed),
    })
}

fn entry(owner: Option<String>, listed: Option<String>) -> Option<(String, Tag)> {
    Some((owner?, Tag::parse(&listed?)?))
}

pub(super) fn moment(text: &str) -> Result<Timestamp, StoreError> {
    number(text)
        .map(Timestamp::from_millis)
        .ok_or(StoreError::Corrupt)
}
