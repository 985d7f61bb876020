//! One process over the mailboxes: its changes, its reads, and what it watches.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tessera_connections::{Batch, Limit, MailboxError, MessageId, Name};
use tessera_contract::Timestamp;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout_at};

use super::super::error::{Fault, SqlError};
use super::super::retry::Kind;
use super::super::rows::millis;
use super::super::shared::Shared;
use super::super::statement::{Param, Row, Sql};
use super::opened::{Change, Done, Failed, Scene, apply};
use super::queue::Queue;
use super::rows;
use super::statements::Statements;
use crate::StoreError;
use crate::mail::or_false;
use crate::wakes::Signal;

/// One process, as the mailboxes' watcher.
pub(super) struct Node {
    pub(super) store: Arc<Shared>,
    pub(super) statements: Statements,
    pub(super) signal: Arc<Signal>,
    pub(super) id: i64,
    /// Whether this node may have watches.
    pub(super) watches: AtomicBool,
    /// The channel of notifications between nodes.
    pub(super) channel: String,
    /// Notified when this node has changed a mailbox.
    pub(super) has_changed: Notify,
    pub(super) queue: Queue,
    /// Notified when another node has changed mailboxes.
    pub(super) is_called: Notify,
}

/// The times after which a change of unknown outcome is reported again: the server may still commit it.
const REPORTED_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Reports a change by this node, also if the caller goes away before the answer.
struct Report<'a> {
    node: &'a Node,
    name: &'a Name,
    /// Whether the server has answered.
    is_known: bool,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.node.signal.report(self.name.clone());
        self.node.has_changed.notify_one();
        if !self.is_known {
            let (signal, name) = (Arc::clone(&self.node.signal), self.name.clone());
            self.node.store.runtime.spawn(async move {
                for pause in REPORTED_AGAIN {
                    sleep(pause).await;
                    signal.report(name.clone());
                }
            });
        }
    }
}

impl Node {
    /// Changes a live mailbox in one transaction.
    pub(super) async fn change(
        &self,
        now: Timestamp,
        name: &Name,
        change: Change<'_>,
    ) -> Result<Done, MailboxError> {
        let retrier = &self.store.retrier;
        let scene = Scene {
            retrier,
            statements: &self.statements,
            deadline: retrier.deadline(),
            node: self.id,
            name,
        };
        retrier.check_access(Kind::Write).map_err(Fault::of_write)?;
        let turn = timeout_at(scene.deadline, self.queue.turn(name)).await;
        let _turn = turn.map_err(|_| Fault::not_done(SqlError::NoConnection).of_write())?;
        let mut tries = 1;
        loop {
            let fault = match self.attempt(&scene, now, change).await {
                Ok(done) => return done,
                Err(Failed::Store(error)) => return Err(error.into()),
                Err(Failed::Statement(fault)) => fault,
            };
            let pause = retrier.pause_after(fault, Kind::Write, tries, scene.deadline);
            pause.await.map_err(Fault::of_write)?;
            tries += 1;
        }
    }

    async fn attempt(
        &self,
        scene: &Scene<'_>,
        now: Timestamp,
        change: Change<'_>,
    ) -> Result<Result<Done, MailboxError>, Failed> {
        let retrier = scene.retrier;
        let mut lease = retrier.lease(scene.deadline).await?;
        let applied = async {
            retrier.within(scene.deadline, lease.begin()).await?;
            let done = apply(scene, &mut lease, now, change).await?;
            retrier.within(scene.deadline, lease.commit()).await?;
            Ok(done)
        };
        match applied.await {
            Ok(done) => {
                lease.give_back();
                Ok(done)
            }
            // The drop of the lease closes the connection, so that the server undoes the transaction.
            Err(Failed::Store(error)) => Err(Failed::Store(error)),
            Err(Failed::Statement(fault)) => retrier.end(lease, Err(fault)).map_err(Failed::Statement),
        }
    }

    /// A change that the readers of this node notice as well.
    pub(super) async fn change_noticed(
        &self,
        now: Timestamp,
        name: &Name,
        change: Change<'_>,
    ) -> Result<Done, MailboxError> {
        let mut report = Report {
            node: self,
            name,
            is_known: false,
        };
        let changed = self.change(now, name, change).await;
        report.is_known = !matches!(changed, Err(MailboxError::Store(StoreError::OutcomeUnknown(_))));
        changed
    }

    /// As [`change_noticed`](Self::change_noticed); returns whether the change applied. A missing mailbox is no error.
    pub(super) async fn applied(
        &self,
        now: Timestamp,
        name: &Name,
        change: Change<'_>,
    ) -> Result<bool, MailboxError> {
        or_false(match self.change_noticed(now, name, change).await {
            Ok(done) => Ok(matches!(done, Done::Applied(true))),
            Err(error) => Err(error),
        })
    }

    pub(super) async fn rows(&self, sql: &Sql, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let retrier = &self.store.retrier;
        let answer = retrier.ask(retrier.deadline(), Kind::Read, sql, params).await;
        answer.map(|answer| answer.rows).map_err(Fault::of_read)
    }

    pub(super) async fn write(&self, sql: &Sql, params: &[Param<'_>]) -> Result<u64, Fault> {
        let retrier = &self.store.retrier;
        let answer = retrier.ask(retrier.deadline(), Kind::Write, sql, params).await;
        answer.map(|answer| answer.affected)
    }

    /// Reads once. `None` if this node does not watch the mailbox.
    pub(super) async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Option<Batch>, MailboxError> {
        // With the message of the place itself, whose stamp proves the place; then from the oldest one.
        for from in [after.number, 0] {
            let params = [
                Param::Number(self.id),
                Param::Number(from.cast_signed()),
                Param::Bytes(name.as_str().as_bytes()),
                Param::Number(millis(now)),
                Param::Number(i64::from(limit.messages.max(1)) + 1),
            ];
            let found = self.rows(&self.statements.read, &params).await?;
            let row = found.first().ok_or(MailboxError::Missing)?;
            let (state, _) = rows::state(row, name)?;
            if !rows::is_watched(row)? {
                return Ok(None);
            }
            if let Some(batch) = rows::batch(&found, &state, after, limit)? {
                return Ok(Some(batch));
            }
        }
        Err(StoreError::Corrupt.into())
    }
}
