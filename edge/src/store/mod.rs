//! Stores: the contract of `wit/store.wit` over the storage of a Worker.

mod any;
mod combined;
mod durable;
mod kv;

use std::time::Duration;

use tessera_contract::Timestamp;

use crate::deadline;

pub(crate) use any::{AnyStore, StoreKind};
pub(crate) use combined::CombinedStore;
pub(crate) use durable::{Directory, DurableStore};
pub(crate) use kv::KvStore;
pub(crate) use tessera_contract::store::{
    Capabilities, Cause, Condition, Deletion, Entry, Expected, Methods, Page, Placement, Row, SWEEP_GRACE,
    Store, StoreError, StoreOp, StoreReply, StoreService, check_batch, check_limit,
};

/// The binding to the Durable Objects of connections.
pub(crate) const CONNECTIONS_BINDING: &str = "TESSERA_CONNECTIONS";
/// The time for which an index keeps an entry without a record. It exceeds the duration of any call.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(600);
/// The latest time: JavaScript's numbers are exact up to here, which is 285 thousand years.
pub(crate) const END_OF_TIME: Timestamp = Timestamp::from_millis((1 << 53) - 1);

/// Awaits an operation for at most this time, in milliseconds.
pub(crate) async fn in_time<T>(
    milliseconds: u64,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = deadline::within(milliseconds, asked).await;
    answer.unwrap_or_else(|| Err(StoreError::Unavailable(Cause::new("it did not answer in time"))))
}

/// The expiry of a written record, which is not after its absolute end.
fn expires_at(at: &Placement) -> Timestamp {
    at.expires_at.min(at.ends_at).min(END_OF_TIME)
}

/// The absolute end of a written record.
fn ends_at(at: &Placement) -> Timestamp {
    at.ends_at.min(END_OF_TIME)
}

/// The result of a batch deletion. If some deletions were or may have been done, a failure becomes `OutcomeUnknown`.
fn removed_of(count: u32, failures: Vec<StoreError>) -> Result<u32, StoreError> {
    let may_be_done = count > 0
        || failures
            .iter()
            .any(|error| matches!(error, StoreError::OutcomeUnknown(_)));
    match failures.into_iter().next() {
        None => Ok(count),
        Some(error) if may_be_done => Err(StoreError::OutcomeUnknown(Cause::new(error))),
        Some(error) => Err(error),
    }
}
