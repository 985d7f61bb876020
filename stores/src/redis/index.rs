//! The owner's index: a sorted set for each owner, scored by when a record ends however often it is touched.
//!
//! It is another key than the record, on another server perhaps, and nothing is done to both at once. So an entry is made
//! before the record is written, and taken away after the record is gone. Each entry has a tag that no other ever has, and
//! a record says by which tag it is listed: an entry that the record does not name counts for nothing, and whoever
//! takes an entry away takes away no other.

use redis::cmd;
use tokio::time::Instant;

use super::digits::{millis, number};
use super::link::{Effect, Link};
use super::scripts::{Call, ENTER, PAGE};
use super::tag::Tag;
use crate::StoreError;
use tessera_contract::Timestamp;

/// An entry of an owner's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) tag: Tag,
    pub(super) key: String,
    score: u64,
}

impl Listed {
    /// Where a walk goes on behind this entry. Without the key, which a cursor's holder need not know.
    pub(super) fn cursor(&self) -> String {
        format!("{}:{}", self.score, self.tag)
    }

    /// Whether it may be taken away although nothing tells that its record was removed.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        self.tag.is_settled(now)
    }

    fn parse(member: &str, score: &str) -> Option<Self> {
        let (tag, key) = member.split_once(':')?;
        Some(Self {
            tag: Tag::parse(tag)?,
            key: key.to_owned(),
            score: number(score)?,
        })
    }
}

/// Where a walk goes on: behind the entry with this score and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    score: u64,
    tag: Tag,
}

impl Place {
    /// `None`: at the start.
    pub(super) fn parse(cursor: &str) -> Result<Option<Self>, StoreError> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let place = cursor.split_once(':').and_then(|(score, tag)| {
            Some(Self {
                score: number(score)?,
                tag: Tag::parse(tag)?,
            })
        });
        place.map(Some).ok_or(StoreError::MalformedCursor)
    }
}

/// The index of one owner.
pub(super) struct Index<'a> {
    pub(super) link: &'a Link,
    /// Its key.
    pub(super) name: String,
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
}

impl Index<'_> {
    /// Makes an entry, or sees to it that one stays long enough.
    pub(super) async fn enter(&self, tag: Tag, key: &str, ends_at: Timestamp) -> Result<(), StoreError> {
        let call = Call::new(&ENTER, self.name.clone())
            .arg(millis(self.now))
            .arg(millis(ends_at))
            .arg(member(tag, key));
        self.link
            .run::<i64>(&call, Effect::Repeatable, self.deadline)
            .await
            .map(|_| ())
    }

    /// Takes entries away. One that stays all the same lists too much, which is allowed: no error.
    pub(super) async fn leave<'k>(&self, entries: impl IntoIterator<Item = (Tag, &'k str)>) {
        let members: Vec<String> = entries.into_iter().map(|(tag, key)| member(tag, key)).collect();
        if members.is_empty() {
            return;
        }
        let mut command = cmd("ZREM");
        command.arg(&self.name).arg(members);
        let left = self
            .link
            .ask::<i64>(&command, Effect::Repeatable, self.deadline)
            .await;
        if let Err(error) = left {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "an entry stays in an owner's index until it is trimmed"
            );
        }
    }

    /// At most `limit` entries behind a place.
    pub(super) async fn page(&self, place: Option<Place>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let mut call = Call::new(&PAGE, self.name.clone())
            .arg(millis(self.now))
            .arg(limit);
        if let Some(Place { score, tag }) = place {
            // The character behind the colon: behind this tag with any key.
            call = call.arg(score).arg(format!("{tag};"));
        }
        let answer: Vec<String> = self.link.run(&call, Effect::Repeatable, self.deadline).await?;
        answer
            .chunks(2)
            .map(|pair| match pair {
                [member, score] => Listed::parse(member, score).ok_or(StoreError::Corrupt),
                _ => Err(StoreError::Corrupt),
            })
            .collect()
    }
}

fn member(tag: Tag, key: &str) -> String {
    format!("{tag}:{key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SWEEP_GRACE;

    #[test]
    fn a_cursor_names_no_key_and_is_read_as_it_was_written() {
        let tag = Tag::parse("0000000000000001-000000000000f00d").unwrap();
        let listed = Listed::parse(&member(tag, "a:key"), "17").expect("an entry");
        assert_eq!(
            (listed.key.as_str(), listed.score, listed.tag),
            ("a:key", 17, tag)
        );
        let cursor = listed.cursor();
        assert_eq!(cursor, "17:0000000000000001-000000000000f00d");
        let place = Place::parse(&cursor).expect("a cursor");
        assert_eq!(place, Some(Place { score: 17, tag }));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for cursor in [
            ":",
            "1:",
            "1:1-f00d",
            "1:1-000000000000f00d",
            "1:0000000000000001-f00d",
            "+1:0000000000000001-000000000000f00d",
            "1:+000000000000001-000000000000f00d",
            "1:9007199254740992-000000000000f00d",
            "1:0000000000000001-000000000000F00D",
            "1:0000000000000001-000000000000f00d;",
            "-inf:0000000000000001-000000000000f00d",
            " 1:0000000000000001-000000000000f00d",
        ] {
            assert!(
                matches!(Place::parse(cursor), Err(StoreError::MalformedCursor)),
                "{cursor}"
            );
        }
    }

    #[test]
    fn an_entry_is_settled_an_hour_after_it_was_made() {
        let made = Timestamp::from_millis(1_000_000);
        let tag = Tag::new(made).expect("random bits");
        let hour = SWEEP_GRACE.as_millis() as u64;
        assert!(!tag.is_settled(Timestamp::from_millis(1_000_000 + hour - 1)));
        assert!(tag.is_settled(Timestamp::from_millis(1_000_000 + hour)));
    }
}
