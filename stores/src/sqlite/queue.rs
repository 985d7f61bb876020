//! The queue of writes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::closed;
use crate::{Condition, Deletion, Expected, Listed, Placement, StoreError};
use tessera_contract::Timestamp;

/// The maximum number of writes in one transaction.
const BATCH: usize = 256;
/// The maximum number of queued writes; further ones are refused.
const MAXIMUM_WAITING: usize = 4096;
/// The maximum size of the queued values in bytes. An empty queue accepts a write of any length.
const MAXIMUM_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// The suggested pause before a retry: about the time in which the writer empties a full queue.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A write with its arguments.
pub(super) enum Write {
    Insert {
        now: Timestamp,
        key: String,
        value: String,
        at: Placement,
    },
    Replace {
        now: Timestamp,
        key: String,
        value: String,
        expected: Expected,
        at: Placement,
    },
    /// A copy of another store's entry. It overwrites at most the version `over`.
    Import {
        now: Timestamp,
        row: Listed,
        value: Arc<str>,
        over: u64,
    },
    Touch {
        now: Timestamp,
        key: String,
        expires_at: Timestamp,
    },
    Delete {
        now: Timestamp,
        key: String,
        condition: Condition,
    },
    DeleteMany {
        now: Timestamp,
        deletions: Vec<Deletion>,
        owner: String,
    },
    Sweep {
        before: Timestamp,
    },
    #[cfg(test)]
    Panic,
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Insert { value, .. } | Self::Replace { value, .. } => value.len(),
            Self::Import { value, .. } => value.len(),
            _ => 0,
        }
    }
}

/// The new version after a write, the number of live entries removed after a deletion, the number of entries removed after a
/// sweep, 0 after a touch.
pub(super) type Reply = Result<u64, StoreError>;

pub(super) struct Job {
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Reply>,
}

impl Job {
    pub(super) fn answer(self, reply: Reply) {
        // The caller may be gone; the write is done nevertheless.
        let _ = self.reply.send(reply);
    }
}

/// The result of [`Queue::take`].
pub(super) enum Taken {
    /// At least one write.
    Jobs(Vec<Job>),
    /// No write arrived in time.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    /// Queues a write; the receiver gets its result.
    pub(super) fn push(&self, write: Write) -> Result<oneshot::Receiver<Reply>, StoreError> {
        let bytes = write.bytes();
        let mut state = self.lock();
        if state.is_closed {
            return Err(closed());
        }
        let too_many_bytes = !state.jobs.is_empty() && state.bytes + bytes > MAXIMUM_WAITING_BYTES;
        if state.jobs.len() >= MAXIMUM_WAITING || too_many_bytes {
            return Err(StoreError::Throttled(TRY_AGAIN_AFTER));
        }
        let (reply, answer) = oneshot::channel();
        state.bytes += bytes;
        state.jobs.push_back(Job { write, reply });
        let was_empty = state.jobs.len() == 1;
        drop(state);
        if was_empty {
            self.changed.notify_one();
        }
        Ok(answer)
    }

    /// Takes the queued writes, at most [`BATCH`]. Waits for the first one, without limit if `patience` is `None`.
    pub(super) fn take(&self, patience: Option<Duration>) -> Taken {
        let is_idle = |state: &mut State| state.jobs.is_empty() && !state.is_closed;
        let state = self.lock();
        let mut state = match patience {
            None => self
                .changed
                .wait_while(state, is_idle)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.changed
                    .wait_timeout_while(state, patience, is_idle)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        if state.jobs.is_empty() {
            return if state.is_closed {
                Taken::Closed
            } else {
                Taken::Nothing
            };
        }
        let count = state.jobs.len().min(BATCH);
        let jobs: Vec<Job> = state.jobs.drain(..count).collect();
        state.bytes -= jobs.iter().map(|job| job.write.bytes()).sum::<usize>();
        Taken::Jobs(jobs)
    }

    /// Refuses further writes; the queued ones are still done.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Refuses further writes and the queued ones, because the writer has ended.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.bytes = 0;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        for job in jobs {
            job.answer(Err(closed()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
