//! An adapter from [`StoreService`] to [`Store`].

use std::ops::Deref;

use super::{
    Capabilities, Cause, Condition, Deletion, Entry, Expected, Page, Placement, Store, StoreError, StoreOp,
    StoreReply, StoreService,
};
use crate::Timestamp;

/// A [`StoreService`] as a [`Store`], for callers of the individual methods.
#[derive(Clone, Debug)]
pub struct Methods<S>(pub S);

impl<S> Deref for Methods<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

/// Awaits a reply and unwraps the variant that belongs to the operation.
macro_rules! reply {
    ($called:expr, $kind:ident) => {
        match $called.await {
            StoreReply::$kind(reply) => reply,
            _ => Err(StoreError::Other(Cause::new(
                "the store's reply does not match the operation",
            ))),
        }
    };
}

impl<S: StoreService> Store for Methods<S> {
    fn describe(&self) -> Capabilities {
        self.0.describe()
    }

    async fn get(&self, now: Timestamp, key: &str, fresh: bool) -> Result<Entry, StoreError> {
        let key = key.into();
        reply!(self.0.call(now, &StoreOp::Get { key, fresh }), Entry)
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        let keys = keys.to_vec();
        let each = reply!(self.0.call(now, &StoreOp::GetMany { keys }), Entries)?;
        Ok(each.to_vec())
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        let op = StoreOp::Insert {
            key: key.to_owned(),
            value: value.to_owned(),
            at: at.clone(),
        };
        reply!(self.0.call(now, &op), Version)
    }

    async fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        let op = StoreOp::Replace {
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
            at: at.clone(),
        };
        reply!(self.0.call(now, &op), Version)
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let op = StoreOp::Touch {
            key: key.to_owned(),
            owner: owner.map(str::to_owned),
            expires_at,
        };
        reply!(self.0.call(now, &op), Done)
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        let op = StoreOp::Delete {
            key: key.to_owned(),
            condition: condition.clone(),
        };
        reply!(self.0.call(now, &op), WasThere)
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        let op = StoreOp::DeleteMany {
            deletions: deletions.to_vec(),
            owner: owner.to_owned(),
        };
        reply!(self.0.call(now, &op), Count)
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let op = StoreOp::ListOwned {
            owner: owner.to_owned(),
            cursor: cursor.to_owned(),
            limit,
        };
        let page = reply!(self.0.call(now, &op), Page)?;
        Ok((*page).clone())
    }
}
