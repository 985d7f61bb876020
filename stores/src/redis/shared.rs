//! The state that all clones of a store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clients::Clients;
use super::head::HeadFormat;
use super::link::Link;
use crate::{Cause, StoreError};

pub(super) struct Shared {
    pub(super) link: Link,
    pub(super) clients: Arc<Clients>,
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    pub(super) maximum_value_bytes: u32,
    pub(super) write_format: HeadFormat,
    /// Opened read-only: every write is refused here, also where the server would accept it.
    pub(super) read_only: bool,
    pub(super) eviction: Eviction,
}

impl Shared {
    /// Refuses a write to a store that is opened read-only.
    ///
    /// A replica's refusal would be retried until the deadline, because a failover may promote the replica.
    pub(super) fn check_writes(&self) -> Result<(), StoreError> {
        match self.read_only {
            true => Err(StoreError::Other(Cause::new("the store is opened read-only"))),
            false => Ok(()),
        }
    }

    /// Refuses a write that relies on an index: to a store that is opened read-only, and to a server that may evict the index.
    pub(super) fn check_indexed_writes(&self) -> Result<(), StoreError> {
        self.check_writes()?;
        self.eviction.check()
    }
}

/// The result of the last check of the servers' eviction policy.
#[derive(Default)]
pub(super) struct Eviction {
    pub(super) evicts: AtomicBool,
}

impl Eviction {
    /// Refuses an operation that relies on an index which Redis may evict.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.evicts.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable(Cause::new(
                "Redis evicts sessions: its maxmemory-policy has to be noeviction",
            )));
        }
        Ok(())
    }
}
