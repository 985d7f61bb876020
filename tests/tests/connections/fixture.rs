//! Two nodes over the same stores, and the calls of the tests on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tessera::connections::{
    Attachment, Connections, ConnectionsBuilder, Event, MemoryMailbox, Message, MessageId, Name, Registration,
};
use tessera::store::{
    Capabilities, Cause, MemoryStore, Store, StoreError, StoreOp, StoreReply, StoreService,
};
use tessera::{Session, Sessions, Timestamp};
use tokio::time::timeout;

pub(crate) type Node = Connections<MemoryMailbox>;

/// An event that has not come by then is missing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The beat of the nodes of these tests.
pub(crate) const BEAT: Duration = Duration::from_millis(20);

/// Two nodes over the same stores.
pub(crate) struct Fixture {
    pub(crate) sessions: Sessions,
    pub(crate) one: Node,
    pub(crate) two: Node,
    pub(crate) store: MemoryStore,
    pub(crate) mailbox: MemoryMailbox,
    /// Whether the store of the sessions is out of reach.
    pub(crate) is_down: Arc<AtomicBool>,
    /// Whether it takes a beat for each reply.
    pub(crate) is_slow: Arc<AtomicBool>,
}

/// A store that can be out of reach, or slow.
struct Flaky {
    store: MemoryStore,
    is_down: Arc<AtomicBool>,
    is_slow: Arc<AtomicBool>,
}

impl StoreService for Flaky {
    fn describe(&self) -> Capabilities {
        Store::describe(&self.store)
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        if self.is_down.load(Ordering::SeqCst) {
            return op.failed(StoreError::Unavailable(Cause::new("down")));
        }
        let reply = self.store.call(now, op).await;
        if self.is_slow.load(Ordering::SeqCst) {
            tokio::time::sleep(BEAT).await;
        }
        reply
    }
}

pub(crate) fn fixture(change: impl Fn(ConnectionsBuilder) -> ConnectionsBuilder) -> Fixture {
    let (is_down, is_slow) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let store = MemoryStore::new();
    let flaky = Flaky {
        store: store.clone(),
        is_down: Arc::clone(&is_down),
        is_slow: Arc::clone(&is_slow),
    };
    let sessions = Sessions::builder()
        .signing_key("k", [7; 32])
        .build(flaky)
        .expect("sessions");
    let mailbox = MemoryMailbox::new();
    let node = |mailbox| {
        let builder = Connections::builder(&sessions).beat(BEAT);
        change(builder).build(mailbox).expect("a node")
    };
    let (one, two) = (node(mailbox.clone()), node(mailbox.clone()));
    Fixture {
        sessions,
        one,
        two,
        store,
        mailbox,
        is_down,
        is_slow,
    }
}

impl Fixture {
    pub(crate) fn plain() -> Self {
        fixture(|builder| builder)
    }

    /// A session of this subject, and its token.
    pub(crate) async fn login(&self, subject: &str) -> (Session, String) {
        let session = self.sessions.create();
        let grant = session.authenticate(subject).await.expect("a login");
        (session, grant.token.expect("a token"))
    }

    pub(crate) async fn registered(&self, session: &Session) -> Name {
        let registered = self.one.register(session, Registration::default()).await;
        registered.expect("a connection")
    }
}

pub(crate) async fn attach(
    node: &Node,
    name: &Name,
    after: MessageId,
    session: &Session,
) -> Attachment<MemoryMailbox> {
    node.attach(name, after, session).await.expect("an attachment")
}

pub(crate) async fn send(node: &Node, name: &Name, data: &str) -> MessageId {
    let message = Message::new(None, data).expect("a message");
    node.send(name, &message, None).await.expect("an id")
}

pub(crate) async fn next(attachment: &mut Attachment<MemoryMailbox>) -> Event {
    let event = timeout(PATIENCE, attachment.next())
        .await
        .expect("an event in time");
    event.expect("an event")
}

/// The text of the next message, and its id.
pub(crate) async fn message(attachment: &mut Attachment<MemoryMailbox>) -> (String, MessageId) {
    match next(attachment).await {
        Event::Message(entry) => (entry.message.data().to_owned(), entry.id),
        event => panic!("{event:?}"),
    }
}

/// Waits until `is_so` returns true.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(BEAT).await;
    }
}
