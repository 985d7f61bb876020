//! Sessions over Redis that another program revokes, which knows of no connections. No beat of these nodes comes but the first
//! one, so that only a notification of the record closes a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tessera::connections::{
    Attachment, Connections, ConnectionsBuilder, EndReason, Event, Message, MessageId, Registration,
};
use tessera::store::{Capabilities, RedisMailbox, RedisStore, Store, StoreOp, StoreReply, StoreService};
use tessera::{Session, Sessions, Timestamp};
use tessera_tests::servers::{Proxy, RedisCluster, RedisSentinels, RedisServer, Weather};
use tokio::time::{sleep, timeout};

/// Longer than a reconnection.
const PATIENCE: Duration = Duration::from_secs(30);
const NO_BEAT: Duration = Duration::from_secs(3600);

/// Counts the reads of many records, of which each judgement of sessions is one.
struct Counted {
    store: RedisStore,
    judgements: Arc<AtomicUsize>,
}

impl StoreService for Counted {
    fn describe(&self) -> Capabilities {
        Store::describe(&self.store)
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        if let StoreOp::GetMany { .. } = op {
            self.judgements.fetch_add(1, Ordering::SeqCst);
        }
        self.store.call(now, op).await
    }
}

/// A node, and another program over the same store.
struct Fixture {
    sessions: Sessions,
    node: Connections<RedisMailbox>,
    judgements: Arc<AtomicUsize>,
    other: Sessions,
}

async fn store(url: &str) -> RedisStore {
    let builder = RedisStore::builder().prefix("app:");
    builder.open(&url.parse().expect("a URL")).await.expect("a store")
}

fn engine(store: impl StoreService + 'static) -> Sessions {
    let sessions = Sessions::builder().signing_key("k", [7; 32]).build(store);
    sessions.expect("sessions")
}

impl Fixture {
    async fn with(url: &str, others: &str, change: fn(ConnectionsBuilder) -> ConnectionsBuilder) -> Self {
        let (store_of_node, judgements) = (store(url).await, Arc::<AtomicUsize>::default());
        let mailbox = RedisMailbox::new(&store_of_node);
        let sessions = engine(Counted {
            store: store_of_node,
            judgements: Arc::clone(&judgements),
        });
        let builder = change(Connections::builder(&sessions).beat(NO_BEAT));
        let node = builder.build(mailbox).expect("a node");
        // The first beat has passed, which comes at once.
        sleep(Duration::from_millis(100)).await;
        Self {
            sessions,
            node,
            judgements,
            other: engine(store(others).await),
        }
    }

    async fn new(url: &str) -> Self {
        Self::with(url, url, |builder| builder).await
    }

    async fn login(&self) -> (Session, String) {
        let session = self.sessions.create();
        let grant = session.authenticate("alice").await.expect("a login");
        (session, grant.token.expect("a token"))
    }

    async fn open(&self, session: &Session) -> Attachment<RedisMailbox> {
        let opened = self.node.open(session, Registration::default()).await;
        opened.expect("a connection")
    }

    async fn revoke(&self, session: &Session) {
        let public_id = session.details().expect("details").public_id;
        let revoked = self.other.revoke("alice", &public_id).await;
        assert!(revoked.expect("a revocation"));
    }

    async fn send(&self, client: &Attachment<RedisMailbox>, data: &str) {
        let message = Message::new(None, data).expect("a message");
        let sent = self.node.send(client.name(), &message, None).await;
        sent.expect("an id");
    }

    /// Another program saves the session.
    async fn save(&self, token: &str, value: u32) {
        let session = self.other.open(token).await.expect("a session");
        session.set("a", &value).expect("a field");
        session.save().await.expect("a save");
    }

    /// Waits until no session is being judged.
    async fn is_quiet(&self) {
        loop {
            let before = self.judgements.load(Ordering::SeqCst);
            sleep(Duration::from_secs(1)).await;
            if self.judgements.load(Ordering::SeqCst) == before {
                return;
            }
        }
    }
}

async fn next(client: &mut Attachment<RedisMailbox>) -> Event {
    let event = timeout(PATIENCE, client.next()).await.expect("an event in time");
    event.expect("an event")
}

async fn is_over(client: &mut Attachment<RedisMailbox>) {
    assert_eq!(next(client).await, Event::End(EndReason::SessionOver));
}

async fn receives(client: &mut Attachment<RedisMailbox>, data: &str) {
    match next(client).await {
        Event::Message(entry) => assert_eq!(entry.message.data(), data),
        event => panic!("{event:?}"),
    }
}

/// A session whose stream is closed in time, although it was saved before, and one whose stream stays.
async fn a_revoked_session_closes_its_streams(url: &str) {
    let here = Fixture::new(url).await;
    // In a Cluster, their records are at several servers.
    let mut all = Vec::new();
    for _ in 0..12 {
        let (session, token) = here.login().await;
        let client = here.open(&session).await;
        all.push((session, token, client));
    }
    let (stays, token_that_stays) = here.login().await;
    let mut client_that_stays = here.open(&stays).await;
    here.is_quiet().await;
    for (value, (session, token, client)) in (0..).zip(&mut all) {
        // Every other one was saved before, which ends the first watch.
        if value % 2 == 0 {
            here.save(token, value).await;
            here.save(&token_that_stays, value).await;
            here.is_quiet().await;
            here.send(client, "saved").await;
            receives(client, "saved").await;
        }
        here.revoke(session).await;
        is_over(client).await;
    }
    here.send(&client_that_stays, "still here").await;
    receives(&mut client_that_stays, "still here").await;
    let all_of_node = here.node.attached();
    drop(all);
    assert_eq!(all_of_node, 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_revoked_by_another_program_closes_its_streams_over_redis() {
    a_revoked_session_closes_its_streams(&RedisServer::start(&[]).url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_revoked_by_another_program_closes_its_streams_over_a_cluster() {
    a_revoked_session_closes_its_streams(&RedisCluster::start(&[]).url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_revoked_by_another_program_closes_its_streams_after_a_failover() {
    let mut sentinels = RedisSentinels::start(&[]);
    let here = Fixture::new(&sentinels.url()).await;
    let (session, _) = here.login().await;
    let mut client = here.open(&session).await;
    here.is_quiet().await;
    sentinels.fail_over();
    let began = Instant::now();
    let public_id = session.details().expect("details").public_id;
    loop {
        match here.other.revoke("alice", &public_id).await {
            Ok(is_revoked) => break assert!(is_revoked),
            // A try whose answer is lost is not repeated after success: the old master is gone.
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
    is_over(&mut client).await;
}

/// Between the opening of the session and the watch on its record.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_was_revoked_before_its_client_is_attached_closes_the_stream() {
    let server = RedisServer::start(&[]);
    let here = Fixture::new(&server.url()).await;
    let (session, token) = here.login().await;
    let name = here.node.register(&session, Registration::default()).await;
    let opened = here.sessions.open(&token).await.expect("a session");
    here.revoke(&session).await;
    let name = name.expect("a name");
    let client = here.node.attach(&name, MessageId::START, &opened).await;
    is_over(&mut client.expect("an attachment")).await;
}

/// The record of a second client of the session is watched already.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_by_another_program_closes_all_streams_of_the_token_before() {
    let server = RedisServer::start(&[]);
    let here = Fixture::new(&server.url()).await;
    let (session, token) = here.login().await;
    let mut first = here.open(&session).await;
    here.is_quiet().await;
    let mut second = here.open(&session).await;
    let opened = here.other.open(&token).await.expect("a session");
    opened.authenticate("alice").await.expect("a login");
    is_over(&mut first).await;
    is_over(&mut second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_of_saves_costs_few_judgements_and_closes_nothing() {
    const SAVES: usize = 300;
    let server = RedisServer::start(&[]);
    let here = Fixture::new(&server.url()).await;
    let (session, token) = here.login().await;
    let mut client = here.open(&session).await;
    here.is_quiet().await;
    let before = here.judgements.load(Ordering::SeqCst);
    let began = Instant::now();
    let opened = here.other.open(&token).await.expect("a session");
    for value in 0..SAVES {
        opened.set("a", &value).expect("a field");
        opened.save().await.expect("a save");
    }
    here.is_quiet().await;
    let judgements = here.judgements.load(Ordering::SeqCst) - before;
    // At most one in 200 ms, beside the first and the last.
    let rounds = usize::try_from(began.elapsed().as_millis() / 200).expect("a number");
    assert!(
        (1..=rounds + 2).contains(&judgements),
        "{judgements} in {rounds} rounds"
    );
    here.send(&client, "still here").await;
    receives(&mut client, "still here").await;
    here.revoke(&session).await;
    is_over(&mut client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_during_or_after_a_cut_closes_the_stream() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::to(server.port);
    let url = format!("redis://127.0.0.1:{}", proxy.port);
    let here = Fixture::with(&url, &server.url(), |builder| builder).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        let (session, _) = here.login().await;
        let client = here.open(&session).await;
        all.push((session, client));
    }
    here.is_quiet().await;
    proxy.set(Weather::Closed);
    here.revoke(&all[0].0).await;
    proxy.set(Weather::Fine);
    is_over(&mut all[0].1).await;
    proxy.cut();
    let before = here.judgements.load(Ordering::SeqCst);
    let began = Instant::now();
    while here.judgements.load(Ordering::SeqCst) == before {
        assert!(began.elapsed() < PATIENCE, "no record is watched again");
        sleep(Duration::from_millis(20)).await;
    }
    here.is_quiet().await;
    for (session, client) in &mut all[1..] {
        here.revoke(session).await;
        is_over(client).await;
    }
}

/// Without the right to be notified, and over a store that is not that of the sessions, the beat finds out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_whose_record_cannot_be_watched_is_judged_by_the_beat() {
    let server = RedisServer::start(&[]);
    let elsewhere = RedisServer::start(&[]);
    let () = server
        .ask(&[
            "ACL",
            "SETUSER",
            "app",
            "on",
            ">secret",
            "~*",
            "&*",
            "+@all",
            "-client|tracking",
        ])
        .expect("a user");
    let forbidden = format!("redis://app:secret@127.0.0.1:{}", server.port);
    for mailboxes in [forbidden, elsewhere.url()] {
        let sessions = engine(store(&server.url()).await);
        let mailbox = RedisMailbox::new(&store(&mailboxes).await);
        let builder = Connections::builder(&sessions).beat(Duration::from_secs(1));
        let node = builder.build(mailbox).expect("a node");
        let session = sessions.create();
        session.authenticate("alice").await.expect("a login");
        let opened = node.open(&session, Registration::default()).await;
        let mut client = opened.expect("a connection");
        let other = engine(store(&server.url()).await);
        let public_id = session.details().expect("details").public_id;
        other.revoke("alice", &public_id).await.expect("a revocation");
        is_over(&mut client).await;
    }
}
