//! The writer's thread: it writes the queued writes in one transaction, and acknowledges them after its commit.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::{commit_failed, not_done};
use super::queue::{Job, Queue, Reply, Taken};
use super::statements;
use crate::{SWEEP_GRACE, StoreError};
use tessera_contract::Timestamp;

/// The result of the thread: whether the log was moved into the database and the file closed.
pub(super) type Closed = rusqlite::Result<()>;

/// Starts the writer. It ends when the queue is closed and empty.
pub(super) fn start(
    connection: Connection,
    queue: Arc<Queue>,
    sweep_interval: Duration,
) -> io::Result<JoinHandle<Closed>> {
    let next_sweep = (!sweep_interval.is_zero()).then(|| Instant::now() + sweep_interval);
    let writer = Writer {
        connection,
        queue,
        sweep_interval,
        next_sweep,
    };
    Builder::new()
        .name("tessera-sqlite".to_owned())
        .spawn(move || writer.run())
}

struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    sweep_interval: Duration,
    /// `None`: never.
    next_sweep: Option<Instant>,
}

/// Refuses the queued writes when the thread ends, so that no caller waits for ever.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The outcome of a transaction.
enum Outcome {
    /// Committed, with a reply for each write.
    Committed(Vec<Reply>),
    /// Not done, or of unknown outcome: one error for all writes.
    Failed(StoreError),
    /// One write failed in a way that made SQLite roll back the whole transaction.
    Spoiled(StoreError),
}

impl Writer {
    fn run(mut self) -> Closed {
        let _abandon = Abandon(Arc::clone(&self.queue));
        // A panic, for example because a log cannot be written, ends one turn and not the writer.
        // Its transaction is rolled back or committed, and its callers receive an unknown outcome.
        while !matches!(
            catch_unwind(AssertUnwindSafe(|| self.turn())),
            Ok(ControlFlow::Break(()))
        ) {}
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error)
    }

    /// Writes the queued writes, and sweeps if a sweep is due.
    fn turn(&mut self) -> ControlFlow<()> {
        let patience = self
            .next_sweep
            .map(|at| at.saturating_duration_since(Instant::now()));
        match self.queue.take(patience) {
            Taken::Jobs(jobs) => self.write(jobs),
            Taken::Nothing => {}
            Taken::Closed => return ControlFlow::Break(()),
        }
        self.sweep_if_due();
        ControlFlow::Continue(())
    }

    fn write(&self, jobs: Vec<Job>) {
        match self.attempt(&jobs) {
            Outcome::Committed(replies) => {
                jobs.into_iter()
                    .zip(replies)
                    .for_each(|(job, reply)| job.answer(reply));
            }
            Outcome::Failed(error) => jobs.into_iter().for_each(|job| job.answer(Err(error.clone()))),
            Outcome::Spoiled(_) if jobs.len() > 1 => {
                // None was done. Each write is repeated alone, so that only the faulty one fails.
                jobs.into_iter().for_each(|job| self.write(vec![job]));
            }
            Outcome::Spoiled(error) => jobs.into_iter().for_each(|job| job.answer(Err(error.clone()))),
        }
    }

    fn attempt(&self, jobs: &[Job]) -> Outcome {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return Outcome::Failed(not_done(error));
        }
        let _rollback = RollBack(&self.connection);
        let mut replies = Vec::with_capacity(jobs.len());
        for job in jobs {
            let reply = statements::apply(&self.connection, &job.write);
            match reply {
                Err(error) if self.connection.is_autocommit() => return Outcome::Spoiled(error),
                reply => replies.push(reply),
            }
        }
        match self.execute("COMMIT") {
            Ok(()) => Outcome::Committed(replies),
            Err(error) => {
                tracing::error!(%error, "a transaction could not be committed");
                Outcome::Failed(commit_failed(error))
            }
        }
    }

    /// Sweeps one batch if a sweep is due, so that writes do not wait long. After a full batch, the next one is due at once.
    fn sweep_if_due(&mut self) {
        let now = Instant::now();
        if self.next_sweep.is_none_or(|at| at > now) {
            return;
        }
        // Set first, so that a sweep that panics is not repeated at once.
        self.next_sweep = Some(now + self.sweep_interval);
        let before = Timestamp::now().saturating_sub(SWEEP_GRACE);
        let is_full_batch = match statements::sweep(&self.connection, before) {
            Ok(swept) => {
                if swept > 0 {
                    tracing::debug!(swept, "swept expired entries");
                }
                swept >= statements::SWEEP_BATCH
            }
            Err(error) => {
                tracing::warn!(%error, "expired entries could not be swept");
                false
            }
        };
        if is_full_batch {
            self.next_sweep = Some(now);
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}

/// Rolls back the transaction, unless it was committed, when it is dropped.
struct RollBack<'a>(&'a Connection);

impl Drop for RollBack<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStore;
    use super::super::queue::Write;
    use crate::{Placement, Store as _, StoreError};
    use tessera_contract::Timestamp;

    #[tokio::test]
    async fn a_panic_ends_one_write_and_not_the_writer() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::builder()
            .open(directory.path().join("s.db"))
            .unwrap();
        let (now, later) = (Timestamp::from_millis(1), Timestamp::from_millis(1_000));
        let at = Placement {
            owner: None,
            previous_owner: None,
            guard: None,
            expires_at: later,
            ends_at: later,
        };
        for key in ["a", "b"] {
            let answer = store.write(Write::Panic).await;
            assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
            store.insert(now, key, "1", &at).await.unwrap();
        }
        assert_eq!(&*store.get(now, "a", true).await.unwrap().value, "1");
        store.close().unwrap();
    }
}
