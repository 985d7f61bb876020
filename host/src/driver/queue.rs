//! Queues of the writers of one record, so that they do not contend in the store.
//!
//! A queue is an optimisation and not a lock: the store still compares and swaps.
//! Saves, renewals, touches (and so confirmations), and logins that keep fields wait.
//! A save or renewal that finds its queue full or waits too long is refused, and writes nothing: if a crowd of saves contended
//! in the store, no writer would succeed.
//! A touch or login proceeds instead, and so does every writer without a timer.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::store::Entry;

/// The longest wait of a writer for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// The number of locks that guard the queues.
const SHARDS: usize = 16;

/// The precedence of a writer of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Touches (and so confirmations), and logins that keep fields.
    First,
    /// Saves and renewals.
    Then,
}

/// Too many saves of one record are waiting, or this one has waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

/// The writers of one record that wait for the current one.
#[derive(Default)]
struct Line {
    first: VecDeque<oneshot::Sender<Turn>>,
    then: VecDeque<oneshot::Sender<Turn>>,
}

impl Line {
    #[cfg(test)]
    fn len(&self) -> usize {
        self.first.len() + self.then.len()
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        self.first.pop_front().or_else(|| self.then.pop_front())
    }
}

type Lines = HashMap<Arc<str>, Line>;

/// All queues of one `Sessions`, by key. A key has a line while a writer has the turn.
pub(crate) struct Queues {
    places: usize,
    hasher: RandomState,
    shards: [Mutex<Lines>; SHARDS],
}

impl Queues {
    /// Creates queues with at most this many waiting writers of each rank for one record; with 0, no writer waits.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            hasher: RandomState::new(),
            shards: Default::default(),
        })
    }

    fn lines(&self, key: &str) -> MutexGuard<'_, Lines> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        // A panic under the lock leaves the lines consistent: every change of a line is one step.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to write a record; `None`: the writer proceeds without one.
    pub(crate) async fn enter(self: &Arc<Self>, key: &Arc<str>, rank: Rank) -> Result<Option<Turn>, Crowded> {
        // Without a timer, a writer that is never polled again would block all others.
        if self.places == 0 || tokio::runtime::Handle::try_current().is_err() {
            return Ok(None);
        }
        let without = match rank {
            Rank::First => Ok(None),
            Rank::Then => Err(Crowded),
        };
        let waiting = {
            let mut lines = self.lines(key);
            let Some(line) = lines.get_mut(key) else {
                lines.insert(Arc::clone(key), Line::default());
                return Ok(Some(Turn {
                    queues: Arc::clone(self),
                    key: Arc::clone(key),
                    last: None,
                }));
            };
            // Each rank has places of its own, so that a crowd of saves does not exclude a login.
            let waiting = match rank {
                Rank::First => &mut line.first,
                Rank::Then => &mut line.then,
            };
            // Cancelled writers free their places.
            if waiting.len() >= self.places {
                waiting.retain(|turn| !turn.is_closed());
            }
            if waiting.len() >= self.places {
                return without;
            }
            let (turn, turned) = oneshot::channel();
            waiting.push_back(turn);
            turned
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(turn)) => Ok(Some(turn)),
            Ok(Err(_)) | Err(_) => without,
        }
    }

    /// The number of writers that wait for a record or write it.
    #[cfg(test)]
    fn len(&self, key: &str) -> usize {
        self.lines(key).get(key).map_or(0, |line| line.len() + 1)
    }
}

/// The turn to write one record. It goes to the next writer when it is dropped.
pub(crate) struct Turn {
    queues: Arc<Queues>,
    key: Arc<str>,
    /// The entry as the previous writers left it, if known.
    pub(crate) last: Option<Entry>,
}

impl Turn {
    /// Whether this is the turn for the record of this key.
    pub(crate) fn is_for(&self, key: &str) -> bool {
        *self.key == *key
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
            // If the receiver is gone, the turn is dropped, and so passes to the next writer.
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

    fn taken<F: Future<Output = Result<Option<Turn>, Crowded>>>(
        future: std::pin::Pin<&mut F>,
    ) -> Option<Turn> {
        match polled(future) {
            Poll::Ready(turn) => turn.unwrap(),
            Poll::Pending => None,
        }
    }

    async fn first(queues: &Arc<Queues>, key: &Arc<str>) -> Turn {
        queues.enter(key, Rank::Then).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn turns_come_one_by_one_and_logins_before_saves() {
        let (queues, key) = (Queues::new(64), Arc::from("key"));
        let turn = first(&queues, &key).await;
        let mut save = pin!(queues.enter(&key, Rank::Then));
        let mut login = pin!(queues.enter(&key, Rank::First));
        assert!(polled(save.as_mut()).is_pending() && polled(login.as_mut()).is_pending());
        assert!(turn.is_for("key") && !turn.is_for("other"));
        assert_eq!(queues.len("key"), 3);
        first(&queues, &Arc::from("other")).await;
        drop(turn);
        assert!(taken(save.as_mut()).is_none());
        drop(taken(login.as_mut()).unwrap());
        drop(taken(save.as_mut()).unwrap());
        assert_eq!(queues.len("key"), 0);
    }

    #[tokio::test]
    async fn who_went_away_is_passed_over_and_keeps_no_place() {
        let (queues, key) = (Queues::new(1), Arc::from("key"));
        let turn = first(&queues, &key).await;
        let mut last = Box::pin(queues.enter(&key, Rank::Then));
        let mut gone = Box::pin(queues.enter(&key, Rank::First));
        assert!(polled(last.as_mut()).is_pending() && polled(gone.as_mut()).is_pending());
        drop(gone);
        let mut login = Box::pin(queues.enter(&key, Rank::First));
        assert!(polled(login.as_mut()).is_pending());
        drop(login);
        drop(turn);
        // A turn that was sent and not received passes on as well.
        drop(last);
        assert_eq!(queues.len("key"), 0);
        first(&queues, &key).await;
    }

    #[tokio::test]
    async fn who_finds_no_place_is_refused_if_it_saves_and_goes_on_if_it_logs_in() {
        let (queues, key) = (Queues::new(1), Arc::from("key"));
        let turn = first(&queues, &key).await;
        let mut save = Box::pin(queues.enter(&key, Rank::Then));
        assert!(polled(save.as_mut()).is_pending());
        assert!(queues.enter(&key, Rank::Then).await.is_err());
        // Saves do not occupy the places of logins.
        let mut login = Box::pin(queues.enter(&key, Rank::First));
        assert!(polled(login.as_mut()).is_pending());
        assert!(queues.enter(&key, Rank::First).await.unwrap().is_none());
        drop(turn);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_two_seconds() {
        let (queues, key) = (Queues::new(64), Arc::from("key"));
        let turn = first(&queues, &key).await;
        let began = tokio::time::Instant::now();
        let (save, login) = tokio::join!(queues.enter(&key, Rank::Then), queues.enter(&key, Rank::First));
        assert!(save.is_err() && login.unwrap().is_none());
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
        assert!(runtime.block_on(none.enter(&key, Rank::Then)).unwrap().is_none());
    }
}
