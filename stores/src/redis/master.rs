//! The connection to one server: it is made again when it breaks, and to another server when Sentinel says so.

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

/// The pause after a connection could not be made: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Who tells where the server is.
pub(super) enum Source {
    Address(Box<Client>),
    /// Asked anew for each connection.
    Sentinels(Box<SentinelClient>),
}

/// One server at a time. All calls share one connection.
pub(super) struct Master {
    shared: Arc<Shared>,
}

struct Shared {
    /// Held while a connection is made, so that one is made at a time.
    source: AsyncMutex<Source>,
    config: AsyncConnectionConfig,
    /// How long it may take to make a connection, all Sentinels included.
    connect_limit: Duration,
    /// How long an outage is waited for.
    patience: Duration,
    current: RwLock<Option<Current>>,
    /// How many connections were made.
    made: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone)]
struct Current {
    number: u64,
    connection: MultiplexedConnection,
}

/// Since when there is no connection, and when one is to be tried.
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
            // Each may be asked twice, and then there is the master itself.
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

    /// How many connections were made.
    pub(super) fn made(&self) -> u64 {
        self.shared.made.load(Ordering::Relaxed)
    }

    /// Makes the first connection.
    pub(super) async fn connect(&self) -> Result<(), RedisError> {
        Arc::clone(&self.shared).connect().await.map(|_| ())
    }

    /// A short outage is waited for; in a long one calls fail as soon as a try has failed.
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
            // Whatever else is under way on it is still answered, if it is.
            Err(Failure::Lost(_)) => self.shared.forget(current.number),
            // It was the master once.
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
        // In a task of its own: a caller who goes away does not undo what others wait for.
        let connecting = tokio::spawn(Arc::clone(&self.shared).connect());
        match timeout_at(deadline, connecting).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => Err(timed_out("the connection was given up")),
            Err(_) => Err(timed_out("no connection in time")),
        }
    }
}

impl Shared {
    async fn connect(self: Arc<Self>) -> Result<Current, RedisError> {
        let mut source = self.source.lock().await;
        // Another may have made it, or failed, meanwhile.
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
            tracing::info!(after = ?trouble.since.elapsed(), "connected to Redis again");
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        current.insert(Current { number, connection }).clone()
    }

    /// The connection with this number is broken.
    fn forget(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.number == number) {
            *current = None;
        }
    }

    /// The last error, while it is too early for another try.
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
