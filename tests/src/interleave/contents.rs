//! What the store holds, as plain data: it can be hashed, kept, and put back as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tessera::Timestamp;
use tessera::store::{Condition, Deletion, Entry, Expected, Page, Placement, Row, StoreError};

use super::run::digest;

/// A record and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The record's text.
    pub text: Arc<str>,
    /// Names the write that made it.
    pub version: u64,
    /// Names the write that changed which tokens are good.
    pub guard: u64,
    /// Whose it is.
    pub owner: Option<String>,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Stored {
    /// As the engine is told of it.
    pub fn entry(&self) -> Entry {
        Entry {
            value: Arc::clone(&self.text),
            version: self.version,
            guard: self.guard,
            expires_at: self.expires_at,
        }
    }
}

/// One question, with all that it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "each is a method of the trait `Store`, where it is described"
)]
pub enum Question {
    Get {
        key: String,
        fresh: bool,
    },
    GetMany {
        keys: Vec<String>,
    },
    Insert {
        key: String,
        text: String,
        at: Placement,
    },
    Replace {
        key: String,
        text: String,
        expected: Expected,
        at: Placement,
    },
    Touch {
        key: String,
        expires_at: Timestamp,
    },
    Delete {
        key: String,
        condition: Condition,
    },
    DeleteMany {
        deletions: Vec<Deletion>,
        owner: String,
    },
    ListOwned {
        owner: String,
    },
}

impl Question {
    /// Whether it may change what is stored.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Get { .. } | Self::GetMany { .. } | Self::ListOwned { .. }
        )
    }
}

/// What is answered to a [`Question`].
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is what a method of the trait `Store` answers")]
pub enum Answer {
    Entry(Result<Entry, StoreError>),
    Entries(Vec<Result<Entry, StoreError>>),
    Version(Result<u64, StoreError>),
    Done(Result<(), StoreError>),
    WasThere(Result<bool, StoreError>),
    Count(u32),
    Page(Page),
    /// Any question can fail so.
    Failed(StoreError),
}

impl Answer {
    /// Tells answers to one question apart. A version stands for the text that was written under it.
    pub fn digest(&self) -> u64 {
        let error = |error: &StoreError| std::mem::discriminant(error);
        let entry = |entry: &Result<Entry, StoreError>| match entry {
            Ok(entry) => Ok((entry.version, entry.expires_at)),
            Err(failed) => Err(error(failed)),
        };
        let row = |row: &Row| (row.version, row.touched_at, row.expires_at);
        match self {
            Self::Entry(answer) => digest(&(1, entry(answer))),
            Self::Entries(answers) => digest(&(2, answers.iter().map(entry).collect::<Vec<_>>())),
            Self::Version(answer) => digest(&(3, answer.as_ref().map_err(error))),
            Self::Done(answer) => digest(&(4, answer.as_ref().map_err(error))),
            Self::WasThere(answer) => digest(&(5, answer.as_ref().map_err(error))),
            Self::Count(count) => digest(&(6, count)),
            Self::Page(page) => digest(&(7, page.rows.iter().map(row).collect::<Vec<_>>())),
            Self::Failed(failed) => digest(&(8, error(failed))),
        }
    }
}

/// Records by key, and the owners' index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    /// The records; one whose time is past stands here until it is written over or deleted.
    pub records: BTreeMap<String, Stored>,
    /// Owner and key.
    pub index: BTreeSet<(String, String)>,
    /// Whether stale reads are answered.
    pub remembers: bool,
    /// What each key held before its last writes, oldest first: what a stale read may answer.
    pub before: BTreeMap<String, Vec<Option<Stored>>>,
}

impl Contents {
    /// The record that lives under a key.
    pub fn live(&self, key: &str, now: Timestamp) -> Result<&Stored, StoreError> {
        let stored = self.records.get(key).ok_or(StoreError::Missing)?;
        if stored.expires_at > now {
            Ok(stored)
        } else {
            Err(StoreError::Missing)
        }
    }

    fn remember(&mut self, key: &str) {
        if !self.remembers {
            return;
        }
        let before = self.records.get(key).cloned();
        self.before.entry(key.to_owned()).or_default().push(before);
    }

    fn put(&mut self, key: &str, text: &str, version: u64, at: &Placement) {
        self.remember(key);
        let before = self.records.get(key);
        let guard = at.guard.or(before.map(|before| before.guard)).unwrap_or(0);
        if let Some(previous) = before.and_then(|before| before.owner.clone()) {
            self.index.remove(&(previous, key.to_owned()));
        }
        if let Some(owner) = &at.owner {
            self.index.insert((owner.clone(), key.to_owned()));
        }
        let stored = Stored {
            text: text.into(),
            version,
            guard,
            owner: at.owner.clone(),
            expires_at: at.expires_at.min(at.ends_at),
        };
        self.records.insert(key.to_owned(), stored);
    }

    fn remove(&mut self, key: &str) {
        self.remember(key);
        if let Some(Stored {
            owner: Some(owner), ..
        }) = self.records.remove(key)
        {
            self.index.remove(&(owner, key.to_owned()));
        }
    }

    fn remove_if(&mut self, key: &str, condition: &Condition, now: Timestamp) -> Result<bool, StoreError> {
        let Some(stored) = self.records.get(key) else {
            return Ok(false);
        };
        let was_live = stored.expires_at > now;
        if condition.is_met(stored.owner.as_deref(), stored.guard) {
            self.remove(key);
        } else if was_live {
            return Err(StoreError::Stale);
        }
        Ok(was_live)
    }

    /// Answers a question that only reads.
    pub fn answer(&self, question: &Question, now: Timestamp) -> Answer {
        let entry = |key: &String| self.live(key, now).map(Stored::entry);
        match question {
            Question::Get { key, .. } => Answer::Entry(entry(key)),
            Question::GetMany { keys } => Answer::Entries(keys.iter().map(entry).collect()),
            Question::ListOwned { owner } => Answer::Page(self.list(owner, now)),
            _ => Answer::Failed(StoreError::Unsupported),
        }
    }

    /// Does what a question asks; `version` is what a write is to be named.
    pub fn apply(&mut self, question: &Question, now: Timestamp, version: u64) -> Answer {
        match question {
            Question::Get { .. } | Question::GetMany { .. } | Question::ListOwned { .. } => {
                self.answer(question, now)
            }
            Question::Insert { key, text, at } => Answer::Version(match self.live(key, now) {
                Ok(_) => Err(StoreError::Stale),
                Err(_) => {
                    self.put(key, text, version, at);
                    Ok(version)
                }
            }),
            Question::Replace {
                key,
                text,
                expected,
                at,
            } => Answer::Version(match self.live(key, now) {
                Err(missing) => Err(missing),
                Ok(stored) if !expected.is_met(stored.version, stored.guard) => Err(StoreError::Stale),
                Ok(_) => {
                    self.put(key, text, version, at);
                    Ok(version)
                }
            }),
            Question::Touch { key, expires_at } => Answer::Done(match self.live(key, now) {
                Err(missing) => Err(missing),
                Ok(_) => {
                    if let Some(stored) = self.records.get_mut(key) {
                        stored.expires_at = stored.expires_at.max(*expires_at);
                    }
                    Ok(())
                }
            }),
            Question::Delete { key, condition } => Answer::WasThere(self.remove_if(key, condition, now)),
            Question::DeleteMany { deletions, owner } => {
                let mut removed = 0;
                for Deletion { key, guard } in deletions {
                    let is_doomed = |stored: &Stored| {
                        stored.owner.as_ref() == Some(owner)
                            && guard.is_none_or(|guard| guard == stored.guard)
                    };
                    if self.records.get(key).is_some_and(is_doomed) {
                        removed += u32::from(self.live(key, now).is_ok());
                        self.remove(key);
                    }
                }
                Answer::Count(removed)
            }
        }
    }

    fn list(&self, owner: &str, now: Timestamp) -> Page {
        let keys = self
            .index
            .iter()
            .filter(|(of, _)| of == owner)
            .map(|(_, key)| key);
        let rows = keys.filter_map(|key| {
            let stored = self.live(key, now).ok()?;
            Some(Row {
                key: key.clone(),
                version: stored.version,
                guard: stored.guard,
                touched_at: now,
                expires_at: stored.expires_at,
                value: Some(Arc::clone(&stored.text)),
            })
        });
        Page {
            rows: rows.collect(),
            next: None,
        }
    }

    /// What a stale `get` answers: the key as it was before its last write.
    pub fn stale(&self, key: &str) -> Option<Answer> {
        let before = self.before.get(key)?.last()?;
        Some(Answer::Entry(
            before.as_ref().map(Stored::entry).ok_or(StoreError::Missing),
        ))
    }
}
