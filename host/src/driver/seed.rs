//! The entry that a session's calls have read or written last: it answers the first question of the next call.

use std::sync::Arc;

use super::answer::{Answer, Question};
use super::queue::Turn;
use crate::Timestamp;
use crate::store::{Entry, Expected};

/// The most entries that one call notes: a session that has moved lies at the end of a dozen.
const MOST: usize = 16;

/// An entry and its key.
#[derive(Clone)]
pub(crate) struct Seed {
    pub(crate) key: Arc<str>,
    pub(crate) entry: Entry,
}

impl Seed {
    /// The answer to a question, where it is the one for this entry, and the entry is alive.
    pub(crate) fn answer(&self, question: &Question, now: Timestamp) -> Option<Answer> {
        match question {
            Question::Get { key, fresh: false } if *key == self.key && self.entry.expires_at > now => {
                Some(Answer::Entry(Ok(self.entry.clone())))
            }
            _ => None,
        }
    }
}

/// What one logical call has read and written.
#[derive(Default)]
pub(crate) struct Seen {
    entries: Vec<Seed>,
    /// The turn to write the session's record; none where the call goes on without.
    turn: Option<Turn>,
}

impl Seen {
    pub(crate) fn new(turn: Option<Turn>) -> Self {
        Self {
            turn,
            ..Self::default()
        }
    }

    /// The entry of a key, as it was read or written last.
    pub(crate) fn get(&self, key: &str) -> Option<&Seed> {
        self.entries.iter().find(|seed| *seed.key == *key)
    }

    fn put(&mut self, key: Arc<str>, entry: Entry) {
        if let Some(seed) = self.entries.iter_mut().find(|seed| seed.key == key) {
            seed.entry = entry;
            return;
        }
        if self.entries.len() == MOST {
            self.entries.remove(0);
        }
        self.entries.push(Seed { key, entry });
    }

    fn remove(&mut self, key: &str) {
        self.entries.retain(|seed| *seed.key != *key);
    }

    /// Learns from what was asked and answered, and tells who writes next.
    pub(crate) fn learn(&mut self, question: &Question, answer: &Answer) {
        let (key, is_known) = match (question, answer) {
            (Question::Get { key, .. }, Answer::Entry(Ok(entry))) => {
                self.put(Arc::clone(key), entry.clone());
                (&**key, true)
            }
            (Question::Get { key, .. }, _) => (&**key, false),
            (Question::Insert { key, value, at }, Answer::Version(Ok(version))) => {
                let entry = Entry {
                    value: value.as_str().into(),
                    version: *version,
                    guard: at.guard.unwrap_or(0),
                    expires_at: at.expires_at.min(at.ends_at),
                };
                self.put(key.as_str().into(), entry);
                (key.as_str(), true)
            }
            (
                Question::Replace {
                    key,
                    value,
                    expected,
                    at,
                },
                Answer::Version(Ok(version)),
            ) => {
                // The guard that was there, where the write brings none.
                let kept = match expected {
                    Expected::Guard(guard) => Some(*guard),
                    Expected::Version(version) => self
                        .get(key)
                        .filter(|seed| seed.entry.version == *version)
                        .map(|seed| seed.entry.guard),
                };
                match at.guard.or(kept) {
                    Some(guard) => {
                        let entry = Entry {
                            value: value.as_str().into(),
                            version: *version,
                            guard,
                            expires_at: at.expires_at.min(at.ends_at),
                        };
                        self.put(key.as_str().into(), entry);
                        (key.as_str(), true)
                    }
                    None => {
                        self.remove(key);
                        (key.as_str(), false)
                    }
                }
            }
            (Question::Touch { key, expires_at, .. }, Answer::Done(Ok(()))) => {
                for seed in self.entries.iter_mut().filter(|seed| *seed.key == **key) {
                    seed.entry.expires_at = seed.entry.expires_at.max(*expires_at);
                }
                (key.as_str(), true)
            }
            (Question::Delete { key, .. }, _) => {
                self.remove(key);
                (key.as_str(), false)
            }
            // Whatever is there now.
            (
                Question::Insert { key, .. } | Question::Replace { key, .. } | Question::Touch { key, .. },
                _,
            ) => (key.as_str(), false),
            (Question::GetMany { .. } | Question::DeleteMany { .. } | Question::ListOwned { .. }, _) => {
                return;
            }
        };
        let last = if is_known {
            self.get(key).map(|seed| seed.entry.clone())
        } else {
            None
        };
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.is_for(key)) {
            turn.last = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Cause, Condition, Placement, StoreError};

    fn entry(version: u64, guard: u64, expires_at: u64) -> Entry {
        Entry {
            value: "text".into(),
            version,
            guard,
            expires_at: Timestamp::from_millis(expires_at),
        }
    }

    fn get(key: &str, fresh: bool) -> Question {
        Question::Get {
            key: key.into(),
            fresh,
        }
    }

    fn replace(expected: Expected, guard: Option<u64>) -> Question {
        let at = Placement {
            owner: None,
            previous_owner: None,
            guard,
            expires_at: Timestamp::from_millis(90),
            ends_at: Timestamp::from_millis(80),
        };
        Question::Replace {
            key: "k".into(),
            value: "next".into(),
            expected,
            at,
        }
    }

    fn seen() -> Seen {
        let mut seen = Seen::default();
        seen.learn(&get("k", false), &Answer::Entry(Ok(entry(1, 7, 50))));
        seen
    }

    #[test]
    fn a_seed_answers_for_its_own_key_while_it_lives_and_never_what_has_to_be_fresh() {
        let seed = Seed {
            key: "k".into(),
            entry: entry(1, 7, 50),
        };
        let at = Timestamp::from_millis;
        assert!(matches!(
            seed.answer(&get("k", false), at(49)),
            Some(Answer::Entry(Ok(_)))
        ));
        assert!(seed.answer(&get("k", false), at(50)).is_none());
        assert!(seed.answer(&get("k", true), at(49)).is_none());
        assert!(seed.answer(&get("other", false), at(49)).is_none());
    }

    #[test]
    fn a_written_entry_has_the_guard_it_brings_or_the_one_that_was_there() {
        for (expected, brought, guard) in [
            (Expected::Version(1), None, Some(7)),
            (Expected::Version(1), Some(9), Some(9)),
            (Expected::Guard(8), None, Some(8)),
            // What was there is not known.
            (Expected::Version(2), None, None),
        ] {
            let mut seen = seen();
            seen.learn(&replace(expected, brought), &Answer::Version(Ok(3)));
            let written = seen.get("k").map(|seed| &seed.entry);
            assert_eq!(written.map(|entry| entry.guard), guard);
            if let Some(entry) = written {
                assert_eq!((&*entry.value, entry.version), ("next", 3));
                assert_eq!(
                    entry.expires_at,
                    Timestamp::from_millis(80),
                    "nothing outlives its end"
                );
            }
        }
    }

    #[test]
    fn a_failed_write_leaves_what_was_seen_and_a_deletion_does_not() {
        let mut seen = seen();
        let lost = Answer::Version(Err(StoreError::OutcomeUnknown(Cause::new("lost"))));
        seen.learn(&replace(Expected::Version(1), None), &lost);
        assert_eq!(seen.get("k").map(|seed| seed.entry.version), Some(1));
        let touch = Question::Touch {
            key: "k".into(),
            owner: None,
            expires_at: Timestamp::from_millis(60),
        };
        seen.learn(&touch, &Answer::Done(Ok(())));
        assert_eq!(
            seen.get("k").map(|seed| seed.entry.expires_at.as_millis()),
            Some(60)
        );
        let delete = Question::Delete {
            key: "k".into(),
            condition: Condition::Guard(7),
        };
        seen.learn(&delete, &Answer::WasThere(Ok(true)));
        assert!(seen.get("k").is_none());
    }
}
