//! The check that Redis keeps every key until it expires.
//!
//! A server that evicts keys when memory is short may evict the index of an owner and keep the records: then the owner's list
//! is empty, and revoking all sessions ends none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::error::RedisStoreError;
use super::link::Link;
use super::shared::Shared;
use crate::{Cause, StoreError};

/// The only policy that evicts nothing.
const FIT: &str = "noeviction";
const NAME: &str = "maxmemory_policy:";
/// Longer than the name of any policy.
const MAXIMUM_NAME_BYTES: usize = 32;

/// Reads the policy of every server, and returns the first one that evicts, if any.
async fn unfit(link: &Link, deadline: Instant) -> Result<Option<String>, StoreError> {
    let mut command = redis::cmd("INFO");
    command.arg("memory");
    for node in link.nodes(deadline).await? {
        let info: String = link.ask_node(&node, &command, deadline).await?;
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix(NAME))
            .map(str::trim);
        match policy {
            Some(FIT) => {}
            Some(other) if other.len() <= MAXIMUM_NAME_BYTES => return Ok(Some(other.to_owned())),
            _ => {
                return Err(StoreError::Other(Cause::new(
                    "INFO memory has no maxmemory_policy",
                )));
            }
        }
    }
    Ok(None)
}

/// Refuses servers that evict, and servers whose policy cannot be read.
pub(super) async fn check_at_start(link: &Link, timeout: Duration) -> Result<(), RedisStoreError> {
    match unfit(link, Instant::now() + timeout).await {
        Ok(None) => Ok(()),
        Ok(Some(policy)) => Err(RedisStoreError::Evicts { policy }),
        Err(StoreError::Unavailable(cause)) => Err(RedisStoreError::Unreachable(cause)),
        Err(error) => Err(RedisStoreError::EvictionUnknown(Cause::new(error))),
    }
}

/// Repeats the check at every interval, until the store is dropped.
pub(super) async fn watch(shared: Weak<Shared>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        look(&shared).await;
    }
}

async fn look(shared: &Arc<Shared>) {
    let evicts = match unfit(&shared.link, Instant::now() + shared.timeout).await {
        Ok(None) => false,
        Ok(Some(policy)) => {
            tracing::error!(
                "Redis evicts sessions (maxmemory-policy {policy}): writes and lists are refused until it is noeviction"
            );
            true
        }
        // The policy is unknown. An outage is reported by the calls that fail because of it.
        Err(_) => return,
    };
    if shared.eviction.evicts.swap(evicts, Ordering::Relaxed) && !evicts {
        tracing::warn!(
            "Redis no longer evicts sessions; lists of subjects may lack sessions whose entries it evicted"
        );
    }
}
