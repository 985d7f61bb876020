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
    pub(super) eviction: Eviction,
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
