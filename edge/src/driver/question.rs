//! What the engine asks a store, and what it is answered, as texts of JSON.

use serde::{Deserialize, Serialize};

use crate::number::U64;
use crate::store::{Condition, Deletion, Entry, Expected, Page, Placement, Store, StoreError};

/// One function of `wit/store.wit` with its arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Asked")]
pub(crate) enum Question {
    Get {
        key: String,
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
        expires_at: U64,
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

/// A question as it crosses: all that any function takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    operation: String,
    key: Option<String>,
    keys: Option<Vec<String>>,
    deletions: Option<Vec<Deletion>>,
    value: Option<String>,
    at: Option<Placement>,
    owner: Option<String>,
    cursor: Option<String>,
    expected: Option<Expected>,
    #[serde(rename = "while")]
    condition: Option<Condition>,
    expires_at: Option<U64>,
    limit: Option<u32>,
    #[serde(default)]
    fresh: bool,
}

/// An argument is not there, or the function is unknown.
#[derive(Debug, thiserror::Error)]
#[error("it is no function of the store with its arguments")]
pub(crate) struct NoQuestion;

impl TryFrom<Asked> for Question {
    type Error = NoQuestion;

    fn try_from(asked: Asked) -> Result<Self, NoQuestion> {
        let Asked {
            operation,
            key,
            keys,
            deletions,
            value,
            at,
            owner,
            cursor,
            expected,
            condition,
            expires_at,
            limit,
            fresh,
        } = asked;
        let key = || key.ok_or(NoQuestion);
        let value = || value.ok_or(NoQuestion);
        let at = || at.ok_or(NoQuestion);
        Ok(match operation.as_str() {
            "get" => Self::Get { key: key()?, fresh },
            "get-many" => Self::GetMany {
                keys: keys.ok_or(NoQuestion)?,
            },
            "insert" => Self::Insert {
                key: key()?,
                value: value()?,
                at: at()?,
            },
            "replace" => {
                let expected = expected.ok_or(NoQuestion)?;
                Self::Replace {
                    key: key()?,
                    value: value()?,
                    expected,
                    at: at()?,
                }
            }
            "touch" => Self::Touch {
                key: key()?,
                owner,
                expires_at: expires_at.ok_or(NoQuestion)?,
            },
            "delete" => Self::Delete {
                key: key()?,
                condition: condition.ok_or(NoQuestion)?,
            },
            "delete-many" => Self::DeleteMany {
                deletions: deletions.ok_or(NoQuestion)?,
                owner: owner.ok_or(NoQuestion)?,
            },
            "list-owned" => Self::ListOwned {
                owner: owner.ok_or(NoQuestion)?,
                cursor: cursor.ok_or(NoQuestion)?,
                limit: limit.ok_or(NoQuestion)?,
            },
            _ => return Err(NoQuestion),
        })
    }
}

impl Question {
    /// Whether it may change what is stored.
    pub(crate) fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Get { .. } | Self::GetMany { .. } | Self::ListOwned { .. }
        )
    }

    /// The key of the one entry that it is about.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Get { key, .. }
            | Self::Insert { key, .. }
            | Self::Replace { key, .. }
            | Self::Touch { key, .. }
            | Self::Delete { key, .. } => Some(key),
            Self::GetMany { .. } | Self::DeleteMany { .. } | Self::ListOwned { .. } => None,
        }
    }

    /// Asks a store.
    pub(crate) async fn ask(&self, store: &impl Store, now: u64) -> Answer {
        match self {
            Self::Get { key, fresh } => Answer::Entry(store.get(now, key, *fresh).await.into()),
            Self::GetMany { keys } => {
                let entries = store.get_many(now, keys).await;
                Answer::Entries(
                    entries
                        .map(|entries| entries.into_iter().map(Told::from).collect())
                        .into(),
                )
            }
            Self::Insert { key, value, at } => {
                Answer::Version(store.insert(now, key, value, at).await.map(U64).into())
            }
            Self::Replace {
                key,
                value,
                expected,
                at,
            } => Answer::Version(
                store
                    .replace(now, key, value, *expected, at)
                    .await
                    .map(U64)
                    .into(),
            ),
            Self::Touch {
                key,
                owner,
                expires_at,
            } => Answer::Done(store.touch(now, key, owner.as_deref(), expires_at.0).await.into()),
            Self::Delete { key, condition } => {
                Answer::WasThere(store.delete(now, key, condition).await.into())
            }
            Self::DeleteMany { deletions, owner } => {
                Answer::Count(store.delete_many(now, deletions, owner).await.into())
            }
            Self::ListOwned { owner, cursor, limit } => {
                Answer::Page(store.list_owned(now, owner, cursor, *limit).await.into())
            }
        }
    }

    /// The answer that nobody waited for any longer.
    pub(crate) fn too_late(&self) -> Answer {
        if self.writes() {
            return Answer::failed(StoreError::OutcomeUnknown);
        }
        Answer::failed(StoreError::Unavailable("it did not answer in time".into()))
    }
}

/// A result as it crosses into the engine.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "tag", content = "val", rename_all = "kebab-case")]
pub(crate) enum Told<T> {
    Ok(T),
    Err(StoreError),
}

impl<T> From<Result<T, StoreError>> for Told<T> {
    fn from(answer: Result<T, StoreError>) -> Self {
        match answer {
            Ok(value) => Self::Ok(value),
            Err(error) => Self::Err(error),
        }
    }
}

impl<T> Told<T> {
    fn error(&self) -> Option<&StoreError> {
        match self {
            Self::Ok(_) => None,
            Self::Err(error) => Some(error),
        }
    }
}

/// What a store answered.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Entry(Told<Entry>),
    Entries(Told<Vec<Told<Entry>>>),
    Version(Told<U64>),
    Done(Told<()>),
    WasThere(Told<bool>),
    Count(Told<u32>),
    Page(Told<Page>),
}

impl Answer {
    /// An error, whatever was asked.
    pub(crate) fn failed(error: StoreError) -> Self {
        Self::Done(Told::Err(error))
    }

    /// The store's error, if it is one.
    pub(crate) fn error(&self) -> Option<&StoreError> {
        match self {
            Self::Entry(told) => told.error(),
            Self::Entries(told) => told.error(),
            Self::Version(told) => told.error(),
            Self::Done(told) => told.error(),
            Self::WasThere(told) => told.error(),
            Self::Count(told) => told.error(),
            Self::Page(told) => told.error(),
        }
    }

    /// Bytes of the records in it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Entry(Told::Ok(entry)) => entry.value.len(),
            Self::Entries(Told::Ok(entries)) => {
                let bytes = |told: &Told<Entry>| match told {
                    Told::Ok(entry) => entry.value.len(),
                    Told::Err(_) => 0,
                };
                entries.iter().map(bytes).sum()
            }
            Self::Page(Told::Ok(page)) => page
                .rows
                .iter()
                .map(|row| row.key.len() + row.value.as_ref().map_or(0, |value| value.len()))
                .sum(),
            _ => 0,
        }
    }
}
