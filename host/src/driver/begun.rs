//! The writes that calls have begun and not ended.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

/// The number of calls of one engine that have begun to write.
#[derive(Default)]
pub(crate) struct Begun {
    count: AtomicUsize,
    ended: Notify,
}

/// One call that has begun to write.
pub(crate) struct Writing(Arc<Begun>);

impl Begun {
    pub(crate) fn begin(self: &Arc<Self>) -> Writing {
        self.count.fetch_add(1, Ordering::SeqCst);
        Writing(Arc::clone(self))
    }

    pub(crate) fn writes(self: &Arc<Self>) -> BegunWrites {
        BegunWrites(Arc::downgrade(self))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_waiters();
    }
}

/// The writes that the calls of one engine have begun. This does not keep the engine.
///
/// A call that has begun to write completes although its caller drops it, in a task of the runtime.
/// A program that ends its runtime, or its process, ends these tasks; so it waits here first.
///
/// ```no_run
/// # async fn stop(sessions: tessera::Sessions) {
/// use std::time::Duration;
///
/// // After the last request:
/// let finished = tokio::time::timeout(Duration::from_secs(5), sessions.begun_writes().finish()).await;
/// if finished.is_err() {
///     eprintln!("the store does not answer");
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct BegunWrites(Weak<Begun>);

impl BegunWrites {
    /// Waits until no call has begun a write and not ended, whether its caller waits for it or has dropped it.
    ///
    /// A write ends at the latest when the store's time-out fails it.
    pub fn finish(&self) -> impl Future<Output = ()> + Send + use<> {
        let begun = self.0.upgrade();
        async move {
            let Some(begun) = begun else { return };
            loop {
                let mut ended = std::pin::pin!(begun.ended.notified());
                // Registered before the count is read.
                ended.as_mut().enable();
                if begun.count.load(Ordering::SeqCst) == 0 {
                    return;
                }
                ended.await;
            }
        }
    }

    /// Whether the engine is gone and has left no write, so that there is nothing to wait for any more.
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl std::fmt::Debug for BegunWrites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.upgrade().map(|begun| begun.count.load(Ordering::SeqCst));
        f.debug_struct("BegunWrites")
            .field("count", &count.unwrap_or_default())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::store::{Capabilities, MemoryStore, Store, StoreOp, StoreReply, StoreService};
    use crate::{Sessions, Timestamp};

    /// Writes when it may, and counts its writes.
    #[derive(Clone)]
    struct Held {
        store: Arc<MemoryStore>,
        may_write: Arc<Notify>,
        written: Arc<AtomicUsize>,
    }

    impl Held {
        fn new() -> Self {
            Self {
                store: Arc::new(MemoryStore::new()),
                may_write: Arc::default(),
                written: Arc::default(),
            }
        }
    }

    impl StoreService for Held {
        fn describe(&self) -> Capabilities {
            Store::describe(&*self.store)
        }

        async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
            if !op.writes() {
                return self.store.call(now, op).await;
            }
            self.may_write.notified().await;
            let reply = self.store.call(now, op).await;
            self.written.fetch_add(1, Ordering::SeqCst);
            reply
        }
    }

    fn is_pending(future: std::pin::Pin<&mut impl Future>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn a_write_whose_caller_has_gone_is_waited_for() {
        let store = Held::new();
        let builder = Sessions::builder().signing_key("k", [7; 32]);
        let sessions = builder.build(store.clone()).expect("valid");
        let begun = sessions.begun_writes();
        begun.finish().await;

        let session = sessions.create();
        session.set("a", &1).expect("set");
        let mut save = Box::pin(session.save());
        assert!(is_pending(save.as_mut()));
        let mut finish = pin!(begun.finish());
        assert!(is_pending(finish.as_mut()));
        drop(save);
        assert!(is_pending(finish.as_mut()));
        drop((session, sessions));
        assert!(!begun.is_over());

        store.may_write.notify_one();
        finish.await;
        assert_eq!(store.written.load(Ordering::SeqCst), 1);
        assert!(begun.is_over());
    }

    #[tokio::test]
    async fn a_read_is_not_waited_for() {
        let store = Held::new();
        store.may_write.notify_one();
        let builder = Sessions::builder().signing_key("k", [7; 32]);
        let sessions = builder.build(store).expect("valid");
        let token = sessions.create().save().await.expect("saved").token.expect("new");
        let mut open = Box::pin(sessions.open(&token));
        let _polled = is_pending(open.as_mut());
        sessions.begun_writes().finish().await;
    }
}
