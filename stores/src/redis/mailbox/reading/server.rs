//! The connection to one server, over which a node reads its mailboxes and is notified of their changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, PushInfo, PushKind, RedisError, ServerErrorKind, Value, cmd,
};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::super::error::{Failure, cause};
use super::super::super::shared::Shared;
use super::super::super::wire::{Node, send_over, timed_out};
use super::read::{Prefixes, Read};
use crate::wakes::Signal;

const PATIENCE: Duration = Duration::from_secs(2);
/// The time for which all callers receive the error of an attempt to connect.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// One server.
pub(super) struct Server {
    node: Arc<Node>,
    scene: Arc<Scene>,
    current: Mutex<Option<Current>>,
    /// Locked while connecting, so that there is one attempt at a time. The last attempt that failed.
    connecting: AsyncMutex<Option<(Instant, RedisError)>>,
    /// The number of connections.
    made: AtomicU64,
}

/// The state that the servers of a node share.
pub(super) struct Scene {
    pub(super) shared: Arc<Shared>,
    pub(super) signal: Arc<Signal>,
    pub(super) prefixes: Prefixes,
    /// Notified when a connection is found broken.
    pub(super) broken: Notify,
}

#[derive(Clone)]
struct Current {
    number: u64,
    /// The number of the link's connection at the time: a new one may lead to another server.
    of_link: u64,
    connection: MultiplexedConnection,
    is_tracking: bool,
}

/// The answer to a read.
pub(in super::super) struct Answer {
    pub(in super::super) value: Value,
    /// Whether the next change of the key is reported.
    pub(in super::super) is_watched: bool,
}

impl Server {
    /// Creates the reading side of a server. It connects at the first read.
    pub(super) fn new(node: Arc<Node>, scene: Arc<Scene>) -> Arc<Self> {
        Arc::new(Self {
            node,
            scene,
            current: Mutex::new(None),
            connecting: AsyncMutex::default(),
            made: AtomicU64::new(0),
        })
    }

    fn slot(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Option<Current> {
        // After a failover, the link has a new connection to another server.
        let of_link = self.scene.shared.link.made();
        self.slot().clone().filter(|current| current.of_link == of_link)
    }

    /// Discards the connection with this number, which is broken or leads to a server that is no longer the master.
    fn forget(&self, number: u64) {
        let mut current = self.slot();
        if current.as_ref().is_some_and(|current| current.number == number) {
            *current = None;
            self.scene.broken.notify_one();
        }
    }

    async fn connected(self: &Arc<Self>, deadline: Instant) -> Result<Current, RedisError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        // In a task of its own, so that a caller that is dropped does not cancel the attempt, for which others wait.
        let connecting = tokio::spawn(Arc::clone(self).connect());
        match timeout_at(deadline, connecting).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => Err(timed_out("the connection attempt was cancelled")),
            Err(_) => Err(timed_out("no connection in time")),
        }
    }

    async fn connect(self: Arc<Self>) -> Result<Current, RedisError> {
        let mut failed = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < RETRY_AFTER
        {
            return Err(error.clone());
        }
        let attempt = timeout(PATIENCE * 2, self.attempt_to_connect()).await;
        match attempt.unwrap_or_else(|_| Err(timed_out("no connection in time"))) {
            Ok(current) => {
                *failed = None;
                *self.slot() = Some(current.clone());
                // The watches of the connection before are gone.
                self.scene.signal.miss();
                Ok(current)
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn attempt_to_connect(self: &Arc<Self>) -> Result<Current, RedisError> {
        let shared = &self.scene.shared;
        // A cut breaks the link's connection as well. Its next one would look like a failover, and everything be read again.
        shared.link.settle(Instant::now() + PATIENCE).await;
        let of_link = shared.link.made();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let server = Arc::downgrade(self);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| receive(&server, number, push));
        let mut connection = shared.clients.pushing(&self.node, &config).await?;
        let tracks: Result<(), RedisError> = cmd("CLIENT")
            .arg(&["TRACKING", "ON"])
            .query_async(&mut connection)
            .await;
        let is_tracking = match tracks {
            Ok(()) => true,
            Err(error) if matches!(Failure::of(error.clone()), Failure::Refused(_)) => {
                tracing::warn!(
                    error = cause(error).get() as &dyn std::error::Error,
                    "Redis reports no changes of mailboxes, which are read every second instead"
                );
                false
            }
            Err(error) => return Err(error),
        };
        Ok(Current {
            number,
            of_link,
            connection,
            is_tracking,
        })
    }

    /// Reads once.
    pub(super) async fn run(self: &Arc<Self>, read: &Read, deadline: Instant) -> Result<Answer, Failure> {
        let current = self.connected(deadline).await.map_err(Failure::Passing)?;
        let mut connection = current.connection;
        let answer = match send_over(&mut connection, &read.command(), deadline).await {
            Err(Failure::NoScript) => send_over(&mut connection, &read.with_text(), deadline).await,
            answer => answer,
        };
        match &answer {
            // The server may be slow with this one read. If it is not alive, the next ping shows it.
            Err(Failure::Lost(error)) if error.is_timeout() => {}
            Err(Failure::Lost(_)) => self.forget(current.number),
            Err(Failure::Passing(error)) if is_no_master(error) => self.forget(current.number),
            _ => {}
        }
        answer.map(|value| Answer {
            value,
            is_watched: current.is_tracking,
        })
    }

    /// Checks the connection, and re-establishes it if there was one.
    pub(super) async fn check(self: &Arc<Self>) {
        let Some(mut current) = self.current() else {
            let was_made = self.made.load(Ordering::Relaxed) > 0;
            if was_made {
                // The error is that of every read until an attempt succeeds.
                let _ = self.connected(Instant::now() + PATIENCE * 2).await;
            }
            return;
        };
        let ping: Cmd = cmd("PING");
        let alive = timeout(PATIENCE, ping.query_async::<()>(&mut current.connection)).await;
        if !matches!(alive, Ok(Ok(()))) {
            self.forget(current.number);
        } else if !current.is_tracking {
            self.scene.signal.miss();
        }
    }
}

fn is_no_master(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    )
}

/// Forwards a message of the server as notifications.
fn receive(server: &Weak<Server>, connection: u64, push: PushInfo) -> Result<(), Closed> {
    let server = server.upgrade().ok_or(Closed)?;
    match push.kind {
        PushKind::Invalidate => server.scene.report(push.data),
        // The watches are gone with the connection. The next one reports that notifications were lost.
        PushKind::Disconnection => server.forget(connection),
        _ => {}
    }
    Ok(())
}

/// The node no longer reads.
struct Closed;

impl Scene {
    fn report(&self, data: Vec<Value>) {
        let Some(Value::Array(keys)) = data.into_iter().next() else {
            // All keys were deleted.
            return self.signal.miss();
        };
        for key in keys {
            let key: Result<String, _> = redis::from_redis_value(key);
            match key.ok().and_then(|key| self.prefixes.subject(&key)) {
                Some(subject) => subject.report(&self.signal),
                None => self.signal.miss(),
            }
        }
    }
}
