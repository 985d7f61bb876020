//! The connection over which one node reads its mailboxes and is notified of their changes.
//!
//! `CLIENT TRACKING` in its default mode: the server reports the next change of each key that the connection has read.
//! <https://redis.io/docs/latest/develop/reference/client-side-caching/>

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, PushInfo, PushKind, RedisError, Value, cmd};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::error::{Failure, cause};
use super::super::scripts::Call;
use super::super::shared::Shared;
use super::super::wire::{Node, send_over, timed_out};
use crate::StoreError;
use crate::wakes::Signal;

/// The interval at which the server is pinged, and a broken connection is re-established.
const ROUND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// The connection of one node for its reads.
pub(super) struct Reading {
    shared: Arc<Shared>,
    signal: Arc<Signal>,
    current: Mutex<Option<Current>>,
    /// Locked while connecting, so that there is one attempt at a time.
    connecting: AsyncMutex<()>,
    pushed: UnboundedSender<PushInfo>,
    /// Notified when a connection is found broken.
    broken: Notify,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Current {
    /// The number of the link's connection at the time: a new one may lead to another server.
    made: u64,
    connection: MultiplexedConnection,
    is_tracking: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|task| task.abort());
    }
}

impl Reading {
    /// Creates the reading side of a node. It connects at the first read.
    pub(super) fn new(shared: Arc<Shared>, signal: Arc<Signal>, names: String) -> Arc<Self> {
        let (pushed, pushes) = unbounded_channel();
        let reading = Arc::new(Self {
            shared,
            signal,
            current: Mutex::new(None),
            connecting: AsyncMutex::default(),
            pushed,
            broken: Notify::new(),
            tasks: Mutex::default(),
        });
        let weak = Arc::downgrade(&reading);
        let tasks = vec![
            tokio::spawn(forward(weak.clone(), names, pushes)),
            tokio::spawn(watch(weak)),
        ];
        *reading.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        reading
    }

    fn current(&self) -> Option<Current> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // After a failover, the link has a new connection to another server.
        current
            .clone()
            .filter(|current| current.made == self.shared.link.made())
    }

    /// Discards the connection, which is broken or leads to a server that is no longer the master.
    fn forget(&self) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.broken.notify_one();
    }

    async fn connected(&self) -> Result<Current, RedisError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let made = self.shared.link.made();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(None)
            .set_push_sender(self.pushed.clone());
        let connect = async {
            let mut connection = self.shared.clients.pushing(&Node::only(), &config).await?;
            let tracks: Result<(), RedisError> = cmd("CLIENT")
                .arg(&["TRACKING", "ON"])
                .query_async(&mut connection)
                .await;
            Ok::<_, RedisError>((connection, tracks))
        };
        let connected = timeout(PATIENCE * 2, connect).await;
        let (connection, tracks) = connected.unwrap_or_else(|_| Err(timed_out("no connection in time")))?;
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
        let current = Current {
            made,
            connection,
            is_tracking,
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        // The watches of the connection before are gone.
        self.signal.miss();
        Ok(current)
    }

    /// Runs a script that only reads, with one repeat over a new connection.
    pub(super) async fn run(&self, call: &Call, deadline: Instant) -> Result<Value, StoreError> {
        let mut is_first = true;
        loop {
            let failure = match self.attempt(call, deadline).await {
                Ok(value) => return Ok(value),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::NoScript) => {
                    RedisError::from(std::io::Error::other("Redis does not keep its scripts"))
                }
                Err(Failure::Passing(error) | Failure::Lost(error)) => error,
            };
            self.forget();
            if !std::mem::replace(&mut is_first, false) || Instant::now() >= deadline {
                return Err(StoreError::Unavailable(cause(failure)));
            }
        }
    }

    async fn attempt(&self, call: &Call, deadline: Instant) -> Result<Value, Failure> {
        let connected = timeout_at(deadline, self.connected()).await;
        let connected = connected.unwrap_or_else(|_| Err(timed_out("no connection in time")));
        let mut connection = connected.map_err(Failure::Passing)?.connection;
        match send_over(&mut connection, &call.by_name(), deadline).await {
            Err(Failure::NoScript) => send_over(&mut connection, &call.with_text(), deadline).await,
            answer => answer,
        }
    }

    /// Checks the connection, if there is one.
    async fn check(&self) {
        let Some(mut current) = self.current() else {
            // Without a connection, nothing is watched: it is re-established here if it has broken.
            if self
                .current
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some()
            {
                self.forget();
            }
            return;
        };
        let ping: Cmd = cmd("PING");
        let alive = timeout(PATIENCE, ping.query_async::<()>(&mut current.connection)).await;
        if !matches!(alive, Ok(Ok(()))) {
            self.forget();
        } else if !current.is_tracking {
            self.signal.miss();
        }
    }
}

/// Forwards the server's messages as notifications.
async fn forward(reading: Weak<Reading>, names: String, mut pushes: UnboundedReceiver<PushInfo>) {
    while let Some(push) = pushes.recv().await {
        let Some(reading) = reading.upgrade() else { return };
        match push.kind {
            PushKind::Invalidate => reading.report(&names, push.data),
            // The watches are gone with the connection.
            PushKind::Disconnection => {
                reading.forget();
                reading.signal.miss();
            }
            _ => {}
        }
    }
}

/// Pings the server at intervals, and re-establishes a broken connection.
async fn watch(reading: Weak<Reading>) {
    loop {
        let Some(strong) = reading.upgrade() else { return };
        tokio::select! {
            () = sleep(ROUND) => strong.check().await,
            () = strong.broken.notified() => {
                strong.signal.miss();
                if strong.connected().await.is_err() {
                    sleep(ROUND).await;
                    strong.broken.notify_one();
                }
            }
        }
    }
}

impl Reading {
    fn report(&self, names: &str, data: Vec<Value>) {
        let Some(Value::Array(keys)) = data.into_iter().next() else {
            // All keys were deleted.
            return self.signal.miss();
        };
        for key in keys {
            let key: Result<String, _> = redis::from_redis_value(key);
            let name = key
                .ok()
                .and_then(|key| key.strip_prefix(names).and_then(|name| name.parse().ok()));
            match name {
                Some(name) => self.signal.report(name),
                None => self.signal.miss(),
            }
        }
    }
}
