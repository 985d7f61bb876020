//! The connections to the nodes of a Cluster. The client crate finds the node of a key; this crate decides on retries.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use tokio::time::{Instant, timeout_at};

use super::clients::Clients;
use super::error::Failure;
use super::wire::{Node, send_over, timed_out};

/// After this time of failing calls, all connections are re-established from the nodes that the URL names.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// The nodes of one Cluster.
pub(super) struct Cluster {
    clients: Arc<Clients>,
    config: AsyncConnectionConfig,
    shared: Arc<Shared>,
}

struct Shared {
    client: ClusterClient,
    current: RwLock<Option<ClusterConnection>>,
    /// The moment of the first failed call since the last success, or of the last reconnection if that is later.
    failing_since: Mutex<Option<Instant>>,
}

impl Cluster {
    pub(super) fn new(clients: Arc<Clients>, client: ClusterClient, config: AsyncConnectionConfig) -> Self {
        Self {
            clients,
            config,
            shared: Arc::new(Shared {
                client,
                current: RwLock::new(None),
                failing_since: Mutex::new(None),
            }),
        }
    }

    /// Finds the nodes for the first time.
    pub(super) async fn connect(&self) -> Result<(), RedisError> {
        self.shared.connect().await
    }

    pub(super) async fn send(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        let mut connection = self.current()?;
        let failure = match send_over(&mut connection, command, deadline).await {
            Ok(value) => {
                self.shared.went_well();
                return Ok(value);
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Passing(error) if is(&error, ServerErrorKind::Ask) => {
                // Boxed, because the future of every command would be as large as this one.
                Box::pin(self.ask_there(&error, command, deadline)).await
            }
            // The client crate reports this error to all waiting commands when it searches the nodes again, so it may not be
            // the answer to this command.
            Failure::Passing(error) if is(&error, ServerErrorKind::BusyLoading) => Err(Failure::Lost(error)),
            Failure::Lost(error) => {
                self.shared.went_wrong();
                Err(Failure::Lost(error))
            }
            failure => Err(failure),
        }
    }

    /// Sends a command to one node.
    pub(super) async fn send_to(
        &self,
        node: &Node,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let mut connection = self.current()?;
        let (host, port) = (node.host.clone(), node.port);
        let route = RoutingInfo::SingleNode(SingleNodeRoutingInfo::ByAddress { host, port });
        match timeout_at(deadline, connection.route_command(command.clone(), route)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::of(error)),
            Err(_) => Err(Failure::Lost(timed_out("Redis does not answer in time"))),
        }
    }

    fn current(&self) -> Result<ClusterConnection, Failure> {
        let current = self.shared.current.read().unwrap_or_else(PoisonError::into_inner);
        let never = || Failure::Passing(timed_out("the Cluster was never reached"));
        current.clone().ok_or_else(never)
    }

    /// Sends one command to the node that `ASK` names: the slot is being moved, and the key has already arrived there.
    async fn ask_there(
        &self,
        error: &RedisError,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let not_done = |error: RedisError| Failure::Passing(error);
        let address = error
            .redirect_node()
            .and_then(|(address, _)| address.rsplit_once(':'));
        let (host, port) = address.ok_or_else(|| not_done(error.clone()))?;
        let port = port.parse().map_err(|_| not_done(error.clone()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let client = self.clients.of(host, port).map_err(not_done)?;
        let connecting = client.get_multiplexed_async_connection_with_config(&self.config);
        let connected = timeout_at(deadline, connecting).await;
        let mut connection = connected
            .unwrap_or_else(|_| Err(timed_out("no connection in time")))
            .map_err(not_done)?;
        let asking = cmd("ASKING");
        let allowed = timeout_at(deadline, asking.query_async::<()>(&mut connection)).await;
        allowed
            .unwrap_or_else(|_| Err(timed_out("Redis does not answer in time")))
            .map_err(not_done)?;
        send_over(&mut connection, command, deadline).await
    }
}

impl Shared {
    async fn connect(&self) -> Result<(), RedisError> {
        let connection = self.client.get_async_connection().await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(())
    }

    fn went_well(&self) {
        let mut failing = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.take().is_some() {
            tracing::info!("the Redis Cluster answers again");
        }
    }

    /// Reconnects after a longer failure, because the client crate does not always recover by itself.
    fn went_wrong(self: &Arc<Self>) {
        let mut failing = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *failing.get_or_insert_with(|| {
            tracing::warn!("the Redis Cluster does not answer");
            Instant::now()
        });
        if since.elapsed() < GIVE_UP_AFTER {
            return;
        }
        *failing = Some(Instant::now());
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = shared.connect().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no connection to the Redis Cluster"
                );
            }
        });
    }
}

fn is(error: &RedisError, kind: ServerErrorKind) -> bool {
    error.kind() == ErrorKind::Server(kind)
}
