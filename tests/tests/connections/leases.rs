//! The renewal of the leases of mailboxes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tessera::connections::{
    ConnectionError, Connections, Holder, Mailbox, MailboxError, MemoryMailbox, MessageId, Name, Registration,
};
use tessera::store::{Cause, MemoryStore, StoreError};
use tessera::{Sessions, Timestamp};
use tokio::sync::Notify;

use super::fixture::{BEAT, eventually};
use super::forward::forward;

/// A mailbox that waits before it renews a lease.
struct Waiting {
    mailbox: MemoryMailbox,
    renews: Arc<Notify>,
    goes_on: Arc<Notify>,
}

impl Mailbox for Waiting {
    forward!(open append attach detach end read acknowledge look walk changed);

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

/// A mailbox that fails to attach a client after some time.
struct Failing {
    mailbox: MemoryMailbox,
    after: Duration,
}

impl Mailbox for Failing {
    forward!(open append detach end read acknowledge keep look walk changed);

    async fn attach(&self, _: Timestamp, _: &Name, _: Holder, _: Timestamp) -> Result<(), MailboxError> {
        tokio::time::sleep(self.after).await;
        Err(StoreError::Unavailable(Cause::new("a fault of the test")).into())
    }
}

#[tokio::test]
async fn a_client_that_could_not_be_attached_lengthens_the_life_of_no_mailbox() {
    let sessions = Sessions::builder().signing_key("k", [7; 32]);
    let sessions = sessions.build(MemoryStore::new()).expect("sessions");
    let lease = Duration::from_secs(6);
    let mailbox = Failing {
        mailbox: MemoryMailbox::new(),
        // Leases are renewed after a third of their time.
        after: lease / 3 + BEAT * 20,
    };
    let builder = Connections::builder(&sessions).beat(BEAT).lease(lease);
    let detached_for = lease / 3 + BEAT * 40;
    let node = builder.detached_for(detached_for).build(mailbox).expect("a node");
    let session = sessions.create();
    session.authenticate("alice").await.expect("a login");
    let registered = Instant::now();
    let name = node.register(&session, Registration::default()).await;
    let name = name.expect("a connection");
    let attached = node.attach(&name, MessageId::START, &session).await;
    assert!(
        matches!(attached, Err(ConnectionError::Mailbox(_))),
        "{attached:?}"
    );
    eventually("the mailbox is gone", async || {
        matches!(node.get(&name).await, Err(ConnectionError::Missing))
    })
    .await;
    let lived = registered.elapsed();
    assert!(lived < lease, "{lived:?}");
}
