//! The store that the configuration selects.

use tessera_contract::Timestamp;

use super::{Capabilities, CombinedStore, DurableStore, KvStore, StoreOp, StoreReply, StoreService};

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Durable,
    Combined,
    Kv,
}

impl StoreKind {
    /// Each kind with its name in the configuration.
    pub(crate) const NAMES: [(&'static str, Self); 3] = [
        ("durable", Self::Durable),
        ("combined", Self::Combined),
        ("kv", Self::Kv),
    ];
}

/// One of the stores.
#[derive(Clone)]
pub(crate) enum AnyStore {
    Durable(DurableStore),
    Combined(CombinedStore<DurableStore>),
    Kv(KvStore),
}

impl AnyStore {
    /// The Durable Objects of the records, if there are any.
    pub(crate) fn durable(&self) -> Option<&DurableStore> {
        match self {
            Self::Durable(store) => Some(store),
            Self::Combined(store) => Some(store.inner()),
            Self::Kv(_) => None,
        }
    }
}

/// Calls the selected store.
macro_rules! ask {
    ($self:ident, $store:ident => $question:expr) => {
        match $self {
            Self::Durable($store) => $question,
            Self::Combined($store) => $question,
            Self::Kv($store) => $question,
        }
    };
}

impl StoreService for AnyStore {
    fn describe(&self) -> Capabilities {
        ask!(self, store => store.describe())
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        ask!(self, store => store.call(now, op).await)
    }
}
