//! The state that all clones of a store share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sqlx::postgres::PgConnectOptions;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::retry::Retrier;
use super::statements::Statements;

pub(super) struct Shared {
    pub(super) retrier: Retrier,
    pub(super) statements: Statements,
    /// For the tables of mailboxes beside those of the sessions.
    #[cfg(feature = "connections")]
    pub(super) target: super::driver::Target,
    #[cfg(feature = "connections")]
    pub(super) table: super::dialect::Table,
    pub(super) survives_failover: bool,
    pub(super) maximum_value_bytes: u32,
    /// The server at which this store listens for notifications; `None` if it cannot.
    pub(super) listens_at: Option<Box<PgConnectOptions>>,
    /// The channel of notifications.
    pub(super) channel: String,
    pub(super) announces: AtomicBool,
    pub(super) sweeper: Mutex<Option<JoinHandle<()>>>,
    /// The runtime on which the store was opened and its connections run.
    pub(super) runtime: Handle,
}

impl Shared {
    pub(super) fn end(&self) {
        self.retrier.is_closed.store(true, Ordering::Release);
        let mut sweeper = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sweeper) = sweeper.take() {
            sweeper.abort();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end();
    }
}
