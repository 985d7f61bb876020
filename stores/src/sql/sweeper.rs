//! Removes expired entries, in small batches, and in one instance at a time.

use std::panic::AssertUnwindSafe;
use std::sync::Weak;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::error::Fault;
use super::lease::Lease;
use super::retry::Kind;
use super::rows::millis;
use super::shared::Shared;
use super::statement::{Param, Sql};
use crate::SWEEP_GRACE;
use tessera_contract::Timestamp;

/// The maximum number of entries that one statement removes.
pub(super) const BATCH: i64 = 500;

/// The pause after a full batch, for the other users of the database.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts the sweeper. It ends with the store, which it does not keep alive while it waits.
pub(super) fn start(store: Weak<Shared>, interval: Duration) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            sleep(interval).await;
            let Some(store) = store.upgrade() else { return };
            // A panic, for example because a log cannot be written, ends one round and not the sweeper.
            // It was already reported.
            let _ = AssertUnwindSafe(sweep(&store)).catch_unwind().await;
        }
    })
}

async fn sweep(store: &Shared) {
    let before = Timestamp::now().saturating_sub(SWEEP_GRACE);
    match round(store, before).await {
        Ok(Some(swept)) if swept > 0 => tracing::debug!(swept, "swept expired entries"),
        Ok(_) => {}
        Err(fault) => tracing::warn!(error = %fault.error, "expired entries could not be swept"),
    }
}

/// Removes all entries that expired at `before` or earlier; `None` if another instance is sweeping.
async fn round(store: &Shared, before: Timestamp) -> Result<Option<u64>, Fault> {
    let mut lease = store.retrier.lease(store.retrier.deadline()).await?;
    let statements = &store.statements;
    if let (true, Some(lock)) = (lease.is_behind_pooler(), &statements.try_sweep_transaction_lock) {
        let swept = round_of_transactions(store, &mut lease, lock, before).await?;
        lease.give_back();
        return Ok(swept);
    }
    // The lock belongs to the connection, and ends with it even if this task is aborted.
    if !is_one(store, &mut lease, &statements.try_sweep_lock).await? {
        lease.give_back();
        return Ok(None);
    }
    let mut swept = 0;
    let outcome = loop {
        match batch(store, &mut lease, before).await {
            Ok(removed) => {
                swept += removed;
                if removed < BATCH.cast_unsigned() {
                    break Ok(Some(swept));
                }
            }
            Err(fault) => break Err(fault),
        }
        sleep(PAUSE).await;
    };
    // If the unlock fails, the connection is closed, which releases the lock.
    if matches!(
        is_one(store, &mut lease, &statements.sweep_unlock).await,
        Ok(true)
    ) {
        lease.give_back();
    }
    outcome
}

/// The same with a lock that lasts for one transaction, and so for one batch. An error ends the connection and its transaction.
async fn round_of_transactions(
    store: &Shared,
    lease: &mut Lease,
    lock: &Sql,
    before: Timestamp,
) -> Result<Option<u64>, Fault> {
    let retrier = &store.retrier;
    let mut swept = 0;
    loop {
        retrier.within(retrier.deadline(), lease.begin()).await?;
        let is_ours = is_one(store, lease, lock).await?;
        let removed = match is_ours {
            true => batch(store, lease, before).await?,
            false => 0,
        };
        retrier.within(retrier.deadline(), lease.commit()).await?;
        swept += removed;
        if !is_ours && swept == 0 {
            return Ok(None);
        }
        if removed < BATCH.cast_unsigned() {
            return Ok(Some(swept));
        }
        sleep(PAUSE).await;
    }
}

async fn is_one(store: &Shared, lease: &mut Lease, sql: &Sql) -> Result<bool, Fault> {
    let retrier = &store.retrier;
    let answer = retrier
        .within(retrier.deadline(), lease.ask(sql, &[], true))
        .await?;
    Ok(answer.rows.first().and_then(|row| row.number(0)) == Some(1))
}

async fn batch(store: &Shared, lease: &mut Lease, before: Timestamp) -> Result<u64, Fault> {
    let before = millis(before);
    let params = [Param::Number(before), Param::Number(before), Param::Number(BATCH)];
    let retrier = &store.retrier;
    let answer = lease.ask(&store.statements.sweep, &params, false);
    Ok(retrier.within(retrier.deadline(), answer).await?.affected)
}

/// Removes one batch on any free connection, without the lock, for a sweep on request.
pub(super) async fn sweep_batch(store: &Shared, before: Timestamp) -> Result<u64, Fault> {
    let before = millis(before);
    let params = [Param::Number(before), Param::Number(before), Param::Number(BATCH)];
    let retrier = &store.retrier;
    let answer = retrier
        .ask(retrier.deadline(), Kind::Write, &store.statements.sweep, &params)
        .await?;
    Ok(answer.affected)
}
