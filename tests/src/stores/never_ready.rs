//! A store that never answers at once.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tessera::Timestamp;
use tessera::store::{
    Capabilities, Condition, Deletion, Entry, Expected, Page, Placement, Store, StoreError,
};

/// Keeps another store's answers back: each future is pending for its first one to three polls.
///
/// Of two questions, one waits before the other store is asked and one after, so that a repeat which asked again what was
/// done already would be seen.
#[derive(Debug)]
pub struct NeverReady<S> {
    inner: S,
    asked: AtomicUsize,
}

impl<S> NeverReady<S> {
    /// Slows a store down.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            asked: AtomicUsize::new(0),
        }
    }

    async fn slowly<T>(&self, question: impl Future<Output = T>) -> T {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let polls = 1 + asked % 3;
        if asked.is_multiple_of(2) {
            pending(polls).await;
            question.await
        } else {
            let answer = question.await;
            pending(polls).await;
            answer
        }
    }
}

/// Is pending for so many polls.
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

impl<S: Store> Store for NeverReady<S> {
    fn describe(&self) -> Capabilities {
        self.inner.describe()
    }

    async fn get(&self, now: Timestamp, key: &str, fresh: bool) -> Result<Entry, StoreError> {
        self.slowly(self.inner.get(now, key, fresh)).await
    }

    async fn get_many(
        &self,
        now: Timestamp,
        keys: &[String],
    ) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        self.slowly(self.inner.get_many(now, keys)).await
    }

    async fn insert(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.slowly(self.inner.insert(now, key, value, at)).await
    }

    async fn replace(
        &self,
        now: Timestamp,
        key: &str,
        value: &str,
        expected: Expected,
        at: &Placement,
    ) -> Result<u64, StoreError> {
        self.slowly(self.inner.replace(now, key, value, expected, at))
            .await
    }

    async fn touch(
        &self,
        now: Timestamp,
        key: &str,
        owner: Option<&str>,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.slowly(self.inner.touch(now, key, owner, expires_at)).await
    }

    async fn delete(&self, now: Timestamp, key: &str, condition: &Condition) -> Result<bool, StoreError> {
        self.slowly(self.inner.delete(now, key, condition)).await
    }

    async fn delete_many(
        &self,
        now: Timestamp,
        deletions: &[Deletion],
        owner: &str,
    ) -> Result<u32, StoreError> {
        self.slowly(self.inner.delete_many(now, deletions, owner)).await
    }

    async fn list_owned(
        &self,
        now: Timestamp,
        owner: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, StoreError> {
        self.slowly(self.inner.list_owned(now, owner, cursor, limit))
            .await
    }
}
