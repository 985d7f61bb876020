//! The index of an owner: a sorted set, scored by the `ends_at` of the records.
//!
//! It is another key than the record, perhaps on another server, and no operation is atomic over both.
//! So an entry is created before its record is written, and removed after the record is gone.
//! Each entry has a unique tag, and a record names the tag of its entry: an entry that its record does not name is ignored, and
//! removing an entry never removes another.

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
    /// The cursor of the page after this entry. It omits the key, which the holder of a cursor need not know.
    pub(super) fn cursor(&self) -> String {
        format!("{}:{}", self.score, self.tag)
    }

    /// Whether it may be removed if no record names it: the call that created it has ended.
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

/// The position of a walk: behind the entry with this score and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    score: u64,
    tag: Tag,
}

impl Place {
    /// Reads a cursor; `None`: at the start.
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
    /// The key of the index, with the prefix.
    pub(super) name: String,
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
}

impl Index<'_> {
    /// Creates an entry, or extends its life.
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

    /// Removes entries. A failure is not an error, because an index may list too much.
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

    /// Reads at most `limit` entries after a position.
    pub(super) async fn page(&self, place: Option<Place>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let mut call = Call::new(&PAGE, self.name.clone())
            .arg(millis(self.now))
            .arg(limit);
        if let Some(Place { score, tag }) = place {
            // `;` is the character after `:`, so this is behind every member with the tag.
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
