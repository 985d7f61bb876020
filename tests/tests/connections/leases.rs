//! The renewal of the leases of mailboxes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tessera::connections::{
    ConnectionError, Connections, ConnectionsBuilder, EndReason, Holder, Mailbox, MailboxError,
    MemoryMailbox, MessageId, Name, Registration,
};
use tessera::store::{Cause, MemoryStore, StoreError};
use tessera::{Session, Sessions, Timestamp};
use tokio::sync::Notify;

use super::fixture::{BEAT, eventually};
use super::forward::forward;

/// A node over a mailbox, and a session of alice.
async fn node<M: Mailbox>(
    mailbox: M,
    change: impl FnOnce(ConnectionsBuilder) -> ConnectionsBuilder,
) -> (Connections<M>, Session) {
    let sessions = Sessions::builder().signing_key("k", [7; 32]);
    let sessions = sessions.build(MemoryStore::new()).expect("sessions");
    let builder = Connections::builder(&sessions).beat(BEAT);
    let node = change(builder).build(mailbox).expect("a node");
    let session = sessions.create();
    session.authenticate("alice").await.expect("a login");
    (node, session)
}

/// Waits until a connection is missing.
async fn gone<M: Mailbox>(node: &Connections<M>, name: &Name) {
    eventually("the mailbox is gone", async || {
        matches!(node.get(name).await, Err(ConnectionError::Missing))
    })
    .await;
}

fn fault() -> MailboxError {
    StoreError::Unavailable(Cause::new("a fault of the test")).into()
}

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
    let (renews, goes_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let mailbox = Waiting {
        mailbox: MemoryMailbox::new(),
        renews: Arc::clone(&renews),
        goes_on: Arc::clone(&goes_on),
    };
    let lease = Duration::from_secs(6);
    let (node, session) = node(mailbox, |builder| {
        builder.lease(lease).detached_for(Duration::from_millis(200))
    })
    .await;
    let client = node.open(&session, Registration::default()).await;
    let client = client.expect("a connection");
    let name = client.name().clone();
    renews.notified().await;
    drop(client);
    tokio::time::sleep(BEAT).await;
    goes_on.notify_one();
    let renewed = Instant::now();
    gone(&node, &name).await;
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
        Err(fault())
    }
}

#[tokio::test]
async fn a_client_that_could_not_be_attached_lengthens_the_life_of_no_mailbox() {
    let lease = Duration::from_secs(6);
    let mailbox = Failing {
        mailbox: MemoryMailbox::new(),
        // Leases are renewed after a third of their time.
        after: lease / 3 + BEAT * 20,
    };
    let detached_for = lease / 3 + BEAT * 40;
    let (node, session) = node(mailbox, |builder| builder.lease(lease).detached_for(detached_for)).await;
    let registered = Instant::now();
    let name = node.register(&session, Registration::default()).await;
    let name = name.expect("a connection");
    let attached = node.attach(&name, MessageId::START, &session).await;
    assert!(
        matches!(attached, Err(ConnectionError::Mailbox(_))),
        "{attached:?}"
    );
    gone(&node, &name).await;
    let lived = registered.elapsed();
    assert!(lived < lease, "{lived:?}");
}

/// A mailbox whose first detachments fail.
struct Stubborn {
    mailbox: MemoryMailbox,
    failures: AtomicUsize,
}

impl Mailbox for Stubborn {
    forward!(open append attach end read acknowledge keep look walk changed);

    async fn detach(
        &self,
        now: Timestamp,
        name: &Name,
        holder: Holder,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        let one_less = |left: usize| left.checked_sub(1);
        if self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
        {
            return Err(fault());
        }
        self.mailbox.detach(now, name, holder, until).await
    }
}

#[tokio::test]
async fn a_detachment_that_failed_is_tried_again_so_that_no_client_seems_to_be_there_for_the_lease() {
    let lease = Duration::from_secs(60);
    let mailbox = Stubborn {
        mailbox: MemoryMailbox::new(),
        failures: AtomicUsize::new(2),
    };
    let (node, session) = node(mailbox, |builder| {
        builder.lease(lease).detached_for(Duration::from_millis(200))
    })
    .await;
    let client = node.open(&session, Registration::default()).await;
    let client = client.expect("a connection");
    let name = client.name().clone();
    drop(client);
    // Well before the lease ends.
    gone(&node, &name).await;
}

/// A mailbox whose first end fails.
struct Endless {
    mailbox: MemoryMailbox,
    has_failed: AtomicBool,
}

impl Mailbox for Endless {
    forward!(open append attach detach read acknowledge keep look walk changed);

    async fn end(
        &self,
        now: Timestamp,
        name: &Name,
        reason: EndReason,
        until: Timestamp,
    ) -> Result<bool, MailboxError> {
        if !self.has_failed.swap(true, Ordering::SeqCst) {
            return Err(fault());
        }
        self.mailbox.end(now, name, reason, until).await
    }
}

#[tokio::test]
async fn an_end_that_fails_keeps_no_other_connection_of_the_session_open() {
    let mailbox = Endless {
        mailbox: MemoryMailbox::new(),
        has_failed: AtomicBool::new(false),
    };
    let (node, session) = node(mailbox, |builder| builder).await;
    for _ in 0..3 {
        let registered = node.register(&session, Registration::default()).await;
        registered.expect("a connection");
    }
    let public_id = session.details().expect("details").public_id;
    let closed = node.close_session(&public_id).await;
    assert!(matches!(closed, Err(ConnectionError::Mailbox(_))), "{closed:?}");
    // The caller tries again, and the two others have ended already.
    assert_eq!(node.close_session(&public_id).await.expect("an end"), 1);
}

#[tokio::test]
async fn a_node_removes_the_entry_of_a_client_that_went_to_another_node_which_was_killed() {
    let store = MemoryStore::new();
    let sessions = Sessions::builder().signing_key("k", [7; 32]);
    let sessions = sessions.build(store.clone()).expect("sessions");
    let mailbox = MemoryMailbox::new();
    let lease = Duration::from_secs(3);
    let node = |mailbox: &MemoryMailbox| {
        let builder = Connections::builder(&sessions).beat(BEAT).lease(lease);
        let builder = builder.detached_for(Duration::from_millis(200));
        builder.build(mailbox.clone()).expect("a node")
    };
    let one = node(&mailbox);
    let session = sessions.create();
    session.authenticate("alice").await.expect("a login");
    let before = store.len();
    let name = one.register(&session, Registration::default()).await;
    let name = name.expect("a connection");
    drop(
        one.attach(&name, MessageId::START, &session)
            .await
            .expect("a client"),
    );
    // The other node is killed with its client: neither says that it has gone.
    let other = std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            let attached = runtime.block_on(async {
                let two = node(&mailbox);
                // The node shows that it lives.
                tokio::time::sleep(BEAT * 5).await;
                two.attach(&name, MessageId::START, &session).await
            });
            std::mem::forget(attached.expect("a client"));
        };
        scope.spawn(run).join()
    });
    other.expect("the other node");
    assert!(store.len() > before);
    eventually("the entry is gone", async || store.len() == before).await;
}
