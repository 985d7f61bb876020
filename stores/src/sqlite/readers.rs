//! The connections for reads.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use super::error::closed;
use crate::StoreError;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The number of this thread, assigned at its first read.
    static THREAD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
}

/// A few connections, each behind a lock that is held for one read.
pub(super) struct Readers {
    connections: Box<[Mutex<Option<Connection>>]>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            connections: connections
                .into_iter()
                .map(|each| Mutex::new(Some(each)))
                .collect(),
        }
    }

    /// Runs a read on this thread's connection, or on another free one.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.choose() {
            Some(connection) => question(connection),
            None => Err(closed()),
        }
    }

    /// Closes all connections, each after its current read.
    pub(super) fn close(&self) {
        for connection in &self.connections {
            lock(connection).take();
        }
    }

    fn choose(&self) -> MutexGuard<'_, Option<Connection>> {
        let count = self.connections.len();
        let first = THREAD.get() % count;
        for place in (first..count).chain(0..first) {
            match self.connections[place].try_lock() {
                Ok(connection) => return connection,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        lock(&self.connections[first])
    }
}

/// Locks a connection. A panic during a read leaves it usable, because its statement is reset when it is dropped.
fn lock(connection: &Mutex<Option<Connection>>) -> MutexGuard<'_, Option<Connection>> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
