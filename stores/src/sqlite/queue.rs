//! What waits for the writer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::closed;
use crate::{Condition, Deletion, Expected, Listed, Placement, StoreError};
use tessera_contract::Timestamp;

/// How many writes go into one transaction at most.
const BATCH: usize = 256;
/// How many writes wait at most; beyond, they are refused.
const MAXIMUM_WAITING: usize = 4096;
/// How many bytes of values wait at most; one write is always let in, whatever its length.
const MAXIMUM_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// When to try again: a full queue takes the writer about as long.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A write, with all it needs.
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
    /// Of another store's entry, over this version at most.
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

/// A version after a write, how many entries were there after a removal, 0 after a touch.
pub(super) type Reply = Result<u64, StoreError>;

pub(super) struct Job {
    pub(super) write: Write,
    pub(super) reply: oneshot::Sender<Reply>,
}

impl Job {
    pub(super) fn answer(self, reply: Reply) {
        // The caller may be gone; the write is done all the same.
        let _ = self.reply.send(reply);
    }
}

/// What the writer is told.
pub(super) enum Taken {
    /// At least one write.
    Jobs(Vec<Job>),
    /// Nothing came in the time given.
    Nothing,
    /// Nothing is left and nothing will come.
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
    /// Puts a write at the end; the answer comes through the receiver.
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

    /// Takes what is there, at most [`BATCH`]; waits for the first, for ever if no time is given.
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

    /// Takes no more writes; those that wait are still done.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Takes no more writes and refuses those that wait: there is no writer any more.
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
