//! Connections of sessions over several nodes: delivery, coming back, taking over, and the end with the session.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]

#[path = "connections/batches.rs"]
mod batches;
#[path = "connections/silence.rs"]
mod silence;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tessera::connections::{
    Attachment, Bounds, ConnectionError, Connections, ConnectionsBuilder, EndReason, Event, MemoryMailbox,
    Message, MessageId, Name, Overflow, Registration, Request,
};
use tessera::store::{
    Capabilities, Cause, MemoryStore, Store, StoreError, StoreOp, StoreReply, StoreService,
};
use tessera::{Session, SessionError, Sessions, Timestamp};
use tokio::time::timeout;

type Node = Connections<MemoryMailbox>;

/// An event that has not come by then is missing.
const PATIENCE: Duration = Duration::from_secs(10);
/// The beat of the nodes of these tests.
const BEAT: Duration = Duration::from_millis(20);

/// Two nodes over the same stores.
struct Fixture {
    sessions: Sessions,
    one: Node,
    two: Node,
    store: MemoryStore,
    mailbox: MemoryMailbox,
    /// Whether the store of the sessions is out of reach.
    is_down: Arc<AtomicBool>,
    /// Whether it takes a beat for each reply.
    is_slow: Arc<AtomicBool>,
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

fn fixture(change: impl Fn(ConnectionsBuilder) -> ConnectionsBuilder) -> Fixture {
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
    fn plain() -> Self {
        fixture(|builder| builder)
    }

    /// A session of this subject, and its token.
    async fn login(&self, subject: &str) -> (Session, String) {
        let session = self.sessions.create();
        let grant = session.authenticate(subject).await.expect("a login");
        (session, grant.token.expect("a token"))
    }

    async fn registered(&self, session: &Session) -> Name {
        let registered = self.one.register(session, Registration::default()).await;
        registered.expect("a connection")
    }
}

async fn attach(node: &Node, name: &Name, after: MessageId, session: &Session) -> Attachment<MemoryMailbox> {
    node.attach(name, after, session).await.expect("an attachment")
}

async fn send(node: &Node, name: &Name, data: &str) -> MessageId {
    let message = Message::new(None, data).expect("a message");
    node.send(name, &message, None).await.expect("an id")
}

async fn next(attachment: &mut Attachment<MemoryMailbox>) -> Event {
    let event = timeout(PATIENCE, attachment.next())
        .await
        .expect("an event in time");
    event.expect("an event")
}

/// The text of the next message, and its id.
async fn message(attachment: &mut Attachment<MemoryMailbox>) -> (String, MessageId) {
    match next(attachment).await {
        Event::Message(entry) => (entry.message.data().to_owned(), entry.id),
        event => panic!("{event:?}"),
    }
}

/// Waits until `is_so` returns true.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(BEAT).await;
    }
}

#[tokio::test]
async fn a_message_from_any_node_reaches_the_client_in_order() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let first = send(&fixture.two, &name, "0").await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await, ("0".into(), first));
    for number in 1..200 {
        let node = [&fixture.one, &fixture.two][number % 2];
        let id = send(node, &name, &number.to_string()).await;
        if number % 3 == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(id.number, 1 + number as u64);
    }
    for number in 1..200 {
        assert_eq!(message(&mut client).await.0, number.to_string());
    }
}

#[tokio::test]
async fn a_client_that_comes_back_to_another_node_continues_after_its_cursor() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    send(&fixture.one, &name, "a").await;
    let (_, received) = message(&mut client).await;
    send(&fixture.one, &name, "b").await;
    drop(client);
    send(&fixture.one, &name, "c").await;
    let mut client = attach(&fixture.two, &name, received, &session).await;
    assert_eq!(message(&mut client).await.0, "b");
    assert_eq!(message(&mut client).await.0, "c");
    send(&fixture.one, &name, "d").await;
    assert_eq!(message(&mut client).await.0, "d");
}

#[tokio::test]
async fn an_attachment_ends_that_of_another_node_and_the_drop_of_that_one_changes_nothing() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut old = attach(&fixture.one, &name, MessageId::START, &session).await;
    let mut new = attach(&fixture.two, &name, MessageId::START, &session).await;
    assert_eq!(next(&mut old).await, Event::TakenOver);
    assert_eq!(old.next().await, None);
    drop(old);
    tokio::time::sleep(BEAT * 2).await;
    let found = fixture.one.get(&name).await.expect("a connection");
    assert!(found.is_attached);
    send(&fixture.one, &name, "a").await;
    assert_eq!(message(&mut new).await.0, "a");
    assert_eq!((fixture.one.attached(), fixture.two.attached()), (0, 1));
}

#[tokio::test]
async fn a_cursor_that_the_mailbox_does_not_know_is_told_as_a_gap() {
    let fixture = fixture(|builder| {
        builder.bounds(Bounds {
            maximum_messages: 3,
            replay_messages: 1,
            overflow: Overflow::DropOldest,
            ..Bounds::default()
        })
    });
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(send(&fixture.one, &name, &number.to_string()).await);
    }
    let mut client = attach(&fixture.two, &name, ids[0], &session).await;
    assert_eq!(next(&mut client).await, Event::Gap(ids[1]));
    assert_eq!(message(&mut client).await.0, "2");
}

#[tokio::test]
async fn sockets_on_both_nodes_close_when_their_session_ends_and_receive_nothing_more() {
    for how in ["logout", "revoked", "replaced", "revoked all"] {
        let fixture = Fixture::plain();
        let (session, token) = fixture.login("alice").await;
        let other = fixture.login("alice").await.0;
        let opened = fixture.sessions.open(&token).await.expect("a session");
        let names = [
            fixture.registered(&session).await,
            fixture.registered(&session).await,
        ];
        let mut clients = [
            attach(&fixture.one, &names[0], MessageId::START, &opened).await,
            attach(&fixture.two, &names[1], MessageId::START, &opened).await,
        ];
        let other_name = fixture.registered(&other).await;
        let mut other_client = attach(&fixture.one, &other_name, MessageId::START, &other).await;
        match how {
            "logout" => session.destroy().await.expect("a logout"),
            "replaced" => drop(session.authenticate("alice").await.expect("a login")),
            "revoked" => {
                let public_id = session.details().expect("details").public_id;
                let revoked = fixture.sessions.revoke("alice", &public_id).await;
                assert!(revoked.expect("a revocation"));
            }
            _ => drop(
                fixture
                    .sessions
                    .revoke_others(&other)
                    .await
                    .expect("a revocation"),
            ),
        }
        for client in &mut clients {
            let over = async {
                // Messages that were sent before the end was noticed may still arrive.
                loop {
                    match next(client).await {
                        Event::Message(_) => {}
                        event => return event,
                    }
                }
            };
            assert_eq!(over.await, Event::End(EndReason::SessionOver), "{how}");
            assert_eq!(client.next().await, None);
        }
        for name in &names {
            eventually("the connection has ended", async || {
                let message = Message::new(None, "late").expect("a message");
                matches!(
                    fixture.two.send(name, &message, None).await,
                    Err(ConnectionError::Ended)
                )
            })
            .await;
        }
        send(&fixture.two, &other_name, "still here").await;
        assert_eq!(message(&mut other_client).await.0, "still here", "{how}");
    }
}

#[tokio::test]
async fn a_short_outage_of_the_store_closes_no_stream_and_a_long_one_sends_the_client_away() {
    let fixture = fixture(|builder| builder.unjudged_for(Duration::from_millis(300)));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    tokio::time::sleep(BEAT * 2).await;
    fixture.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(BEAT * 3).await;
    send(&fixture.two, &name, "during an outage").await;
    assert_eq!(message(&mut client).await.0, "during an outage");
    fixture.is_down.store(false, Ordering::SeqCst);
    tokio::time::sleep(BEAT * 3).await;
    fixture.is_down.store(true, Ordering::SeqCst);
    let began = Instant::now();
    assert_eq!(next(&mut client).await, Event::TryAgain);
    assert!(
        began.elapsed() >= Duration::from_millis(290),
        "the outage before it does not count"
    );
    drop(client);
    fixture.is_down.store(false, Ordering::SeqCst);
    let mut client = attach(&fixture.two, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await.0, "during an outage");
}

#[tokio::test]
async fn a_renewed_token_or_a_touch_ends_no_connection() {
    let fixture = Fixture::plain();
    let (session, token) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let opened = fixture.sessions.open(&token).await.expect("a session");
    let mut client = attach(&fixture.one, &name, MessageId::START, &opened).await;
    session.set("a", &1).expect("a field");
    let renewed = session
        .rotate()
        .await
        .expect("a rotation")
        .token
        .expect("a token");
    let session = fixture.sessions.open(&renewed).await.expect("a session");
    session.touch().await.expect("a touch");
    tokio::time::sleep(BEAT * 5).await;
    send(&fixture.two, &name, "a").await;
    assert_eq!(message(&mut client).await.0, "a");
}

#[tokio::test]
async fn a_connection_of_another_session_is_missing() {
    let fixture = Fixture::plain();
    let (alice, _) = fixture.login("alice").await;
    let (mallory, _) = fixture.login("alice").await;
    let name = fixture.registered(&alice).await;
    let stolen = fixture.two.attach(&name, MessageId::START, &mallory).await;
    assert!(matches!(stolen, Err(ConnectionError::Missing)));
    let nothing = fixture
        .two
        .attach(
            &"C3yW7lRQWRB3orhnW1JzVg".parse().expect("a name"),
            MessageId::START,
            &alice,
        )
        .await;
    assert!(matches!(nothing, Err(ConnectionError::Missing)));
    assert_eq!(fixture.two.attached(), 0);
}

#[tokio::test]
async fn a_session_that_was_never_saved_or_has_ended_registers_nothing() {
    let fixture = Fixture::plain();
    let draft = fixture.sessions.create();
    let refused = fixture.one.register(&draft, Registration::default()).await;
    assert!(matches!(
        refused,
        Err(ConnectionError::Session(SessionError::Draft))
    ));
    let (session, _) = fixture.login("alice").await;
    session.destroy().await.expect("a logout");
    let refused = fixture.one.register(&session, Registration::default()).await;
    assert!(matches!(
        refused,
        Err(ConnectionError::Session(SessionError::Closed))
    ));
}

#[tokio::test]
async fn a_session_has_at_most_so_many_connections_and_those_that_were_closed_do_not_count() {
    let fixture = fixture(|builder| builder.per_session(2));
    let (session, _) = fixture.login("alice").await;
    let names = [
        fixture.registered(&session).await,
        fixture.registered(&session).await,
    ];
    // The order of registrations has a resolution of a millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let refused = fixture.two.register(&session, Registration::default()).await;
    assert!(matches!(refused, Err(ConnectionError::TooManyOfSession)));
    let (other, _) = fixture.login("alice").await;
    fixture.registered(&other).await;
    fixture.two.close(&names[0]).await.expect("an end");
    fixture.registered(&session).await;
}

#[tokio::test]
async fn a_further_connection_replaces_the_oldest_one_without_a_client() {
    // A node counts as dead after three beats.
    let fixture = fixture(|builder| {
        let builder = builder.beat(Duration::from_secs(1));
        builder.per_session(2).detached_for(Duration::from_secs(4))
    });
    let (session, _) = fixture.login("alice").await;
    let open = async || fixture.one.open(&session, Registration::default()).await;
    let left = open().await.expect("a connection");
    let name = left.name().clone();
    let _stays = open().await.expect("a connection");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(matches!(open().await, Err(ConnectionError::TooManyOfSession)));
    drop(left);
    eventually("the client is detached", async || {
        let found = fixture.one.get(&name).await;
        found.is_ok_and(|found| !found.is_attached)
    })
    .await;
    let _new = open().await.expect("a connection");
    let sent = fixture
        .two
        .send(&name, &Message::new(None, "x").expect("a message"), None)
        .await;
    assert!(matches!(sent, Err(ConnectionError::Ended)));
    // Each has a client. The order of registrations has a resolution of a millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(matches!(open().await, Err(ConnectionError::TooManyOfSession)));
}

#[tokio::test]
async fn the_clients_of_a_killed_process_do_not_lock_their_session_out() {
    let fixture = fixture(|builder| builder.per_session(1).detached_for(Duration::from_secs(4)));
    let (session, token) = fixture.login("alice").await;
    let (sessions, mailbox) = (fixture.sessions.clone(), fixture.mailbox.clone());
    let killed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let builder = Connections::builder(&sessions).beat(BEAT).per_session(1);
            let node = builder.build(mailbox).expect("a node");
            let session = sessions.open(&token).await.expect("a session");
            let client = node.open(&session, Registration::default()).await;
            // Its drop would detach the client.
            std::mem::forget(client.expect("a connection"));
        });
        runtime.shutdown_background();
    });
    killed.join().expect("a killed process");
    // The order of registrations has a resolution of a millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let open = async || fixture.two.open(&session, Registration::default()).await;
    assert!(matches!(open().await, Err(ConnectionError::TooManyOfSession)));
    tokio::time::sleep(Duration::from_millis(600)).await;
    open().await.expect("a connection");
}

#[tokio::test]
async fn a_client_that_cannot_be_attached_leaves_no_connection() {
    let fixture = fixture(|builder| builder.on_node(1));
    let (session, _) = fixture.login("alice").await;
    let _first = fixture.one.open(&session, Registration::default()).await;
    for _ in 0..40 {
        let refused = fixture.one.open(&session, Registration::default()).await;
        assert!(matches!(refused, Err(ConnectionError::TooManyOnNode)));
    }
    let public_id = session.details().expect("details").public_id;
    let of_session = fixture.two.of_session(&public_id).await.expect("a list");
    assert_eq!(of_session.len(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_come_back_leaves_neither_mailbox_nor_entry() {
    let fixture = fixture(|builder| builder.detached_for(Duration::from_millis(200)).per_session(1));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let public_id = session.details().expect("details").public_id;
    let client = attach(&fixture.one, &name, MessageId::START, &session).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fixture.two.of_session(&public_id).await.expect("a list").len(), 1);
    drop(client);
    eventually("the mailbox is gone", async || {
        fixture
            .two
            .of_session(&public_id)
            .await
            .expect("a list")
            .is_empty()
    })
    .await;
    let message = Message::new(None, "x").expect("a message");
    let sent = fixture.two.send(&name, &message, None).await;
    assert!(matches!(sent, Err(ConnectionError::Missing)));
    eventually("the entry is gone", async || {
        fixture
            .one
            .register(&session, Registration::default())
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_connection_at_the_end_of_its_life_leaves_no_entry() {
    let fixture = fixture(|builder| {
        let builder = builder.detached_for(Duration::from_millis(200));
        builder.lifetime(Duration::from_secs(1))
    });
    let (session, _) = fixture.login("alice").await;
    let before = fixture.store.len();
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert!(fixture.store.len() > before);
    assert_eq!(next(&mut client).await, Event::End(EndReason::Expired));
    drop(client);
    eventually("the entry is gone", async || fixture.store.len() == before).await;
}

#[tokio::test]
async fn a_client_that_gives_up_while_it_opens_a_connection_leaves_no_entry() {
    let fixture = fixture(|builder| {
        let builder = builder.detached_for(Duration::from_millis(200));
        builder.per_session(100)
    });
    let (session, _) = fixture.login("alice").await;
    let before = fixture.store.len();
    fixture.is_slow.store(true, Ordering::SeqCst);
    for wait in (5..200).step_by(10) {
        let opening = fixture.one.open(&session, Registration::default());
        let _ = timeout(Duration::from_millis(wait), opening).await;
    }
    fixture.is_slow.store(false, Ordering::SeqCst);
    assert!(fixture.store.len() > before);
    eventually("the entries are gone", async || fixture.store.len() == before).await;
}

#[tokio::test]
async fn a_node_has_at_most_so_many_clients() {
    let fixture = fixture(|builder| builder.on_node(1));
    let (session, _) = fixture.login("alice").await;
    let names = [
        fixture.registered(&session).await,
        fixture.registered(&session).await,
    ];
    let first = attach(&fixture.one, &names[0], MessageId::START, &session).await;
    let refused = fixture.one.attach(&names[1], MessageId::START, &session).await;
    assert!(matches!(refused, Err(ConnectionError::TooManyOnNode)));
    let _elsewhere = attach(&fixture.two, &names[1], MessageId::START, &session).await;
    drop(first);
    let _again = attach(&fixture.one, &names[0], MessageId::START, &session).await;
}

#[tokio::test]
async fn an_end_comes_after_all_messages_and_a_client_that_comes_back_after_it_gets_nothing() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    send(&fixture.two, &name, "a").await;
    let last = send(&fixture.two, &name, "b").await;
    fixture.two.close(&name).await.expect("an end");
    assert_eq!(message(&mut client).await.0, "a");
    drop(client);
    let late = Message::new(None, "late").expect("a message");
    assert!(matches!(
        fixture.one.send(&name, &late, None).await,
        Err(ConnectionError::Ended)
    ));
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await.0, "a");
    assert_eq!(message(&mut client).await.0, "b");
    assert_eq!(next(&mut client).await, Event::End(EndReason::Closed));
    let over = fixture.two.attach(&name, last, &session).await;
    assert!(matches!(over, Err(ConnectionError::Ended)));
}

#[tokio::test]
async fn a_node_that_stops_sends_its_clients_to_another_and_loses_no_message() {
    let fixture = Fixture::plain();
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    fixture.one.shut_down();
    assert_eq!(next(&mut client).await, Event::TryAgain);
    drop(client);
    send(&fixture.two, &name, "a").await;
    let mut late = attach(&fixture.one, &name, MessageId::START, &session).await;
    assert_eq!(next(&mut late).await, Event::TryAgain);
    drop(late);
    timeout(PATIENCE, fixture.one.finish()).await.expect("an end");
    assert!(!fixture.two.get(&name).await.expect("a connection").is_attached);
    let mut client = attach(&fixture.two, &name, MessageId::START, &session).await;
    assert_eq!(message(&mut client).await.0, "a");
}

#[tokio::test]
async fn lists_select_by_session_subject_prefix_and_kind() {
    let fixture = Fixture::plain();
    let (alice, _) = fixture.login("alice").await;
    let (alice_too, _) = fixture.login("alice").await;
    let (bob, _) = fixture.login("bob").await;
    let mut names = Vec::new();
    for (session, prefix, kind) in [
        (&alice, "/mcp/a", "sse"),
        (&alice_too, "/mcp/b", "websocket"),
        (&bob, "/mcp/a/deep", "sse"),
    ] {
        let registration = Registration {
            prefix: prefix.into(),
            kind: kind.into(),
            request: Request {
                headers: vec![("user-agent".into(), "test".into())],
                ..Request::default()
            },
        };
        names.push(
            fixture
                .one
                .register(session, registration)
                .await
                .expect("a connection"),
        );
    }
    let _client = attach(&fixture.two, &names[0], MessageId::START, &alice).await;
    let public_id = alice.details().expect("details").public_id;
    let of_session = fixture.two.of_session(&public_id).await.expect("a list");
    assert_eq!(of_session.len(), 1);
    assert_eq!(of_session[0].name, names[0]);
    assert_eq!(of_session[0].head.request.headers[0].1, "test");
    eventually("the node shows that it lives", async || {
        fixture
            .one
            .get(&names[0])
            .await
            .expect("a connection")
            .is_attached
    })
    .await;
    assert!(
        !fixture
            .one
            .get(&names[1])
            .await
            .expect("a connection")
            .is_attached
    );
    let (of_subject, next) = fixture.one.of_subject("alice", None).await.expect("a list");
    let mut found: Vec<_> = of_subject.into_iter().map(|connection| connection.name).collect();
    found.sort();
    let mut wanted = vec![names[0].clone(), names[1].clone()];
    wanted.sort();
    assert_eq!((found, next), (wanted, None));
    for (prefix, kind, wanted) in [
        ("", "", vec![0, 1, 2]),
        ("/mcp/a", "", vec![0, 2]),
        ("/mcp/", "websocket", vec![1]),
        ("/other", "", vec![]),
    ] {
        let (walked, next) = fixture.two.walk(prefix, kind, "", 100).await.expect("a walk");
        let mut found: Vec<_> = walked.into_iter().map(|connection| connection.name).collect();
        found.sort();
        let mut wanted: Vec<_> = wanted.into_iter().map(|at: usize| names[at].clone()).collect();
        wanted.sort();
        assert_eq!((found, next), (wanted, None), "{prefix} {kind}");
    }
}

#[tokio::test]
async fn all_connections_of_a_session_end_by_one_call_without_a_beat() {
    let fixture = fixture(|builder| builder.beat(Duration::from_secs(3600)));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.two, &name, MessageId::START, &session).await;
    let public_id = session.details().expect("details").public_id;
    assert_eq!(fixture.one.close_session(&public_id).await.expect("an end"), 1);
    assert_eq!(next(&mut client).await, Event::End(EndReason::SessionOver));
    assert_eq!(fixture.one.close_session(&public_id).await.expect("an end"), 0);
}

#[tokio::test]
async fn a_connection_ends_at_the_end_of_its_life_although_its_session_lives() {
    let fixture = fixture(|builder| builder.lifetime(Duration::from_secs(1)));
    let (session, _) = fixture.login("alice").await;
    let name = fixture.registered(&session).await;
    let mut client = attach(&fixture.one, &name, MessageId::START, &session).await;
    send(&fixture.two, &name, "a").await;
    assert_eq!(message(&mut client).await.0, "a");
    assert_eq!(next(&mut client).await, Event::End(EndReason::Expired));
    session.standing().await.expect("a session");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let fixture = Fixture::plain();
        let build = |change: fn(ConnectionsBuilder) -> ConnectionsBuilder| {
            let builder = Connections::builder(&fixture.sessions);
            change(builder)
                .build(MemoryMailbox::new())
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let long = |field: &str, result: Result<(), String>| {
            let refused = result.expect_err(field);
            assert!(refused.contains(field), "{refused}");
        };
        long(
            "bounds",
            build(|builder| {
                builder.bounds(Bounds {
                    maximum_messages: 0,
                    ..Bounds::default()
                })
            }),
        );
        long("lease", build(|builder| builder.lease(Duration::from_secs(1))));
        long("beat", build(|builder| builder.beat(Duration::ZERO)));
        long(
            "sign-of-life",
            build(|builder| builder.sign_of_life(Duration::ZERO)),
        );
        long(
            "lifetime",
            build(|builder| builder.lifetime(Duration::from_millis(999))),
        );
        long("sessions-per-subject", build(|builder| builder.per_session(0)));
        long("sessions-per-subject", build(|builder| builder.per_session(101)));
        assert_eq!(build(|builder| builder.per_session(100)), Ok(()));
    });
}
