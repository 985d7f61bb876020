//! The state of one node.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tessera_connections::{EndReason, Mailbox, MailboxError, Name};
use tessera_contract::Timestamp;
use tokio::sync::{Notify, RwLock};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::attached::{Attached, lock};
use super::error::ConnectionError;
use super::presence::Presence;
use super::records::Records;
use super::registry::Registry;
use super::settings::Settings;
use crate::{SessionError, Sessions};

/// The number of sessions or mailboxes that are accessed at the same time.
pub(super) const CONCURRENT: usize = 32;
/// The maximum number of detached connections whose entry this node removes.
const MAXIMUM_LEAVING: usize = 100_000;

/// A detached connection, whose entry in the registry is removed if its client does not come back.
#[derive(Clone)]
pub(super) struct Leaving {
    pub(super) due: Instant,
    pub(super) session: String,
}

/// The state of a node.
pub(super) struct Node<M> {
    pub(super) sessions: Sessions,
    pub(super) registry: Registry,
    pub(super) mailbox: M,
    pub(super) settings: Settings,
    pub(super) id: u64,
    pub(super) presence: Presence,
    pub(super) attached: Mutex<HashMap<Name, Vec<Arc<Attached>>>>,
    /// The records of the sessions of all attachments.
    pub(super) records: Arc<Records>,
    pub(super) count: AtomicUsize,
    pub(super) leaving: Mutex<HashMap<Name, Leaving>>,
    /// The number of detachments under way.
    pub(super) detaching: AtomicUsize,
    pub(super) detached: Notify,
    /// Locked for writing while mailboxes are renewed. A client that is detached at that moment waits: its mailbox would live
    /// for the lease.
    pub(super) renewing: RwLock<()>,
    pub(super) is_closing: AtomicBool,
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The place of an attachment at its node.
pub(super) struct Place<M>(Arc<Node<M>>);

impl<M> Drop for Place<M> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.detached.notify_waiters();
    }
}

impl<M> Drop for Node<M> {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|task| task.abort());
    }
}

/// Draws a number for a node or an attachment.
pub(super) fn draw() -> Result<u64, SessionError> {
    getrandom::u64().map_err(|_| SessionError::Other {
        reason: "the random source failed".into(),
        source: None,
    })
}

/// Logs the failure of a task that goes on.
pub(super) fn failed(doing: &'static str, error: &MailboxError) {
    tracing::debug!(error = error as &dyn std::error::Error, "{doing} failed");
}

/// The name of the mailbox that shows that a node lives. No public id contains a name of this length.
pub(super) fn node_name(id: u64) -> Option<Name> {
    format!("node-{id:016x}").parse().ok()
}

impl<M> Node<M> {
    pub(super) fn now(&self) -> Timestamp {
        self.sessions.now()
    }

    pub(super) fn in_time(&self, time: Duration) -> Timestamp {
        self.now().saturating_add(time)
    }

    /// All attachments of this node.
    pub(super) fn attachments(&self) -> Vec<Arc<Attached>> {
        lock(&self.attached).values().flatten().map(Arc::clone).collect()
    }

    /// Wakes the readers of a mailbox.
    pub(super) fn wake(&self, name: &Name) {
        for attached in lock(&self.attached).get(name).into_iter().flatten() {
            attached.wake();
        }
    }

    /// Reserves the place of an attachment, unless the node has too many.
    pub(super) fn reserve(self: &Arc<Self>) -> Result<Place<M>, ConnectionError> {
        let admitted = self
            .count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count < self.settings.on_node).then_some(count + 1)
            });
        admitted.map_err(|_| ConnectionError::TooManyOnNode)?;
        Ok(Place(Arc::clone(self)))
    }

    /// Adds an attachment.
    pub(super) fn admit(&self, attached: &Arc<Attached>) {
        lock(&self.attached)
            .entry(attached.name().clone())
            .or_default()
            .push(Arc::clone(attached));
        // In this order, so that whoever judges the session of this record finds the attachment.
        self.records.add(&attached.key());
    }

    /// Whether a client of this connection is attached to this node.
    pub(super) fn has(&self, name: &Name) -> bool {
        lock(&self.attached).contains_key(name)
    }

    /// Whether a client of this connection is attached to this node, and the mailbox has noted it.
    pub(super) fn holds(&self, name: &Name) -> bool {
        lock(&self.attached)
            .get(name)
            .is_some_and(|all| all.iter().any(|attached| attached.is_holder()))
    }

    /// Removes an attachment.
    pub(super) fn dismiss(&self, attached: &Arc<Attached>) {
        let mut all = lock(&self.attached);
        if let Some(of_name) = all.get_mut(attached.name()) {
            of_name.retain(|other| !Arc::ptr_eq(other, attached));
            if of_name.is_empty() {
                all.remove(attached.name());
            }
        }
        drop(all);
        self.records.remove(&attached.key());
    }

    /// Notes that a connection has lost its client.
    pub(super) fn note_leaving(&self, session: &str, name: &Name) {
        let mut leaving = lock(&self.leaving);
        if leaving.len() < MAXIMUM_LEAVING || leaving.contains_key(name) {
            let left = Leaving {
                due: Instant::now() + self.settings.detached_for + Duration::from_secs(1),
                session: session.to_owned(),
            };
            leaving.insert(name.clone(), left);
        }
    }
}

impl<M: Mailbox> Node<M> {
    /// Removes a connection that is gone from the registry. If that fails, it is tried again after a while.
    pub(super) async fn leave(&self, session: &str, name: &Name) {
        if let Err(error) = self.registry.leave(session, name).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a connection that is gone stays registered for a while"
            );
            self.note_leaving(session, name);
        }
    }

    /// Those of these nodes whose mailboxes show that they live.
    pub(super) async fn living(&self, nodes: &BTreeSet<u64>) -> Result<BTreeSet<u64>, MailboxError> {
        let names: Vec<Name> = nodes.iter().filter_map(|id| node_name(*id)).collect();
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let found = self.mailbox.look(self.now(), &names).await?;
        let lives = |id: &u64| {
            let name = node_name(*id);
            found.iter().any(|found| Some(&found.name) == name.as_ref())
        };
        Ok(nodes.iter().copied().filter(lives).collect())
    }

    /// Ends a connection; returns whether this call did.
    pub(super) async fn end(&self, name: &Name, reason: EndReason) -> Result<bool, MailboxError> {
        let until = self.in_time(self.settings.detached_for);
        self.mailbox.end(self.now(), name, reason, until).await
    }
}
