//! Entries as one request saw or wrote them last: a call on a session begins where the one before it ended.

use super::question::{Answer, Question, Told};
use crate::number::U64;
use crate::store::Entry;

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

    pub(super) fn learn(&mut self, question: Question, answer: Answer) {
        match (question, answer) {
            (Question::Get { key, .. }, Answer::Entry(Told::Ok(entry))) => self.put(key, entry),
            (
                Question::Insert { key, value, at } | Question::Replace { key, value, at, .. },
                Answer::Version(Told::Ok(version)),
            ) => {
                let entry = Entry {
                    value,
                    version,
                    expires_at: U64(at.expires_at()),
                };
                self.put(key, entry);
            }
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
