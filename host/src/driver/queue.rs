//! Writers of one record wait for each other here, so that they do not contend in the store.
//!
//! A queue is an optimisation and never a lock: the store compares and swaps as before. A writer that finds no place, waits
//! too long, or has no timer goes on and contends in the store.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::store::Entry;

/// How long a writer waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many locks the queues are spread over.
const SHARDS: usize = 16;

/// Which writers of one record go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Confirmations and logins.
    First,
    /// Saves and renewals.
    Then,
}

/// The writers of one record that wait for the one whose turn it is.
#[derive(Default)]
struct Line {
    first: VecDeque<oneshot::Sender<Turn>>,
    then: VecDeque<oneshot::Sender<Turn>>,
}

impl Line {
    fn len(&self) -> usize {
        self.first.len() + self.then.len()
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        self.first.pop_front().or_else(|| self.then.pop_front())
    }
}

type Lines = HashMap<Arc<str>, Line>;

/// All queues of one `Sessions`, by key. A key has a line for as long as it is somebody's turn.
pub(crate) struct Queues {
    places: usize,
    hasher: RandomState,
    shards: [Mutex<Lines>; SHARDS],
}

impl Queues {
    /// At most so many writers wait for one record.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            hasher: RandomState::new(),
            shards: Default::default(),
        })
    }

    fn lines(&self, key: &str) -> MutexGuard<'_, Lines> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        // A panic under the lock leaves whole lines: nothing is done to one in several steps.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to write a record; `None` where the writer is to go on without.
    pub(crate) async fn enter(self: &Arc<Self>, key: &Arc<str>, rank: Rank) -> Option<Turn> {
        // Without a timer a writer that is never polled again would hold up all others.
        if self.places == 0 || tokio::runtime::Handle::try_current().is_err() {
            return None;
        }
        let waiting = {
            let mut lines = self.lines(key);
            let Some(line) = lines.get_mut(key) else {
                lines.insert(Arc::clone(key), Line::default());
                return Some(Turn {
                    queues: Arc::clone(self),
                    key: Arc::clone(key),
                    last: None,
                });
            };
            if line.len() >= self.places {
                return None;
            }
            let (turn, waiting) = oneshot::channel();
            match rank {
                Rank::First => line.first.push_back(turn),
                Rank::Then => line.then.push_back(turn),
            }
            waiting
        };
        tokio::time::timeout(PATIENCE, waiting).await.ok()?.ok()
    }

    /// How many writers wait for a record or write it.
    #[cfg(test)]
    fn len(&self, key: &str) -> usize {
        self.lines(key).get(key).map_or(0, |line| line.len() + 1)
    }
}

/// The turn to write one record. It goes to the next writer when it is dropped.
pub(crate) struct Turn {
    queues: Arc<Queues>,
    key: Arc<str>,
    /// The entry as the writers before have left it, as far as is known.
    pub(crate) last: Option<Entry>,
}

impl Turn {
    /// Whether it is the turn for this record.
    pub(crate) fn is_for(&self, key: &str) -> bool {
        *self.key == *key
    }

    /// Whether anybody waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        self.queues
            .lines(&self.key)
            .get(&self.key)
            .is_some_and(|line| line.len() > 0)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut lines = self.queues.lines(&self.key);
            let next = lines.get_mut(&self.key).and_then(Line::next);
            if next.is_none() {
                lines.remove(&self.key);
            }
            next
        };
        if let Some(next) = next {
            // One who has gone away hands it on in turn, by dropping it.
            let _ = next.send(Turn {
                queues: Arc::clone(&self.queues),
                key: Arc::clone(&self.key),
                last: self.last.take(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn polled<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn taken<F: Future<Output = Option<Turn>>>(future: std::pin::Pin<&mut F>) -> Option<Turn> {
        match polled(future) {
            Poll::Ready(turn) => turn,
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn turns_come_one_by_one_and_logins_before_saves() {
        let (queues, key) = (Queues::new(64), Arc::from("key"));
        let turn = queues.enter(&key, Rank::Then).await.unwrap();
        let mut save = pin!(queues.enter(&key, Rank::Then));
        let mut login = pin!(queues.enter(&key, Rank::First));
        assert!(polled(save.as_mut()).is_pending() && polled(login.as_mut()).is_pending());
        assert!(turn.is_awaited() && turn.is_for("key") && !turn.is_for("other"));
        assert!(queues.enter(&Arc::from("other"), Rank::Then).await.is_some());
        drop(turn);
        assert!(taken(save.as_mut()).is_none());
        drop(taken(login.as_mut()).unwrap());
        drop(taken(save.as_mut()).unwrap());
        assert_eq!(queues.len("key"), 0);
    }

    #[tokio::test]
    async fn who_went_away_is_passed_over_and_who_finds_no_place_goes_on() {
        let (queues, key) = (Queues::new(2), Arc::from("key"));
        let turn = queues.enter(&key, Rank::Then).await.unwrap();
        let mut last = Box::pin(queues.enter(&key, Rank::Then));
        let mut gone = Box::pin(queues.enter(&key, Rank::First));
        assert!(polled(last.as_mut()).is_pending() && polled(gone.as_mut()).is_pending());
        assert!(queues.enter(&key, Rank::First).await.is_none());
        drop(gone);
        drop(turn);
        // A turn that was sent and never taken is handed on as well.
        drop(last);
        assert_eq!(queues.len("key"), 0);
        assert!(queues.enter(&key, Rank::Then).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_two_seconds() {
        let (queues, key) = (Queues::new(64), Arc::from("key"));
        let turn = queues.enter(&key, Rank::Then).await.unwrap();
        let began = tokio::time::Instant::now();
        assert!(queues.enter(&key, Rank::Then).await.is_none());
        assert_eq!(began.elapsed(), PATIENCE);
        drop(turn);
        assert_eq!(queues.len("key"), 0);
    }

    #[test]
    fn nobody_waits_without_a_timer_or_without_places() {
        let key = Arc::from("key");
        let queues = Queues::new(64);
        assert!(taken(pin!(queues.enter(&key, Rank::Then))).is_none());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let none = Queues::new(0);
        assert!(runtime.block_on(none.enter(&key, Rank::Then)).is_none());
    }
}
