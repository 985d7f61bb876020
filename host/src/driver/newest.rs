//! The entry that a call is about, as far as this process knows it: under which key its writers wait for each other, and
//! with which entry the next of them begins.

use std::sync::Arc;

use super::answer::{Answer, Question};
use super::queue::Turn;
use crate::Timestamp;
use crate::store::{Entry, Expected, StoreError};

/// Which record a call read or wrote last, and the guard that it has.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) key: Arc<str>,
    guard: Option<u64>,
}

/// What the answer to a question says of a record.
enum Lesson {
    Read(Arc<str>),
    Written {
        key: Arc<str>,
        guard: Option<u64>,
        /// The record itself, where somebody waits for it.
        record: Option<(Arc<str>, Timestamp)>,
    },
}

/// How far the entry that the writers before have left was used.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Use {
    /// The store was not asked anything yet.
    #[default]
    Unused,
    /// The call knows that its version is outdated.
    Outdated,
    /// From here on the store answers.
    Used,
}

/// What one logical call knows of its record beside the answers it was given.
#[derive(Default)]
pub(crate) struct Newest {
    seen: Option<Seen>,
    /// The turn to write the record; none where the call goes on without.
    turn: Option<Turn>,
    used: Use,
    /// Of the question whose answer is due.
    lesson: Option<Lesson>,
}

impl Newest {
    pub(crate) fn new(seen: Option<Seen>, turn: Option<Turn>) -> Self {
        Self {
            seen,
            turn,
            ..Self::default()
        }
    }

    /// The record that the call is about.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// The turn, if it is for this record.
    fn turn(&mut self, key: &str) -> Option<&mut Turn> {
        self.turn.as_mut().filter(|turn| turn.is_for(key))
    }

    /// Answers a question in place of the store, where that is possible.
    ///
    /// Who waited begins with the entry that the one before wrote: what it holds itself is outdated for certain, and the
    /// store need not be asked to find that out. The write itself is conditional on that entry's version as ever.
    pub(crate) fn answer(&mut self, question: &Question, now: Timestamp) -> Option<Answer> {
        let used = std::mem::replace(&mut self.used, Use::Used);
        match (used, question) {
            (
                Use::Unused,
                Question::Replace {
                    key,
                    expected: Expected::Version(version),
                    ..
                },
            ) => {
                let last = self.turn(key)?.last.as_ref()?;
                if last.version == *version {
                    return None;
                }
                self.used = Use::Outdated;
                Some(Answer::Version(Err(StoreError::Stale)))
            }
            (Use::Outdated, Question::Get { key, fresh: true }) => {
                let last = self.turn(key)?.last.clone()?;
                if last.expires_at <= now {
                    return None;
                }
                self.seen = Some(Seen {
                    key: key.as_str().into(),
                    guard: Some(last.guard),
                });
                Some(Answer::Entry(Ok(last)))
            }
            _ => None,
        }
    }

    /// Notes a question that the store is asked.
    pub(crate) fn ask(&mut self, question: &Question) {
        self.lesson = match question {
            Question::Get { key, .. } => Some(Lesson::Read(key.as_str().into())),
            Question::Insert { key, value, at } | Question::Replace { key, value, at, .. } => {
                let is_awaited = self.turn(key).is_some_and(|turn| turn.is_awaited());
                // The guard that is there, where the write brings none.
                let kept = match (question, &self.seen) {
                    (Question::Insert { .. }, _) => Some(0),
                    (_, Some(seen)) if *seen.key == **key => seen.guard,
                    _ => None,
                };
                Some(Lesson::Written {
                    key: key.as_str().into(),
                    guard: at.guard.or(kept),
                    record: is_awaited.then(|| (value.as_str().into(), at.expires_at.min(at.ends_at))),
                })
            }
            // These change an entry, and do not say into what.
            Question::Touch { key, .. } | Question::Delete { key, .. } => {
                if let Some(turn) = self.turn(key) {
                    turn.last = None;
                }
                None
            }
            Question::GetMany { .. } | Question::DeleteMany { .. } | Question::ListOwned { .. } => None,
        };
    }

    /// Learns from the answer to the question noted last.
    pub(crate) fn learn(&mut self, answer: &Answer) {
        let (key, guard, last) = match (self.lesson.take(), answer) {
            (None, _) => return,
            (Some(Lesson::Read(key)), Answer::Entry(Ok(entry))) => {
                (key, Some(entry.guard), Some(entry.clone()))
            }
            (Some(Lesson::Written { key, guard, record }), Answer::Version(Ok(version))) => {
                let entry = |((value, expires_at), guard)| Entry {
                    value,
                    version: *version,
                    guard,
                    expires_at,
                };
                (key, guard, record.zip(guard).map(entry))
            }
            // Whatever is there now.
            (Some(Lesson::Read(key) | Lesson::Written { key, .. }), _) => {
                if let Some(turn) = self.turn(&key) {
                    turn.last = None;
                }
                return;
            }
        };
        if let Some(turn) = self.turn(&key) {
            turn.last = last;
        }
        self.seen = Some(Seen { key, guard });
    }
}
