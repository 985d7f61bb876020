//! Entries as the calls on one session read or wrote them last: a call begins where the one before it ended.

use std::sync::Arc;

use tessera_contract::Timestamp;
use tessera_contract::state::{Fields, Opened};
use tessera_http::chain;

use super::error::CallError;
use super::question::{Answer, Question, Told};
use super::wit;
use crate::number::U64;
use crate::store::{Entry, Expected, Placement, StoreError};

/// A session that has moved lies at the end of so many entries at most.
const MOST: usize = 13;

/// The entry of a session's key that its calls read or wrote last.
#[derive(Clone)]
pub(crate) struct Seed {
    key: Arc<str>,
    entry: Entry,
}

/// What is known of one call: the entries that it read or wrote last, after the seed that it began with, and how far it came.
#[derive(Default)]
pub(crate) struct Known {
    entries: Vec<(Arc<str>, Entry)>,
    /// What the engine was told last when it asked for the time.
    pub(super) told_at: u64,
    /// Whether a write was asked.
    pub(super) wrote: bool,
}

impl Known {
    /// Of a call that begins with a session's seed.
    pub(crate) fn of(seed: Option<&Seed>) -> Self {
        let seed = seed.map(|seed| (Arc::clone(&seed.key), seed.entry.clone()));
        Self {
            entries: seed.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What an error means by which a call has ended: where a write was asked, nobody is told that nothing was written.
    pub(super) fn judge(&self, error: CallError) -> CallError {
        if !self.wrote || matches!(error, CallError::Engine { .. }) {
            return error;
        }
        tracing::error!("a call failed after it had asked a write: {}", chain(&error));
        CallError::OutcomeUnknown
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|(known, _)| **known == *key)
            .map(|(_, entry)| entry)
    }

    /// What the calls that follow begin with, on the session of this key.
    pub(crate) fn seed(&self, key: &Arc<str>) -> Option<Seed> {
        let entry = self.get(key)?.clone();
        Some(Seed {
            key: Arc::clone(key),
            entry,
        })
    }

    /// The session that the call has answered.
    pub(crate) fn opened(&self, opened: wit::Opened) -> Result<Opened, CallError> {
        self.read(opened).ok_or_else(|| self.judge(CallError::NoFields))
    }

    fn read(&self, opened: wit::Opened) -> Option<Opened> {
        let record = Arc::clone(&self.get(&opened.key)?.value);
        let at = usize::try_from(opened.fields_at).ok()?;
        Some(Opened {
            handle: opened.handle,
            key: opened.key.into(),
            version: opened.version.0,
            details: opened.details.into(),
            asked_at: Timestamp::from_millis(self.told_at),
            holds_until: opened.holds_until.into(),
            fields: Arc::new(Fields::new(record, at)?),
        })
    }

    fn put(&mut self, key: String, entry: Entry) {
        self.forget(|known| *known == *key);
        if self.entries.len() == MOST {
            self.entries.remove(0);
        }
        self.entries.push((key.into(), entry));
    }

    fn forget(&mut self, which: impl Fn(&str) -> bool) {
        self.entries.retain(|(known, _)| !which(known));
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
                None => self.forget(|known| *known == *key),
            },
            (Question::Touch { key, expires_at, .. }, Answer::Done(Told::Ok(()))) => {
                for (_, entry) in self.entries.iter_mut().filter(|(known, _)| **known == *key) {
                    entry.expires_at = entry.expires_at.max(expires_at);
                }
            }
            (Question::Delete { key, .. }, Answer::WasThere(Told::Ok(_))) => {
                self.forget(|known| *known == *key);
            }
            (question, answer) if answer.error() == Some(&StoreError::Missing) => {
                self.forget(|known| question.key() == Some(known));
            }
            // What was refused, or failed, has left the entry that was read or written last.
            _ => {}
        }
    }
}

fn written(value: String, version: U64, guard: U64, at: &Placement) -> Entry {
    Entry {
        value: value.into(),
        version,
        guard,
        expires_at: U64(at.expires_at()),
    }
}
