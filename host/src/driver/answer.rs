//! What was answered to a logical call; and any store, asked in one way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tessera_contract::store::{Capabilities, StoreError, StoreOp, StoreReply, StoreService};

use crate::Timestamp;

/// What was answered. Cheap to clone, because a repeat is told again.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Now(Timestamp),
    Random(Arc<[u8]>),
    Store(StoreReply),
}

impl Answer {
    /// The store's error, if it is one that the caller will want to see the source of.
    pub(crate) fn failure(&self) -> Option<&StoreError> {
        match self {
            Self::Now(_) | Self::Random(_) => None,
            Self::Store(reply) => reply.error(),
        }
    }
}

/// A reply on its way.
pub(crate) type Pending = Pin<Box<dyn Future<Output = StoreReply> + Send>>;

/// Any [`StoreService`], its future in a box.
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
