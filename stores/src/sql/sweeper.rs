//! Removes what expired long ago: in small batches, one instance of many at a time.

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

/// How many entries are removed in one statement.
pub(super) const BATCH: i64 = 500;

/// How long others have the database to themselves after a full batch.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts the sweeper. It ends with the store, of which it holds nothing while it waits.
pub(super) fn start(store: Weak<Shared>, interval: Duration) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            sleep(interval).await;
            let Some(store) = store.upgrade() else { return };
            // A panic, as of a log that cannot be written, ends one round and not the sweeper. It was reported where it came from.
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

/// Removes all that expired then or before, unless another instance is at it: then `None`.
async fn round(store: &Shared, before: Timestamp) -> Result<Option<u64>, Fault> {
    let mut lease = store.retrier.lease(store.retrier.deadline()).await?;
    let statements = &store.statements;
    if let (true, Some(lock)) = (lease.is_behind_pooler(), &statements.try_sweep_transaction_lock) {
        let swept = round_of_transactions(store, &mut lease, lock, before).await?;
        lease.give_back();
        return Ok(swept);
    }
    // The lock is the connection's: it ends with it, whatever becomes of this task.
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
    // With a lock that cannot be given back, the connection is not given back either.
    if matches!(
        is_one(store, &mut lease, &statements.sweep_unlock).await,
        Ok(true)
    ) {
        lease.give_back();
    }
    outcome
}

/// The same where a lock lasts for a transaction, and so for a batch. An error ends the connection, and with it the transaction.
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

/// One batch, on whatever connection is free, without the lock: for those who sweep by hand.
pub(super) async fn sweep_batch(store: &Shared, before: Timestamp) -> Result<u64, Fault> {
    let before = millis(before);
    let params = [Param::Number(before), Param::Number(before), Param::Number(BATCH)];
    let retrier = &store.retrier;
    let answer = retrier
        .ask(retrier.deadline(), Kind::Write, &store.statements.sweep, &params)
        .await?;
    Ok(answer.affected)
}
