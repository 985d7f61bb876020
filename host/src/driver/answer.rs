//! The answers to a logical call, and the store as a trait object.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tessera_contract::store::{Capabilities, StoreError, StoreOp, StoreReply, StoreService};

use crate::Timestamp;

/// One answer to the component. Cheap to clone, because a repeat receives it again.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Now(Timestamp),
    Random(Arc<[u8]>),
    Store(StoreReply),
}

impl Answer {
    /// The store's error, if the answer contains one.
    pub(crate) fn failure(&self) -> Option<&StoreError> {
        match self {
            Self::Now(_) | Self::Random(_) => None,
            Self::Store(reply) => reply.error(),
        }
    }
}

/// A pending reply of the store.
pub(crate) type Pending = Pin<Box<dyn Future<Output = StoreReply> + Send>>;

/// Any [`StoreService`], with boxed futures.
pub(crate) trait AnyStore: Send + Sync {
    fn describe(&self) -> Capabilities;
    fn ask(self: Arc<Self>, now: Timestamp, op: Arc<StoreOp>) -> Pending;
}

impl<S: StoreService> AnyStore for S {
    fn describe(&self) -> Capabilities {
        StoreService::describe(self)
    }

    fn ask(self: Arc<Self>, now: Timestamp, op: Arc<StoreOp>) -> Pending {
        Box::pin(async move { self.call(now, &op).await })
    }
}
