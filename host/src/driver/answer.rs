//! Questions and answers, as they are logged; and any store behind one face.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::Timestamp;
use crate::store::{Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Store, StoreError};

/// What the engine asks a store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Get {
        key: Arc<str>,
        fresh: bool,
    },
    GetMany {
        keys: Vec<String>,
    },
    Insert {
        key: String,
        value: String,
        at: Placement,
    },
    Replace {
        key: String,
        value: String,
        expected: Expected,
        at: Placement,
    },
    Touch {
        key: String,
        owner: Option<String>,
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
        cursor: String,
        limit: u32,
    },
}

impl Question {
    /// Whether it may change what is stored.
    pub(crate) fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Get { .. } | Self::GetMany { .. } | Self::ListOwned { .. }
        )
    }
}

/// What was answered. Cheap to clone but for a page, because a repeat is told again.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Now(Timestamp),
    Random(Arc<[u8]>),
    Entry(Result<Entry, StoreError>),
    Entries(Result<Arc<[Result<Entry, StoreError>]>, StoreError>),
    Version(Result<u64, StoreError>),
    Done(Result<(), StoreError>),
    WasThere(Result<bool, StoreError>),
    Count(Result<u32, StoreError>),
    Page(Result<Arc<Page>, StoreError>),
}

impl Answer {
    /// Bytes of the records in it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Entry(Ok(entry)) => entry.value.len(),
            Self::Entries(Ok(entries)) => entries.iter().flatten().map(|entry| entry.value.len()).sum(),
            Self::Page(Ok(page)) => page
                .rows
                .iter()
                .map(|row| row.key.len() + row.value.as_ref().map_or(0, |value| value.len()))
                .sum(),
            _ => 0,
        }
    }

    /// The same answer, found unreadable.
    pub(crate) fn corrupt(self) -> Self {
        match self {
            Self::Entry(_) => Self::Entry(Err(StoreError::Corrupt)),
            Self::Entries(_) => Self::Entries(Err(StoreError::Corrupt)),
            Self::Page(_) => Self::Page(Err(StoreError::Corrupt)),
            other => other,
        }
    }

    /// The store's error, if it is one that the caller will want to see the source of.
    pub(crate) fn failure(&self) -> Option<&StoreError> {
        match self {
            Self::Now(_) | Self::Random(_) => None,
            Self::Entry(answer) => answer.as_ref().err(),
            Self::Entries(answer) => answer.as_ref().err(),
            Self::Version(answer) => answer.as_ref().err(),
            Self::Done(answer) => answer.as_ref().err(),
            Self::WasThere(answer) => answer.as_ref().err(),
            Self::Count(answer) => answer.as_ref().err(),
            Self::Page(answer) => answer.as_ref().err(),
        }
    }
}

/// An answer on its way.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Any [`Store`], asked by question.
pub(crate) trait AnyStore: Send + Sync {
    fn describe(&self) -> Capabilities;
    fn ask(self: Arc<Self>, now: Timestamp, question: Arc<Question>) -> Pending;
}

impl<S: Store> AnyStore for S {
    fn describe(&self) -> Capabilities {
        Store::describe(self)
    }

    fn ask(self: Arc<Self>, now: Timestamp, question: Arc<Question>) -> Pending {
        Box::pin(async move {
            match &*question {
                Question::Get { key, fresh } => Answer::Entry(self.get(now, key, *fresh).await),
                Question::GetMany { keys } => Answer::Entries(self.get_many(now, keys).await.map(Arc::from)),
                Question::Insert { key, value, at } => {
                    Answer::Version(self.insert(now, key, value, at).await)
                }
                Question::Replace {
                    key,
                    value,
                    expected,
                    at,
                } => Answer::Version(self.replace(now, key, value, *expected, at).await),
                Question::Touch {
                    key,
                    owner,
                    expires_at,
                } => Answer::Done(self.touch(now, key, owner.as_deref(), *expires_at).await),
                Question::Delete { key, condition } => {
                    Answer::WasThere(self.delete(now, key, condition).await)
                }
                Question::DeleteMany { deletions, owner } => {
                    Answer::Count(self.delete_many(now, deletions, owner).await)
                }
                Question::ListOwned { owner, cursor, limit } => {
                    Answer::Page(self.list_owned(now, owner, cursor, *limit).await.map(Arc::new))
                }
            }
        })
    }
}
