//! The notifications of one node: a poll for the mailboxes that others have changed, and the sweep of expired ones.

use std::panic::AssertUnwindSafe;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use tessera_connections::Name;
use tessera_contract::Timestamp;
use tokio::time::{Instant, sleep};

use super::super::error::Fault;
use super::super::retry::Kind;
use super::super::rows::millis;
use super::super::several;
use super::super::statement::Param;
use super::super::statements::MAXIMUM_BATCH;
use super::node::Node;
use super::rows;

/// The interval at which a node notices the changes of others.
const INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time between two polls.
const PAUSE: Duration = Duration::from_millis(2);
/// The maximum number of changed mailboxes in one poll.
const MAXIMUM_CHANGED: i64 = 1000;
/// The interval at which each node removes expired mailboxes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The time for which an expired mailbox is kept, so that a host whose clock is behind still finds it.
const SWEEP_GRACE: Duration = Duration::from_secs(60);
/// The maximum number of mailboxes that one statement removes.
const SWEPT_AT_ONCE: i64 = 25;

/// Polls until the node is dropped.
pub(super) async fn poll(node: Weak<Node>) {
    let mut state = State {
        is_failing: false,
        broken_at: None,
        swept_at: Instant::now(),
    };
    loop {
        let Some(node) = node.upgrade() else { return };
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = node.is_called.notified() => {}
        }
        // The calls of many nodes make one poll.
        sleep(PAUSE).await;
        // A panic, for example because a log cannot be written, ends one round and not the task.
        let round = AssertUnwindSafe(node.round(&mut state));
        let _ = round.catch_unwind().await;
    }
}

/// The state of the polling.
struct State {
    is_failing: bool,
    /// The moment at which a connection last broke, as the last round has seen it.
    broken_at: Option<std::time::Instant>,
    swept_at: Instant,
}

impl Node {
    async fn round(&self, state: &mut State) {
        if self.watches.load(Ordering::Acquire) {
            match self.notice().await {
                Ok(()) => {
                    let broken_at = self.store.retrier.suspicion.raised_at();
                    let was_broken = std::mem::replace(&mut state.broken_at, broken_at) != broken_at;
                    if std::mem::take(&mut state.is_failing) || was_broken {
                        // After a failover, watches and notices may be gone with the last transactions.
                        self.signal.miss();
                    }
                }
                Err(fault) => {
                    if !std::mem::replace(&mut state.is_failing, true) {
                        tracing::warn!(error = %fault.error, "the changes of mailboxes are not noticed");
                    }
                }
            }
        }
        if state.swept_at.elapsed() >= SWEEP_INTERVAL {
            state.swept_at = Instant::now();
            if let Err(fault) = self.sweep(Timestamp::now()).await {
                tracing::warn!(error = %fault.error, "expired mailboxes could not be swept");
            }
        }
    }

    /// Reports the mailboxes that other nodes have changed. Those that are left are reported in the next round.
    async fn notice(&self) -> Result<(), Fault> {
        let retrier = &self.store.retrier;
        let params = [Param::Number(self.id), Param::Number(MAXIMUM_CHANGED)];
        let asked = retrier.ask(retrier.deadline(), Kind::Read, &self.statements.changed, &params);
        let found = asked.await?.rows;
        let names: Vec<Name> = found.iter().filter_map(|row| rows::name(row).ok()).collect();
        let mut noticed = Ok(());
        for names in names.chunks(MAXIMUM_BATCH) {
            let texts: Vec<&str> = names.iter().map(Name::as_str).collect();
            let (sql, size) = self.statements.notice.of_size(names.len());
            let mut params = vec![Param::Number(self.id)];
            params.extend(several(&texts, size));
            let asked = retrier.ask(retrier.deadline(), Kind::Write, sql, &params).await;
            // Also after a fault: the notice may be gone.
            for name in names {
                self.signal.report(name.clone());
            }
            // A mailbox that is locked delays no other.
            noticed = noticed.and(asked.map(|_| ()));
        }
        if found.len() as u64 >= MAXIMUM_CHANGED.cast_unsigned() {
            self.is_called.notify_one();
        }
        noticed
    }

    /// Removes the mailboxes that expired before the grace, and returns their number.
    pub(super) async fn sweep(&self, now: Timestamp) -> Result<u64, Fault> {
        let retrier = &self.store.retrier;
        let before = Param::Number(millis(now.saturating_sub(SWEEP_GRACE)));
        let params = [before, before, Param::Number(SWEPT_AT_ONCE)];
        let mut swept = 0;
        loop {
            let batch = retrier.ask(retrier.deadline(), Kind::Write, &self.statements.sweep, &params);
            let batch = batch.await?.affected;
            swept += batch;
            if batch < SWEPT_AT_ONCE.cast_unsigned() {
                return Ok(swept);
            }
        }
    }
}
