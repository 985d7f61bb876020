//! Notifications of changed mailboxes between the nodes of one process.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tessera_connections::{Changed, Name};

/// The watches of all nodes of one store.
#[derive(Default)]
pub(crate) struct Wakes {
    watches: Mutex<HashMap<Name, Vec<Weak<Signal>>>>,
}

/// The pending notifications of one node: at most one for each mailbox and record that it watched.
#[derive(Default)]
pub(crate) struct Signal {
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    names: HashSet<Name>,
    /// The keys of records.
    records: HashSet<Arc<str>>,
    has_missed: bool,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change of the data is complete before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wakes {
    /// Reports the next change of the mailbox to this node.
    pub(crate) fn watch(&self, name: &Name, signal: &Arc<Signal>) {
        let mut watches = lock(&self.watches);
        let nodes = watches.entry(name.clone()).or_default();
        let watcher = Arc::downgrade(signal);
        nodes.retain(|node| node.strong_count() > 0 && !node.ptr_eq(&watcher));
        nodes.push(watcher);
    }

    /// Reports a change of the mailbox, and ends the watches on it.
    pub(crate) fn wake(&self, name: &Name) {
        let nodes = lock(&self.watches).remove(name);
        for node in nodes.iter().flatten().filter_map(Weak::upgrade) {
            node.notify(|pending| {
                pending.names.insert(name.clone());
            });
        }
    }

    /// Ends the watches on a mailbox that is gone.
    pub(crate) fn forget(&self, name: &Name) {
        lock(&self.watches).remove(name);
    }
}

impl Signal {
    fn notify(&self, note: impl FnOnce(&mut Pending)) {
        let mut pending = lock(&self.pending);
        note(&mut pending);
        let waker = pending.waker.take();
        drop(pending);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Reports that notifications may have been lost.
    #[cfg(any(feature = "redis", feature = "sql", feature = "sqlite"))]
    pub(crate) fn miss(&self) {
        self.notify(|pending| {
            pending.has_missed = true;
            // Every mailbox is read again, and every record watched again.
            pending.names.clear();
            pending.records.clear();
        });
    }

    /// Reports a change of a mailbox.
    #[cfg(any(feature = "redis", feature = "sql"))]
    pub(crate) fn report(&self, name: Name) {
        self.notify(|pending| {
            pending.names.insert(name);
        });
    }

    /// Reports a change of a record.
    #[cfg(feature = "redis")]
    pub(crate) fn report_record(&self, key: Arc<str>) {
        self.notify(|pending| {
            pending.records.insert(key);
        });
    }
}

/// The notifications of one node.
pub(crate) struct Changes(pub(crate) Arc<Signal>);

impl Stream for Changes {
    type Item = Changed;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Changed>> {
        let mut pending = lock(&self.0.pending);
        if std::mem::take(&mut pending.has_missed) {
            return Poll::Ready(Some(Changed::Missed));
        }
        // Before messages: a client whose session has ended receives no more of them.
        if let Some(key) = pending.records.iter().next().cloned() {
            pending.records.remove(&key);
            return Poll::Ready(Some(Changed::Record(key)));
        }
        if let Some(name) = pending.names.iter().next().cloned() {
            pending.names.remove(&name);
            return Poll::Ready(Some(Changed::Mailbox(name)));
        }
        pending.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
