//! The operations of a store as data, and a store as one method.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Capabilities, Condition, Deletion, Entry, Expected, MaybeSend, MaybeSync, Page, Placement, Store,
    StoreError,
};
use crate::Timestamp;

/// One function of `wit/store.wit` with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(
    missing_docs,
    reason = "the arguments are described at the methods of `Store`"
)]
pub enum StoreOp {
    /// [`Store::get`]
    Get { key: Arc<str>, fresh: bool },
    /// [`Store::get_many`]
    GetMany { keys: Vec<String> },
    /// [`Store::insert`]
    Insert {
        key: String,
        value: String,
        at: Placement,
    },
    /// [`Store::replace`]
    Replace {
        key: String,
        value: String,
        expected: Expected,
        at: Placement,
    },
    /// [`Store::touch`]
    Touch {
        key: String,
        owner: Option<String>,
        #[serde(with = "crate::decimal")]
        expires_at: Timestamp,
    },
    /// [`Store::delete`]
    Delete {
        key: String,
        #[serde(rename = "while")]
        condition: Condition,
    },
    /// [`Store::delete_many`]
    DeleteMany { deletions: Vec<Deletion>, owner: String },
    /// [`Store::list_owned`]
    ListOwned {
        owner: String,
        cursor: String,
        limit: u32,
    },
}

impl StoreOp {
    /// Whether the operation may change stored entries.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Get { .. } | Self::GetMany { .. } | Self::ListOwned { .. }
        )
    }

    /// The key of an operation on one entry; `None` for the others.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Get { key, .. } => Some(key),
            Self::Insert { key, .. }
            | Self::Replace { key, .. }
            | Self::Touch { key, .. }
            | Self::Delete { key, .. } => Some(key),
            Self::GetMany { .. } | Self::DeleteMany { .. } | Self::ListOwned { .. } => None,
        }
    }

    /// Wraps an error in the reply variant of this operation.
    pub fn failed(&self, error: StoreError) -> StoreReply {
        match self {
            Self::Get { .. } => StoreReply::Entry(Err(error)),
            Self::GetMany { .. } => StoreReply::Entries(Err(error)),
            Self::Insert { .. } | Self::Replace { .. } => StoreReply::Version(Err(error)),
            Self::Touch { .. } => StoreReply::Done(Err(error)),
            Self::Delete { .. } => StoreReply::WasThere(Err(error)),
            Self::DeleteMany { .. } => StoreReply::Count(Err(error)),
            Self::ListOwned { .. } => StoreReply::Page(Err(error)),
        }
    }
}

/// The reply of a store. Cheap to clone, because every repeated pass receives the replies again.
#[derive(Clone, Debug)]
pub enum StoreReply {
    /// To [`StoreOp::Get`].
    Entry(Result<Entry, StoreError>),
    /// To [`StoreOp::GetMany`].
    Entries(Result<Arc<[Result<Entry, StoreError>]>, StoreError>),
    /// To [`StoreOp::Insert`] and [`StoreOp::Replace`].
    Version(Result<u64, StoreError>),
    /// To [`StoreOp::Touch`].
    Done(Result<(), StoreError>),
    /// To [`StoreOp::Delete`].
    WasThere(Result<bool, StoreError>),
    /// To [`StoreOp::DeleteMany`].
    Count(Result<u32, StoreError>),
    /// To [`StoreOp::ListOwned`].
    Page(Result<Arc<Page>, StoreError>),
}

impl StoreReply {
    /// The number of bytes of the records in the reply, including the keys of a page.
    pub fn bytes(&self) -> usize {
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

    /// The store's error, if the reply is one.
    pub fn error(&self) -> Option<&StoreError> {
        match self {
            Self::Entry(reply) => reply.as_ref().err(),
            Self::Entries(reply) => reply.as_ref().err(),
            Self::Version(reply) => reply.as_ref().err(),
            Self::Done(reply) => reply.as_ref().err(),
            Self::WasThere(reply) => reply.as_ref().err(),
            Self::Count(reply) => reply.as_ref().err(),
            Self::Page(reply) => reply.as_ref().err(),
        }
    }

    /// Returns the reply, or [`StoreError::Corrupt`] instead if its records exceed `maximum_bytes`.
    #[must_use]
    pub fn bounded(self, maximum_bytes: usize) -> Self {
        if self.bytes() <= maximum_bytes {
            return self;
        }
        match self {
            Self::Entry(_) => Self::Entry(Err(StoreError::Corrupt)),
            Self::Entries(_) => Self::Entries(Err(StoreError::Corrupt)),
            Self::Page(_) => Self::Page(Err(StoreError::Corrupt)),
            // The other replies contain no record.
            other => other,
        }
    }
}

/// A store in one method. Every [`Store`] implements it.
///
/// Implement it for a layer that treats every operation alike: that counts, delays, retries or refuses.
pub trait StoreService: MaybeSend + MaybeSync + 'static {
    /// See [`Store::describe`].
    fn describe(&self) -> Capabilities;

    /// Executes an operation. The reply must be of the variant that belongs to the operation.
    fn call(&self, now: Timestamp, op: &StoreOp) -> impl Future<Output = StoreReply> + MaybeSend;
}

impl<S: StoreService> StoreService for Arc<S> {
    fn describe(&self) -> Capabilities {
        (**self).describe()
    }

    fn call(&self, now: Timestamp, op: &StoreOp) -> impl Future<Output = StoreReply> + MaybeSend {
        (**self).call(now, op)
    }
}

impl<S: Store> StoreService for S {
    fn describe(&self) -> Capabilities {
        Store::describe(self)
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        match op {
            StoreOp::Get { key, fresh } => StoreReply::Entry(self.get(now, key, *fresh).await),
            StoreOp::GetMany { keys } => StoreReply::Entries(self.get_many(now, keys).await.map(Arc::from)),
            StoreOp::Insert { key, value, at } => StoreReply::Version(self.insert(now, key, value, at).await),
            StoreOp::Replace {
                key,
                value,
                expected,
                at,
            } => StoreReply::Version(self.replace(now, key, value, *expected, at).await),
            StoreOp::Touch {
                key,
                owner,
                expires_at,
            } => StoreReply::Done(self.touch(now, key, owner.as_deref(), *expires_at).await),
            StoreOp::Delete { key, condition } => {
                StoreReply::WasThere(self.delete(now, key, condition).await)
            }
            StoreOp::DeleteMany { deletions, owner } => {
                StoreReply::Count(self.delete_many(now, deletions, owner).await)
            }
            StoreOp::ListOwned { owner, cursor, limit } => {
                StoreReply::Page(self.list_owned(now, owner, cursor, *limit).await.map(Arc::new))
            }
        }
    }
}
