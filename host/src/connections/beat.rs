//! The tasks of a node: its beats, which judge sessions and renew leases, and the notifications of the mailboxes.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tessera_connections::{Changed, EndReason, Mailbox, Name};
use tessera_contract::store::BATCH_LIMIT;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::attached::lock;
use super::node::{CONCURRENT, Leaving, Node, failed, node_name};
use super::records::Records;

/// The shortest time between two rounds of judging sessions whose records have changed.
const ROUND: Duration = Duration::from_millis(200);
/// The pause after a round in which the store has failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Starts the tasks of a node. They end with it.
pub(super) fn start<M: Mailbox>(node: &Arc<Node<M>>) -> Vec<JoinHandle<()>> {
    let changes = node.mailbox.changed();
    vec![
        tokio::spawn(forward(Arc::downgrade(node), changes)),
        tokio::spawn(live(Beats::of(node))),
        tokio::spawn(judge_all(Beats::of(node))),
        tokio::spawn(judge_changed(Arc::downgrade(node), Arc::clone(&node.records))),
        tokio::spawn(maintain(Beats::of(node))),
        tokio::spawn(clean(Beats::of(node))),
    ]
}

/// Wakes the readers of changed mailboxes, and notes changed records.
async fn forward<M: Mailbox>(node: Weak<Node<M>>, changes: impl futures_util::Stream<Item = Changed>) {
    let mut changes = pin!(changes);
    while let Some(changed) = changes.next().await {
        let Some(node) = node.upgrade() else { return };
        match changed {
            Changed::Mailbox(name) => node.wake(&name),
            Changed::Record(key) => node.records.changed(&key),
            Changed::Missed => {
                node.records.missed();
                node.attachments().iter().for_each(|attached| attached.wake());
            }
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
        // Those that the store could not watch.
        node.records.retry();
        node.judge_sessions(&node.attachments()).await;
    }
}

/// Judges the sessions whose record has changed, and those of new attachments, without a beat.
async fn judge_changed<M: Mailbox>(node: Weak<Node<M>>, records: Arc<Records>) {
    loop {
        records.due().await;
        let Some(node) = node.upgrade() else { return };
        let began = Instant::now();
        let pause = if node.judge_due().await {
            ROUND
        } else {
            RETRY_AFTER
        };
        drop(node);
        // The changes of this time are one round. Rounds take at most half of the time, but after a store that was slow, the next
        // one is not late.
        sleep(pause.max(began.elapsed().min(RETRY_AFTER))).await;
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

impl<M: Mailbox> Node<M> {
    /// Shows other nodes that this one lives, for three beats.
    async fn show_life(&self) {
        let Some(name) = node_name(self.id) else { return };
        let (now, until) = (self.now(), self.in_time(self.settings.beat * 3));
        let began = Instant::now();
        let kept = match self.mailbox.keep(now, std::slice::from_ref(&name), until).await {
            Ok(missing) if missing.is_empty() => Ok(true),
            Ok(_) => self.mailbox.open(now, &name, "{}", until).await.map(|()| false),
            Err(error) => Err(error),
        };
        match kept {
            Ok(was_there) => self.presence.shown(began, was_there, self.settings.beat),
            Err(error) => {
                self.presence.lost();
                failed("showing that the node lives", &error);
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
            let holders = found.iter().filter_map(|found| found.holder);
            let others: BTreeSet<u64> = holders
                .map(|holder| holder.node)
                .filter(|node| *node != self.id)
                .collect();
            // Without a reply, a node counts as dead, and the connection is looked for again.
            let living = self.living(&others).await.unwrap_or_default();
            let remove = batch.iter().map(|(name, left)| {
                let mailbox = found.iter().find(|found| found.name == *name);
                let holder = mailbox.map(|found| found.holder);
                let is_elsewhere = matches!(holder, Some(Some(holder)) if living.contains(&holder.node));
                async move {
                    match holder {
                        // Its client has come back, to a node that takes care of it.
                        Some(Some(_)) if is_elsewhere || self.has(name) => {}
                        // Its detachment has failed: without another try, the mailbox would live for its lease, as if it had a client.
                        Some(Some(holder)) if holder.node == self.id => {
                            let until = self.in_time(self.settings.detached_for);
                            if let Err(error) = self.mailbox.detach(self.now(), name, holder, until).await {
                                failed("detaching a client that has gone", &error);
                            }
                            self.note_leaving(&left.session, name);
                        }
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

    /// Lets the mailboxes that have clients of this node live on; returns whether all do. One that the store refuses delays no
    /// other.
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
            // Others have been detached meanwhile, or are not attached yet.
            let batch: Vec<Name> = batch.iter().filter(|name| self.holds(name)).cloned().collect();
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
