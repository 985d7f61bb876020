//! Two nodes of the library over one Redis: a client of each connection at the first, the senders at the second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tessera::Sessions;
use tessera::connections::{Connections, EndReason, Event, Message, Name, Registration};
use tessera::store::{RedisMailbox, RedisStore};
use tessera_tests::servers::RedisServer;

use super::{CONNECTIONS, Failure, TEXT};

/// The connections of a session, of which it may have 16.
const OF_SESSION: usize = 16;
/// The number of connections that are opened at the same time.
const OPENED_AT_ONCE: usize = 32;

pub(crate) type Node = Connections<RedisMailbox>;

/// The sessions of a process, over connections of its own.
pub(crate) async fn process(redis: &RedisServer) -> Result<(Sessions, RedisStore), Failure> {
    let store = RedisStore::open(&redis.url().parse()?).await?;
    let builder = Sessions::builder().signing_key("bench", [7; 32]).instances(2);
    Ok((builder.build(store.clone())?, store))
}

/// A session, by which it is revoked.
#[derive(Clone)]
pub(crate) struct Revocable {
    pub(crate) subject: String,
    pub(crate) public_id: String,
}

/// What the clients have received.
#[derive(Default)]
struct Received {
    /// The latency of each message.
    latencies: Vec<Duration>,
    /// The moment of each end, by session.
    ends: HashMap<String, Instant>,
}

/// Two nodes, and the clients of the first.
pub(crate) struct Nodes {
    pub(crate) redis: RedisServer,
    pub(crate) first: Node,
    pub(crate) second: Node,
    /// The sessions of the second node.
    pub(crate) sessions: Sessions,
    /// Those of the first node.
    of_first: Sessions,
    pub(crate) names: Arc<Vec<Name>>,
    /// The moment from which planned moments count.
    pub(crate) began: Instant,
    received: Arc<Mutex<Received>>,
}

impl Nodes {
    /// Starts Redis and two nodes without connections.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let redis = RedisServer::start(&[]);
        let (of_first, store) = process(&redis).await?;
        let first = Connections::builder(&of_first).build(RedisMailbox::new(&store))?;
        let (sessions, store) = process(&redis).await?;
        let second = Connections::builder(&sessions).build(RedisMailbox::new(&store))?;
        Ok(Self {
            redis,
            first,
            second,
            sessions,
            of_first,
            names: Arc::default(),
            began: Instant::now(),
            received: Arc::default(),
        })
    }

    /// Opens all connections at the first node, and returns the memory of Redis for each, in bytes.
    pub(crate) async fn fill(&mut self) -> Result<f64, Failure> {
        // Redis has the scripts, and both nodes have their connections.
        let name = self.open("warm-up", 1).await?.1.pop().ok_or("no connection")?;
        self.second.send(&name, &message(Duration::ZERO)?, None).await?;
        self.await_messages(1).await?;
        let before = self.used_memory()?;
        let subjects = (0..CONNECTIONS / OF_SESSION).map(|number| format!("subject-{number}"));
        let nodes = &*self;
        let opened = stream::iter(subjects)
            .map(|subject| async move { nodes.open(&subject, OF_SESSION).await })
            .buffer_unordered(OPENED_AT_ONCE);
        let opened: Vec<(Revocable, Vec<Name>)> = opened.try_collect().await?;
        let names = opened.into_iter().flat_map(|(_, names)| names);
        self.names = Arc::new(names.collect());
        // Each client waits for its first message.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok((self.used_memory()? - before) / CONNECTIONS as f64)
    }

    /// Opens a session with connections at the first node, each with a client that receives.
    pub(crate) async fn open(
        &self,
        subject: &str,
        connections: usize,
    ) -> Result<(Revocable, Vec<Name>), Failure> {
        let session = self.of_first.create();
        session.authenticate(subject).await?;
        let public_id = session.details()?.public_id;
        let mut names = Vec::with_capacity(connections);
        for _ in 0..connections {
            let client = self.first.open(&session, Registration::default()).await?;
            names.push(client.name().clone());
            let received = Arc::clone(&self.received);
            tokio::spawn(receive(client, public_id.clone(), self.began, received));
        }
        let subject = subject.to_owned();
        Ok((Revocable { subject, public_id }, names))
    }

    /// Registers connections without clients at the second node.
    pub(crate) async fn register(&self, connections: usize) -> Result<Vec<Name>, Failure> {
        let mut names = Vec::with_capacity(connections);
        while names.len() < connections {
            let session = self.sessions.create();
            session.authenticate("away").await?;
            for _ in 0..OF_SESSION.min(connections - names.len()) {
                names.push(self.second.register(&session, Registration::default()).await?);
            }
        }
        Ok(names)
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        lock(&self.received)
    }

    /// Waits until this number of messages has arrived, and takes their latencies.
    pub(crate) async fn await_messages(&self, number: usize) -> Result<Vec<Duration>, Failure> {
        self.wait(|received| received.latencies.len() >= number).await?;
        Ok(std::mem::take(&mut self.received().latencies))
    }

    /// Waits until this number of connections has ended, and takes the moments of their ends, by session.
    pub(crate) async fn await_ends(&self, number: usize) -> Result<HashMap<String, Instant>, Failure> {
        self.wait(|received| received.ends.len() >= number).await?;
        Ok(std::mem::take(&mut self.received().ends))
    }

    async fn wait(&self, is_so: impl Fn(&Received) -> bool) -> Result<(), Failure> {
        let started = Instant::now();
        while !is_so(&self.received()) {
            if started.elapsed() > Duration::from_secs(60) {
                return Err("some messages or ends did not arrive within a minute".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The memory that Redis uses, in bytes.
    fn used_memory(&self) -> Result<f64, Failure> {
        info(&self.redis, "memory", "used_memory:")
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a number of `INFO`. The first that follows the name counts.
pub(crate) fn info(redis: &RedisServer, section: &str, name: &str) -> Result<f64, Failure> {
    let info: String = redis.ask(&["INFO", section])?;
    let number = info.split_once(name).map_or("0", |(_, rest)| rest);
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    Ok(number[..end].parse()?)
}

/// A message with its planned moment.
pub(crate) fn message(planned: Duration) -> Result<Message, Failure> {
    Ok(Message::new(None, &format!("{} {TEXT}", planned.as_nanos()))?)
}

/// Notes what a client receives until its end.
async fn receive(
    mut client: tessera::connections::Attachment<RedisMailbox>,
    session: String,
    began: Instant,
    received: Arc<Mutex<Received>>,
) {
    while let Some(event) = client.next().await {
        let now = began.elapsed();
        match event {
            Event::Message(entry) => {
                let planned = entry.message.data().split(' ').next().map(str::parse);
                let planned = Duration::from_nanos(planned.expect("a text").expect("a number"));
                lock(&received).latencies.push(now.saturating_sub(planned));
            }
            Event::End(EndReason::SessionOver) => {
                lock(&received).ends.insert(session.clone(), Instant::now());
            }
            other => panic!("a client received {other:?}"),
        }
    }
}
