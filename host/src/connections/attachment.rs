//! [`Attachment`]: the client of a connection at this node, and the delivery of the connection's messages to it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tessera_connections::{
    Delivery, EndReason, Entry, Event, Limit, Mailbox, MailboxError, MessageId, Name, Reader,
};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::attached::{Attached, Closing};
use super::node::{Node, Place};

/// The time after which delivered messages are acknowledged although few.
const ACKNOWLEDGED_AFTER: Duration = Duration::from_secs(1);
/// The longest wait for a batch.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The pause after a read that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// The client of a connection at this node. Drop it when the socket is closed: the client may then come back for a while.
pub struct Attachment<M: Mailbox> {
    node: Arc<Node<M>>,
    attached: Arc<Attached>,
    /// Given back when the attachment is dropped.
    _place: Place<M>,
    reader: Reader,
    pending: VecDeque<Delivery>,
    /// The message that was returned last.
    returned: Option<Entry>,
    /// When to read the mailbox again, unless a change is reported before. It outlives the calls, which may be dropped and
    /// repeated more often than the mailbox is to be read.
    read_at: Instant,
    /// Whether a read has succeeded. Before, the store may not know the place after which the client was attached.
    has_read: bool,
    /// When to acknowledge although few messages were delivered.
    acknowledge_at: Option<Instant>,
    is_over: bool,
}

impl<M: Mailbox> fmt::Debug for Attachment<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("name", self.attached.name())
            .finish_non_exhaustive()
    }
}

impl<M: Mailbox> Attachment<M> {
    pub(super) fn new(
        node: Arc<Node<M>>,
        place: Place<M>,
        attached: Arc<Attached>,
        after: MessageId,
    ) -> Self {
        Self {
            reader: Reader::new(attached.holder(), after),
            node,
            attached,
            _place: place,
            pending: VecDeque::new(),
            returned: None,
            read_at: Instant::now(),
            has_read: false,
            acknowledge_at: None,
            is_over: false,
        }
    }

    /// The connection's name.
    pub fn name(&self) -> &Name {
        self.attached.name()
    }

    #[cfg(feature = "api")]
    pub(super) fn sign_of_life(&self) -> Duration {
        self.node.settings.sign_of_life
    }

    pub(super) fn close(&self, closing: Closing) {
        self.attached.close(closing);
    }

    /// Waits for the next event; `None` after the last one.
    ///
    /// The future may be dropped at any time, and nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(entry) = self.returned.take() {
            self.reader.sent(&entry);
        }
        loop {
            if self.is_over {
                return None;
            }
            // First, because the client of a session that has ended receives nothing more.
            if let Some(last) = self.closed() {
                return Some(last);
            }
            if let Some(delivery) = self.pending.pop_front() {
                return Some(self.event(delivery));
            }
            let attached = Arc::clone(&self.attached);
            let work = async {
                self.acknowledge(self.is_acknowledgement_due()).await;
                self.read_if_due().await;
            };
            tokio::select! {
                // A slow store must not delay the end of a session.
                () = attached.closed() => continue,
                () = work => {}
            }
            if self.pending.is_empty() && !self.is_over {
                self.wait().await;
            }
        }
    }

    /// Waits for events, and returns those of one read of the mailbox: at most 64 messages or 128 KiB, and at least one message
    /// if there is any. Empty after `wait`, of a day at most, and after the last event.
    ///
    /// A message counts as received when the client is attached again after it, because nothing else shows that it has arrived.
    /// The future may be dropped at any time, and nothing is lost.
    pub async fn next_batch(&mut self, wait: Duration) -> Vec<Event> {
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        // A message that was sent before the call is returned although its notification may be on the way.
        self.read_at = Instant::now();
        while !self.is_over {
            let is_end = Instant::now() >= until;
            if is_end {
                // At the end of the wait, the mailbox is read once more.
                self.read_at = Instant::now();
            }
            let is_read = self.pending.is_empty() && self.read_if_due().await;
            // After the read, because the client of a session that has ended receives nothing more.
            if let Some(last) = self.closed() {
                return vec![last];
            }
            let is_due = is_end || is_read && Instant::now() >= until;
            if !self.pending.is_empty() || is_due {
                if is_read {
                    // The read has confirmed the place after which the client was attached.
                    self.acknowledge(true).await;
                }
                let deliveries: Vec<Delivery> = self.pending.drain(..).collect();
                let events = deliveries
                    .into_iter()
                    .map(|delivery| self.event(delivery))
                    .collect();
                self.returned = None;
                return events;
            }
            let waiting = async {
                self.wait().await;
                if self.is_acknowledgement_due() {
                    self.acknowledge(true).await;
                }
            };
            // An error is the end of the wait.
            let _ = timeout_at(until, waiting).await;
        }
        Vec::new()
    }

    /// The last event, if this node closes the socket.
    fn closed(&mut self) -> Option<Event> {
        let closing = self.attached.closing()?;
        self.is_over = true;
        Some(match closing {
            Closing::Over => Event::End(EndReason::SessionOver),
            Closing::TryAgain => Event::TryAgain,
        })
    }

    fn event(&mut self, delivery: Delivery) -> Event {
        match &delivery {
            Delivery::Message(entry) => self.returned = Some(entry.clone()),
            Delivery::Gap(_) => {}
            Delivery::End(_) | Delivery::TakenOver | Delivery::TryAgain => self.is_over = true,
        }
        delivery.into()
    }

    /// Reads the next messages, unless the last read returned all and no change was reported since. Returns whether the store
    /// has replied to a read.
    async fn read_if_due(&mut self) -> bool {
        if Instant::now() < self.read_at {
            return false;
        }
        let node = &self.node;
        let batch = node.mailbox.read(
            node.now(),
            self.attached.name(),
            self.reader.after(),
            Limit::default(),
        );
        // The time of the next read is set after this one, so that a read that is dropped is due as before.
        match batch.await {
            Ok(batch) => {
                let poll = Some(node.settings.poll).filter(|_| batch.is_last);
                self.read_at = Instant::now() + poll.unwrap_or_default();
                self.has_read = true;
                self.pending.extend(self.reader.take(batch));
                true
            }
            Err(MailboxError::Missing) => {
                // The store has lost the mailbox, or its time has passed. The client comes back and learns of the gap.
                self.attached.close(Closing::TryAgain);
                true
            }
            Err(error) => {
                self.read_at = Instant::now() + PAUSE;
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the mailbox of a connection cannot be read"
                );
                false
            }
        }
    }

    /// Waits until the mailbox is to be read, or delivered messages are to be acknowledged.
    async fn wait(&mut self) {
        if self.has_read && self.acknowledge_at.is_none() && self.reader.is_unacknowledged() {
            self.acknowledge_at = Some(Instant::now() + ACKNOWLEDGED_AFTER);
        }
        let until = self
            .acknowledge_at
            .map_or(self.read_at, |at| at.min(self.read_at));
        tokio::select! {
            // A wake-up during the last read may be of a change after it.
            () = self.attached.woken() => self.read_at = Instant::now(),
            () = sleep_until(until) => {}
        }
    }

    fn is_acknowledgement_due(&self) -> bool {
        self.acknowledge_at.is_some_and(|at| at <= Instant::now())
    }

    async fn acknowledge(&mut self, is_idle: bool) {
        let Some(through) = self.reader.acknowledgement(is_idle) else {
            if is_idle {
                // A gap has taken the place of what was to be acknowledged.
                self.acknowledge_at = None;
            }
            return;
        };
        let (node, name) = (&self.node, self.attached.name());
        let replay = node.settings.bounds.replay_messages;
        let holder = self.attached.holder();
        let acknowledged = node
            .mailbox
            .acknowledge(node.now(), name, holder, through, replay)
            .await;
        match acknowledged {
            Ok(()) => {
                self.reader.acknowledged(through);
                self.acknowledge_at = None;
            }
            Err(error) => {
                // Otherwise the mailbox would stay full until a further message.
                self.acknowledge_at = Some(Instant::now() + ACKNOWLEDGED_AFTER);
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "delivered messages were not acknowledged"
                );
            }
        }
    }
}

impl<M: Mailbox> Drop for Attachment<M> {
    fn drop(&mut self) {
        self.node.dismiss(&self.attached);
        let (node, attached) = (Arc::clone(&self.node), Arc::clone(&self.attached));
        // Without a runtime, the mailbox lives until its lease ends.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            node.detaching.fetch_add(1, Ordering::SeqCst);
            runtime.spawn(async move {
                detach(&node, &attached).await;
                node.detaching.fetch_sub(1, Ordering::SeqCst);
                node.detached.notify_waiters();
            });
        }
    }
}

/// Notes that the client has gone, unless it has connected elsewhere.
async fn detach<M: Mailbox>(node: &Node<M>, attached: &Attached) {
    let _renewing = node.renewing.read().await;
    let until = node.in_time(node.settings.detached_for);
    let name = attached.name();
    match node
        .mailbox
        .detach(node.now(), name, attached.holder(), until)
        .await
    {
        // Also if the mailbox had another holder or none: the clean-up finds out.
        Ok(_) => node.note_leaving(attached.session(), name),
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a connection without a client stays until its lease ends"
            );
            // The clean-up finds it without a client, or tries again.
            node.note_leaving(attached.session(), name);
        }
    }
}
