//! The connections over which one node reads its mailboxes, and is notified of changes of them and of records of sessions.
//!
//! `CLIENT TRACKING` in its default mode: the server reports the next change of each key that the connection has read.
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>

mod read;
mod server;
mod slots;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub(super) use self::read::{Prefixes, Read};
use self::server::{Answer, Scene, Server};
use self::slots::Slots;
use super::super::error::{Failure, cause};
use super::super::link::Effect;
use super::super::shared::Shared;
use super::super::wire::Node;
use crate::StoreError;
use crate::wakes::Signal;

/// The interval at which the servers are pinged, broken connections re-established, and the slots of a Cluster read.
const ROUND: Duration = Duration::from_secs(1);
/// The shortest time between two rounds.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);
/// The time for which the slots that one reader has read serve all.
const REFRESHED_FOR: Duration = Duration::from_millis(100);
/// The maximum number of attempts of one read: a slot may have moved, and a connection be broken.
const TRIES: u32 = 3;

/// The reading side of one node.
pub(super) struct Reading {
    scene: Arc<Scene>,
    /// By the name of the server.
    servers: Mutex<HashMap<String, Arc<Server>>>,
    /// Those of a Cluster.
    slots: RwLock<Slots>,
    /// When the slots were last read. Locked while they are, so that one reader does so for all.
    refreshed: AsyncMutex<Option<Instant>>,
    round: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let round = self.round.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(round) = round.take() {
            round.abort();
        }
    }
}

impl Reading {
    /// Creates the reading side of a node. It connects at the first read.
    pub(super) fn new(shared: Arc<Shared>, signal: Arc<Signal>, prefixes: Prefixes) -> Arc<Self> {
        let reading = Arc::new(Self {
            scene: Arc::new(Scene {
                shared,
                signal,
                prefixes,
                broken: Notify::new(),
            }),
            servers: Mutex::default(),
            slots: RwLock::default(),
            refreshed: AsyncMutex::default(),
            round: Mutex::default(),
        });
        let round = tokio::spawn(go_round(Arc::downgrade(&reading)));
        *reading.round.lock().unwrap_or_else(PoisonError::into_inner) = Some(round);
        reading
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<String, Arc<Server>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self, node: &Arc<Node>) -> Arc<Server> {
        let mut servers = self.servers();
        let server = servers
            .entry(node.name().to_owned())
            .or_insert_with(|| Server::new(Arc::clone(node), Arc::clone(&self.scene)));
        Arc::clone(server)
    }

    /// The server that has a key.
    async fn server_of(&self, key: &str, deadline: Instant) -> Result<Arc<Server>, StoreError> {
        if !self.scene.shared.link.is_cluster() {
            return Ok(self.server(&Arc::new(Node::only())));
        }
        if let Some(node) = self.node_of(key) {
            return Ok(self.server(&node));
        }
        self.refresh(deadline).await?;
        let node = self.node_of(key).ok_or(StoreError::Corrupt)?;
        Ok(self.server(&node))
    }

    fn node_of(&self, key: &str) -> Option<Arc<Node>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.of(key).map(Arc::clone)
    }

    /// Reads the slots of the Cluster. If they have moved, the watches on the servers before may be gone.
    async fn refresh(&self, deadline: Instant) -> Result<(), StoreError> {
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at.elapsed() < REFRESHED_FOR) {
            return Ok(());
        }
        let ranges = self.scene.shared.link.slots(deadline).await?;
        let names: Vec<String> = ranges.iter().map(|(_, node)| node.name().to_owned()).collect();
        let read = Slots::new(ranges);
        let is_known = self
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_as(&read);
        if !is_known {
            *self.slots.write().unwrap_or_else(PoisonError::into_inner) = read;
            self.servers().retain(|name, _| names.contains(name));
            self.scene.signal.miss();
        }
        *refreshed = Some(Instant::now());
        Ok(())
    }

    /// Reads one key, with repeats over a new connection or at another server.
    pub(super) async fn run(&self, read: &Read, deadline: Instant) -> Result<Answer, StoreError> {
        let mut tries = 1;
        loop {
            let server = self.server_of(read.key(), deadline).await?;
            let failure = match server.run(read, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::NoScript) => {
                    RedisError::from(std::io::Error::other("Redis does not keep its scripts"))
                }
                Err(Failure::Passing(error)) if is(&error, ServerErrorKind::Ask) => {
                    return self.run_unwatched(read, deadline).await;
                }
                Err(Failure::Passing(error) | Failure::Lost(error)) => error,
            };
            if tries >= TRIES || Instant::now() >= deadline {
                return Err(StoreError::Unavailable(cause(failure)));
            }
            tries += 1;
            if self.scene.shared.link.is_cluster() {
                self.refresh(deadline).await?;
            }
        }
    }

    /// Reads a key whose slot is being moved, and which has already arrived at the other server.
    /// No server watches it, so that a change is reported after a while.
    async fn run_unwatched(&self, read: &Read, deadline: Instant) -> Result<Answer, StoreError> {
        let link = &self.scene.shared.link;
        let value = match read {
            Read::Mailbox(_, call) => link.run(call, Effect::Repeatable, deadline).await,
            Read::Record(..) => Ok(Value::Nil),
        };
        let (signal, subject) = (Arc::clone(&self.scene.signal), read.subject());
        tokio::spawn(async move {
            sleep(ROUND).await;
            subject.report(&signal);
        });
        Ok(Answer {
            value: value?,
            is_watched: true,
        })
    }
}

fn is(error: &RedisError, kind: ServerErrorKind) -> bool {
    error.kind() == ErrorKind::Server(kind)
}

/// Checks the connections at intervals, and when one is found broken.
async fn go_round(reading: Weak<Reading>) {
    loop {
        let Some(strong) = reading.upgrade() else { return };
        tokio::select! {
            () = sleep(ROUND) => {}
            () = strong.scene.broken.notified() => sleep(PAUSE).await,
        }
        if strong.scene.shared.link.is_cluster()
            && !strong.servers().is_empty()
            && let Err(error) = strong.refresh(Instant::now() + PATIENCE).await
        {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the slots of the Redis Cluster cannot be read"
            );
        }
        let servers: Vec<Arc<Server>> = strong.servers().values().map(Arc::clone).collect();
        join_all(servers.iter().map(Server::check)).await;
    }
}
