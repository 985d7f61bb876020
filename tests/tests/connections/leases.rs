//! The renewal of the leases of mailboxes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::Stream;
use tessera::connections::{
    Batch, Bounds, Changed, ConnectionError, Connections, EndReason, Holder, Limit, Mailbox, MailboxError,
    MemoryMailbox, Message, MessageId, Name, Registration, SendKey, Walked,
};
use tessera::store::MemoryStore;
use tessera::{Sessions, Timestamp};
use tokio::sync::Notify;

use super::fixture::{BEAT, eventually};

/// A mailbox that waits before it renews a lease.
struct Waiting {
    mailbox: MemoryMailbox,
    renews: Arc<Notify>,
    goes_on: Arc<Notify>,
}

impl Mailbox for Waiting {
    async fn open(
        &self,
        now: Timestamp,
        name: &Name,
        head: &str,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.mailbox.open(now, name, head, until).await
    }

    async fn append(
        &self,
        now: Timestamp,
        name: &Name,
        message: &Message,
        key: Option<&SendKey>,
        bounds: &Bounds,
    ) -> Result<MessageId, MailboxError> {
        self.mailbox.append(now, name, message, key, bounds).await
    }

    async fn attach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<(), MailboxError> {
        self.mailbox.attach(now, name, holder, until).await
    }

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        self.mailbox.detach(now, name, holder, until).await
    }

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        self.mailbox.end(now, name, reason, until).await
    }

    async fn read(
        &self,
        now: Timestamp,
        name: &Name,
        after: MessageId,
        limit: Limit,
    ) -> Result<Batch, MailboxError> {
        self.mailbox.read(now, name, after, limit).await
    }

    async fn acknowledge(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        through: MessageId,
        replay: u32,
    ) -> Result<(), MailboxError> {
        self.mailbox.acknowledge(now, name, holder, through, replay).await
    }

    async fn keep(
        &self,
        now: Timestamp,
        names: &[Name],
        until: Timestamp,
    ) -> Result<Vec<Name>, MailboxError> {
        // Not the mailbox of the node.
        if names.iter().any(|name| !name.as_str().starts_with("node-")) {
            self.renews.notify_one();
            self.goes_on.notified().await;
        }
        self.mailbox.keep(now, names, until).await
    }

    async fn look(&self, now: Timestamp, names: &[Name]) -> Result<Vec<Walked>, MailboxError> {
        self.mailbox.look(now, names).await
    }

    async fn walk(
        &self,
        now: Timestamp,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Walked>, Option<String>), MailboxError> {
        self.mailbox.walk(now, cursor, limit).await
    }

    fn changed(&self) -> impl Stream<Item = Changed> + Send + use<> {
        self.mailbox.changed()
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_leases_are_renewed_leaves_its_mailbox_no_longer_than_any_other() {
    let sessions = Sessions::builder().signing_key("k", [7; 32]);
    let sessions = sessions.build(MemoryStore::new()).expect("sessions");
    let (renews, goes_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let mailbox = Waiting {
        mailbox: MemoryMailbox::new(),
        renews: Arc::clone(&renews),
        goes_on: Arc::clone(&goes_on),
    };
    let lease = Duration::from_secs(6);
    let builder = Connections::builder(&sessions).beat(BEAT).lease(lease);
    let node = builder
        .detached_for(Duration::from_millis(200))
        .build(mailbox)
        .expect("a node");
    let session = sessions.create();
    session.authenticate("alice").await.expect("a login");
    let client = node.open(&session, Registration::default()).await;
    let client = client.expect("a connection");
    let name = client.name().clone();
    renews.notified().await;
    drop(client);
    tokio::time::sleep(BEAT).await;
    goes_on.notify_one();
    let renewed = Instant::now();
    eventually("the mailbox is gone", async || {
        matches!(node.get(&name).await, Err(ConnectionError::Missing))
    })
    .await;
    assert!(renewed.elapsed() < lease / 2, "{:?}", renewed.elapsed());
}
