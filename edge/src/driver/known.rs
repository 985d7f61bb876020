//! Entries as one request saw or wrote them last: a call on a session begins where the one before it ended.

use super::question::{Answer, Question, Told};
use crate::number::U64;
use crate::store::{Entry, Expected, Placement};

/// A session that has moved lies at the end of so many entries at most.
const MOST: usize = 13;

#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Vec<(String, Entry)>);

impl Known {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, entry)| entry)
    }

    fn put(&mut self, key: String, entry: Entry) {
        self.0.retain(|(known, _)| *known != key);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push((key, entry));
    }

    /// The guard of the entry that was there, where that is known.
    fn guard_of(&self, key: &str, expected: Expected) -> Option<U64> {
        match expected {
            Expected::Guard(guard) => Some(guard),
            Expected::Version(version) => {
                let before = self.get(key).filter(|entry| entry.version == version)?;
                Some(before.guard)
            }
        }
    }

    pub(super) fn learn(&mut self, question: Question, answer: Answer) {
        match (question, answer) {
            (Question::Get { key, .. }, Answer::Entry(Told::Ok(entry))) => self.put(key, entry),
            (Question::Insert { key, value, at }, Answer::Version(Told::Ok(version))) => {
                // Nothing live was there.
                let guard = at.guard.unwrap_or_default();
                self.put(key, written(value, version, guard, &at));
            }
            (
                Question::Replace {
                    key,
                    value,
                    expected,
                    at,
                },
                Answer::Version(Told::Ok(version)),
            ) => match at.guard.or_else(|| self.guard_of(&key, expected)) {
                Some(guard) => self.put(key, written(value, version, guard, &at)),
                None => self.0.retain(|(known, _)| *known != key),
            },
            (Question::Touch { key, expires_at, .. }, Answer::Done(Told::Ok(()))) => {
                for (_, entry) in self.0.iter_mut().filter(|(known, _)| *known == key) {
                    entry.expires_at = entry.expires_at.max(expires_at);
                }
            }
            // Whatever became of it; other records are as they were.
            (question, _) => self.0.retain(|(known, _)| !question.writes_to(known)),
        }
    }
}

fn written(value: String, version: U64, guard: U64, at: &Placement) -> Entry {
    Entry {
        value,
        version,
        guard,
        expires_at: U64(at.expires_at()),
    }
}
