//! Whether Redis keeps what it is given until it expires.
//!
//! A server that evicts keys when memory is short may evict the index of an owner and keep the records: the owner's list
//! is empty then, and revoking all sessions ends none.

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

/// The policy of every server, the first that is not fit, if there is one.
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

/// Refuses servers that evict, and those that do not say whether they do.
pub(super) async fn check_at_start(link: &Link, timeout: Duration) -> Result<(), RedisStoreError> {
    match unfit(link, Instant::now() + timeout).await {
        Ok(None) => Ok(()),
        Ok(Some(policy)) => Err(RedisStoreError::Evicts { policy }),
        Err(StoreError::Unavailable(cause)) => Err(RedisStoreError::Unreachable(cause)),
        Err(error) => Err(RedisStoreError::EvictionUnknown(Cause::new(error))),
    }
}

/// Looks again at every interval, for as long as the store is there.
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
        // Nothing new is known: an outage is reported by the calls that it fails.
        Err(_) => return,
    };
    if shared.eviction.evicts.swap(evicts, Ordering::Relaxed) && !evicts {
        tracing::warn!(
            "Redis evicts no more; lists of subjects may lack sessions that it evicted the entries of"
        );
    }
}
