//! The tasks of a node: its beats, which judge sessions and renew leases, and the notifications of the mailboxes.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::StreamExt as _;
use futures_util::stream;
use tessera_connections::{Changed, EndReason, Mailbox, MailboxError, Name};
use tessera_contract::store::{BATCH_LIMIT, Entry, StoreError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::attached::{Attached, Closing, lock};
use super::node::{Leaving, Node, node_name};
use super::watch::{Judgement, judge};
use crate::SessionError;

/// The number of sessions that are judged at the same time.
const CONCURRENT: usize = 32;

/// Starts the tasks of a node. They end with it.
pub(super) fn start<M: Mailbox>(node: &Arc<Node<M>>) -> Vec<JoinHandle<()>> {
    let changes = node.mailbox.changed();
    vec![
        tokio::spawn(forward(Arc::downgrade(node), changes)),
        tokio::spawn(live(Beats::of(node))),
        tokio::spawn(judge_all(Beats::of(node))),
        tokio::spawn(maintain(Beats::of(node))),
        tokio::spawn(clean(Beats::of(node))),
    ]
}

/// Wakes the readers of changed mailboxes.
async fn forward<M: Mailbox>(node: Weak<Node<M>>, changes: impl futures_util::Stream<Item = Changed>) {
    let mut changes = pin!(changes);
    while let Some(changed) = changes.next().await {
        let Some(node) = node.upgrade() else { return };
        match changed {
            Changed::Mailbox(name) => node.wake(&name),
            Changed::Missed => node.attachments().iter().for_each(|attached| attached.wake()),
        }
    }
}

/// The beats of a node. Each kind of work has a task of its own, so that one that waits for the store delays no other.
struct Beats<M> {
    node: Weak<Node<M>>,
    ticks: Interval,
}

impl<M: Mailbox> Beats<M> {
    fn of(node: &Arc<Node<M>>) -> Self {
        let mut ticks = interval(node.settings.beat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            node: Arc::downgrade(node),
            ticks,
        }
    }

    /// Waits for the next beat; `None` if the node is gone.
    async fn next(&mut self) -> Option<Arc<Node<M>>> {
        self.ticks.tick().await;
        self.node.upgrade()
    }
}

async fn live<M: Mailbox>(mut beats: Beats<M>) {
    while let Some(node) = beats.next().await {
        node.show_life().await;
    }
}

async fn judge_all<M: Mailbox>(mut beats: Beats<M>) {
    while let Some(node) = beats.next().await {
        node.judge_sessions().await;
    }
}

async fn maintain<M: Mailbox>(mut beats: Beats<M>) {
    let mut renewed = Instant::now();
    while let Some(node) = beats.next().await {
        node.end_expired().await;
        if renewed.elapsed() >= node.settings.lease / 3 && node.renew_leases().await {
            renewed = Instant::now();
        }
    }
}

/// Removes what clients have left behind.
async fn clean<M: Mailbox>(mut beats: Beats<M>) {
    while let Some(node) = beats.next().await {
        node.remove_left().await;
    }
}

fn failed(doing: &'static str, error: &MailboxError) {
    tracing::debug!(error = error as &dyn std::error::Error, "{doing} failed");
}

impl<M: Mailbox> Node<M> {
    /// Shows other nodes that this one lives, for three beats.
    async fn show_life(&self) {
        let Some(name) = node_name(self.id) else { return };
        let (now, until) = (self.now(), self.in_time(self.settings.beat * 3));
        let kept = match self.mailbox.keep(now, std::slice::from_ref(&name), until).await {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(_) => self.mailbox.open(now, &name, "{}", until).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            failed("showing that the node lives", &error);
        }
    }

    /// Judges the session of each attachment. One read returns up to 100 records; the engine judges those that have changed.
    async fn judge_sessions(&self) {
        let attachments = self.attachments();
        let keys: BTreeSet<Arc<str>> = attachments
            .iter()
            .map(|attached| Arc::clone(lock(&attached.watch).key()))
            .collect();
        let keys: Vec<Arc<str>> = keys.into_iter().collect();
        let now = self.now();
        let mut records: HashMap<Arc<str>, Entry> = HashMap::new();
        for batch in keys.chunks(BATCH_LIMIT) {
            match self.sessions.calls().records(now, batch).await {
                Ok(found) => records.extend(found),
                // Each further call would wait for the store as long.
                Err(error) => return self.note_outage(&attachments, &error),
            }
        }
        let unknown: Vec<&Arc<Attached>> = attachments
            .iter()
            .filter(|attached| {
                let mut watch = lock(&attached.watch);
                let is_known = records
                    .get(watch.key())
                    .is_some_and(|entry| watch.is_known(now, entry));
                if is_known {
                    watch.confirm();
                }
                !is_known
            })
            .collect();
        let over = Mutex::new(Vec::new());
        stream::iter(unknown)
            .for_each_concurrent(CONCURRENT, |attached| self.judge(attached, &over))
            .await;
        let over = over.into_inner().unwrap_or_else(PoisonError::into_inner);
        // After all judgements, none of which waits for a mailbox.
        let end = over.iter().map(async |name| {
            if let Err(error) = self.end(name, EndReason::SessionOver).await {
                failed("ending the mailbox of a session that has ended", &error);
            }
        });
        stream::iter(end)
            .for_each_concurrent(CONCURRENT, |ended| ended)
            .await;
    }

    /// Notes that no session can be judged.
    fn note_outage(&self, attachments: &[Arc<Attached>], error: &StoreError) {
        for attached in attachments {
            let outage = SessionError::Unavailable {
                source: Some(error.clone()),
            };
            if lock(&attached.watch).note(Err(outage), self.settings.unjudged_for) == Judgement::Unknown {
                attached.close(Closing::TryAgain);
            }
        }
    }

    /// Judges the session of an attachment. If it is over, the socket is closed at once, and the connection is noted: its mailbox
    /// ends for clients that come back to another node.
    async fn judge(&self, attached: &Arc<Attached>, over: &Mutex<Vec<Name>>) {
        let (handle, key) = {
            let watch = lock(&attached.watch);
            (watch.handle().to_owned(), Arc::clone(watch.key()))
        };
        let judged = judge(self.sessions.calls(), handle, key).await;
        let judgement = lock(&attached.watch).note(judged, self.settings.unjudged_for);
        match judgement {
            Judgement::Lives => {}
            Judgement::Unknown => attached.close(Closing::TryAgain),
            Judgement::Over => {
                attached.close(Closing::Over);
                lock(over).push(attached.name().clone());
            }
        }
    }

    /// Ends the connections that have reached the end of their life.
    async fn end_expired(&self) {
        let now = self.now();
        let mut expired = self.attachments();
        expired.retain(|attached| attached.ends_at <= now);
        let end = expired.iter().map(async |attached| {
            if let Err(error) = self.end(attached.name(), EndReason::Expired).await {
                failed("ending a connection at the end of its life", &error);
            }
        });
        stream::iter(end)
            .for_each_concurrent(CONCURRENT, |ended| ended)
            .await;
    }

    /// Removes detached connections whose client has not come back.
    async fn remove_left(&self) {
        let now = Instant::now();
        let due: Vec<(Name, Leaving)> = {
            let mut leaving = lock(&self.leaving);
            let due: Vec<Name> = leaving
                .iter()
                .filter(|(_, left)| left.due <= now)
                .map(|(name, _)| name.clone())
                .collect();
            let due = due.into_iter();
            due.filter_map(|name| leaving.remove_entry(&name)).collect()
        };
        for batch in due.chunks(BATCH_LIMIT) {
            let names: Vec<Name> = batch.iter().map(|(name, _)| name.clone()).collect();
            let found = match self.mailbox.look(self.now(), &names).await {
                Ok(found) => found,
                Err(error) => {
                    failed("looking for detached connections", &error);
                    // They are due again with the next beat.
                    lock(&self.leaving).extend(batch.iter().cloned());
                    continue;
                }
            };
            let remove = batch.iter().map(|(name, left)| {
                let mailbox = found.iter().find(|found| found.name == *name);
                async move {
                    match mailbox.map(|found| found.holder) {
                        // Its client has come back, to a node that takes care of it.
                        Some(Some(holder)) if holder.node != self.id => {}
                        Some(Some(_)) if self.has(name) => {}
                        // It lives on without a client: it is looked for again.
                        Some(_) => self.note_leaving(&left.session, name),
                        None => self.leave(&left.session, name).await,
                    }
                }
            });
            stream::iter(remove)
                .for_each_concurrent(CONCURRENT, |removed| removed)
                .await;
        }
    }

    /// Lets the mailboxes of the attachments live on; returns whether all do. One that the store refuses delays no other.
    async fn renew_leases(&self) -> bool {
        let names: BTreeSet<Name> = self
            .attachments()
            .iter()
            .map(|attached| attached.name().clone())
            .collect();
        let names: Vec<Name> = names.into_iter().collect();
        let mut are_all_kept = true;
        for batch in names.chunks(BATCH_LIMIT) {
            let _renewing = self.renewing.write().await;
            // Others have been detached meanwhile.
            let batch: Vec<Name> = batch.iter().filter(|name| self.has(name)).cloned().collect();
            let until = self.in_time(self.settings.lease);
            match self.mailbox.keep(self.now(), &batch, until).await {
                // Their readers find out.
                Ok(missing) => missing.iter().for_each(|name| self.wake(name)),
                Err(error) => {
                    failed("renewing leases", &error);
                    are_all_kept = false;
                }
            }
        }
        are_all_kept
    }
}
