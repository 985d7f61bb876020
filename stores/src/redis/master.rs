//! The connection to one server. It is re-established when it breaks, with Sentinel to the current master.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::Failure;
use super::wire::{jittered, send_over, timed_out};

/// The pause after a failed connection attempt: the first one and the longest one.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// The source of the server's address.
pub(super) enum Source {
    Address(Box<Client>),
    /// Queried again for each connection.
    Sentinels(Box<SentinelClient>),
}

/// One server at a time. All calls share one connection.
pub(super) struct Master {
    shared: Arc<Shared>,
}

struct Shared {
    /// Locked while connecting, so that there is one attempt at a time.
    source: AsyncMutex<Source>,
    config: AsyncConnectionConfig,
    /// The time-out of a connection attempt, including the queries to all Sentinels.
    connect_limit: Duration,
    /// The duration of an outage during which calls wait.
    patience: Duration,
    current: RwLock<Option<Current>>,
    /// The number of established connections.
    made: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone)]
struct Current {
    number: u64,
    connection: MultiplexedConnection,
}

/// An outage: its beginning, and the time of the next attempt.
struct Trouble {
    since: Instant,
    not_before: Instant,
    pause: Duration,
    error: RedisError,
}

impl Master {
    pub(super) fn new(source: Source, connect: Duration, servers: usize, patience: Duration) -> Self {
        // Each command has its own deadline.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(None);
        let connect_limit = match source {
            Source::Address(_) => connect * 2,
            // Each Sentinel may be queried twice, and then the master is connected.
            Source::Sentinels(_) => connect * u32::try_from(servers * 2 + 4).unwrap_or(u32::MAX),
        };
        Self {
            shared: Arc::new(Shared {
                source: AsyncMutex::new(source),
                config,
                connect_limit,
                patience,
                current: RwLock::new(None),
                made: AtomicU64::new(0),
                trouble: Mutex::new(None),
            }),
        }
    }

    /// The number of established connections.
    pub(super) fn made(&self) -> u64 {
        self.shared.made.load(Ordering::Relaxed)
    }

    /// Establishes the first connection.
    pub(super) async fn connect(&self) -> Result<(), RedisError> {
        Arc::clone(&self.shared).connect().await.map(|_| ())
    }

    /// Whether a call retries. During a short outage calls wait; during a long one they fail as soon as one attempt fails.
    pub(super) fn is_worth_waiting(&self) -> bool {
        let trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble
            .as_ref()
            .is_none_or(|trouble| trouble.since.elapsed() < self.shared.patience)
    }

    pub(super) async fn send(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        let mut current = self.connection(deadline).await.map_err(Failure::Passing)?;
        let answer = send_over(&mut current.connection, command, deadline).await;
        match &answer {
            // Other commands on the connection may still receive their answers.
            Err(Failure::Lost(_)) => self.shared.forget(current.number),
            // The server is no longer the master.
            Err(Failure::Passing(error)) if is_no_master(error) => self.shared.forget(current.number),
            _ => {}
        }
        answer
    }

    async fn connection(&self, deadline: Instant) -> Result<Current, RedisError> {
        if let Some(current) = self.shared.current() {
            return Ok(current);
        }
        self.shared.may_try()?;
        // In a task of its own, so that a caller that is dropped does not cancel the attempt, for which others may wait.
        let connecting = tokio::spawn(Arc::clone(&self.shared).connect());
        match timeout_at(deadline, connecting).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => Err(timed_out("the connection attempt was cancelled")),
            Err(_) => Err(timed_out("no connection in time")),
        }
    }
}

impl Shared {
    async fn connect(self: Arc<Self>) -> Result<Current, RedisError> {
        let mut source = self.source.lock().await;
        // Another call may have connected or failed since.
        if let Some(current) = self.current() {
            return Ok(current);
        }
        self.may_try()?;
        let made = timeout(self.connect_limit, source.connect(&self.config)).await;
        match made.unwrap_or_else(|_| Err(timed_out("no connection in time"))) {
            Ok(connection) => Ok(self.remember(connection)),
            Err(error) => {
                self.note(error.clone());
                Err(error)
            }
        }
    }

    fn current(&self) -> Option<Current> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, connection: MultiplexedConnection) -> Current {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = trouble.take() {
            tracing::info!(after = ?trouble.since.elapsed(), "reconnected to Redis");
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        current.insert(Current { number, connection }).clone()
    }

    /// Discards the connection with this number, which is broken.
    fn forget(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.number == number) {
            *current = None;
        }
    }

    /// Returns the last error while it is too early for another attempt.
    fn may_try(&self) -> Result<(), RedisError> {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(trouble) if Instant::now() < trouble.not_before => Err(trouble.error.clone()),
            _ => Ok(()),
        }
    }

    fn note(&self, error: RedisError) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, pause) = match &*trouble {
            None => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no connection to Redis");
                (now, PAUSES[0])
            }
            Some(trouble) => (trouble.since, (trouble.pause * 2).min(PAUSES[1])),
        };
        let not_before = now + jittered(pause);
        *trouble = Some(Trouble {
            since,
            not_before,
            pause,
            error,
        });
    }
}

impl Source {
    async fn connect(&mut self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, RedisError> {
        match self {
            Self::Address(client) => client.get_multiplexed_async_connection_with_config(config).await,
            Self::Sentinels(client) => client.get_async_connection_with_config(config).await,
        }
    }
}

fn is_no_master(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    )
}
