//! The part of an attachment that its node knows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tessera_connections::{Head, Holder, Name};
use tessera_contract::Timestamp;
use tokio::sync::Notify;

use super::watch::Watch;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change of the data is complete before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why this node closes a socket by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// The session has ended.
    Over,
    /// The node stops, or the session cannot be judged.
    TryAgain,
}

/// The part of an attachment that the node knows.
pub(super) struct Attached {
    name: Name,
    holder: Holder,
    session: String,
    /// The connection ends then.
    pub(super) ends_at: Timestamp,
    pub(super) watch: Mutex<Watch>,
    /// Whether the mailbox has noted the holder. Before, its lease is not this node's to renew.
    is_holder: AtomicBool,
    closing: Mutex<Option<Closing>>,
    /// Wakes the reader.
    notify: Notify,
    /// Notified when the node closes the socket.
    closed: Notify,
}

impl Attached {
    pub(super) fn new(name: Name, holder: Holder, head: Head, watch: Watch) -> Self {
        Self {
            name,
            holder,
            session: head.session,
            ends_at: head.ends_at,
            watch: Mutex::new(watch),
            is_holder: AtomicBool::new(false),
            closing: Mutex::default(),
            notify: Notify::new(),
            closed: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn wake(&self) {
        // The reader is one task. A wake-up before it waits is kept.
        self.notify.notify_one();
    }

    pub(super) fn close(&self, closing: Closing) {
        lock(&self.closing).get_or_insert(closing);
        self.closed.notify_waiters();
        self.wake();
    }

    pub(super) fn holder(&self) -> Holder {
        self.holder
    }

    /// Notes that the mailbox has this holder.
    pub(super) fn set_holder(&self) {
        self.is_holder.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_holder(&self) -> bool {
        self.is_holder.load(Ordering::SeqCst)
    }

    /// The public id of the session that the connection belongs to.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// The key of the session's record.
    pub(super) fn key(&self) -> Arc<str> {
        Arc::clone(lock(&self.watch).key())
    }

    /// Why this node closes the socket, if it does.
    pub(super) fn closing(&self) -> Option<Closing> {
        *lock(&self.closing)
    }

    /// Waits until the node closes the socket.
    pub(super) async fn closed(&self) {
        let closed = self.closed.notified();
        tokio::pin!(closed);
        // Registered before the reason is read.
        closed.as_mut().enable();
        if self.closing().is_none() {
            closed.await;
        }
    }

    /// Waits until the reader is woken.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}
