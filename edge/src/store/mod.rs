//! Where records are kept: the contract of `wit/store.wit`, over what a Worker has.

mod any;
mod cache;
mod combined;
mod durable;
mod index;
mod kv;
mod namespace;
mod object;
mod owner;
mod record;
mod remote;

use std::time::Duration;

use tessera_contract::Timestamp;

pub(crate) use any::{AnyStore, StoreKind};
pub(crate) use combined::CombinedStore;
pub(crate) use durable::DurableStore;
pub(crate) use kv::KvStore;
pub(crate) use tessera_contract::store::{
    Capabilities, Cause, Condition, Deletion, Entry, Expected, Methods, Page, Placement, Row, SWEEP_GRACE,
    Store, StoreError, StoreOp, StoreReply, StoreService, check_batch, check_limit,
};

/// How long an owner's entry is kept that names no record: longer than any call takes.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(600);
/// JavaScript's numbers are exact so far: 285 thousand years.
pub(crate) const END_OF_TIME: Timestamp = Timestamp::from_millis((1 << 53) - 1);

/// When a written record expires: none outlives its end.
fn expires_at(at: &Placement) -> Timestamp {
    at.expires_at.min(at.ends_at).min(END_OF_TIME)
}

/// When it ends however often it is touched.
fn ends_at(at: &Placement) -> Timestamp {
    at.ends_at.min(END_OF_TIME)
}

/// How removing many has ended: where some of it was done, or may have been, nobody is told that nothing was.
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
