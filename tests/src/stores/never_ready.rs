//! A store that is never ready at the first poll.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tessera::Timestamp;
use tessera::store::{Capabilities, StoreOp, StoreReply, StoreService};

/// Delays the replies of another store: each future is pending for its first one to three polls.
///
/// Operations wait alternately before and after the call of the other store, so that a repeated pass which performs an
/// operation again would be detected.
#[derive(Debug)]
pub struct NeverReady<S> {
    inner: S,
    asked: AtomicUsize,
}

impl<S> NeverReady<S> {
    /// Wraps a store.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            asked: AtomicUsize::new(0),
        }
    }
}

/// Is pending for this number of polls.
async fn pending(polls: usize) {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<S: StoreService> StoreService for NeverReady<S> {
    fn describe(&self) -> Capabilities {
        self.inner.describe()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let polls = 1 + asked % 3;
        if asked.is_multiple_of(2) {
            pending(polls).await;
            self.inner.call(now, op).await
        } else {
            let reply = self.inner.call(now, op).await;
            pending(polls).await;
            reply
        }
    }
}
