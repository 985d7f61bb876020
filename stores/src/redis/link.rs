//! Sends commands to Redis, with retries.
//!
//! A command is sent again only if it was certainly not done, or if repeating it changes nothing.
//! So the client crate's own retries are off: they would repeat a write whose answer was lost.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, ProtocolVersion, Value};
use tokio::time::{Instant, sleep_until};

use super::clients::{Clients, Limits};
use super::cluster::Cluster;
use super::error::{Failure, RedisStoreError, cause, not_opened};
use super::master::{Master, Source};
use super::scripts::Call;
use super::url::Kind;
use super::wire::{Node, jittered};
use crate::{Cause, StoreError};

/// The pause before a retry of a command: the first one and the longest one.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];

/// The connections to the servers.
pub(super) enum Link {
    /// One server, which a failover may replace.
    Master(Master),
    /// Many servers, chosen by key.
    Cluster(Box<Cluster>),
}

/// Whether a command may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It may: the command changes nothing, or repeating it has no further effect.
    Repeatable,
    /// It must not.
    Once,
}

impl Link {
    /// Establishes the first connection.
    pub(super) async fn connect(clients: Arc<Clients>, limits: Limits) -> Result<Self, RedisStoreError> {
        match clients.url.kind {
            Kind::Single => {
                let (host, port) = &clients.url.hosts[0];
                let source = Source::Address(Box::new(clients.of(host, *port).map_err(not_opened)?));
                connect_master(source, 1, limits).await
            }
            Kind::Sentinel => {
                let sentinels = clients.sentinels(ProtocolVersion::RESP2).map_err(not_opened)?;
                let source = Source::Sentinels(Box::new(sentinels));
                connect_master(source, clients.url.hosts.len(), limits).await
            }
            Kind::Cluster => {
                let client = clients.cluster(limits).map_err(not_opened)?;
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(limits.connect))
                    .set_response_timeout(Some(limits.call));
                let cluster = Cluster::new(Arc::clone(&clients), client, config);
                cluster.connect().await.map_err(not_opened)?;
                Ok(Self::Cluster(Box::new(cluster)))
            }
        }
    }

    /// Sends a command, with retries until the deadline.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
        effect: Effect,
        deadline: Instant,
    ) -> Result<T, StoreError> {
        match self.persist(command, effect, deadline).await {
            Ok(value) => read(value),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Passing(error)) => Err(StoreError::Unavailable(cause(error))),
            Err(Failure::Lost(error)) if effect == Effect::Once => {
                Err(StoreError::OutcomeUnknown(cause(error)))
            }
            Err(Failure::Lost(error)) => Err(StoreError::Unavailable(cause(error))),
            Err(Failure::NoScript) => Err(StoreError::Other(Cause::new("Redis does not keep its scripts"))),
        }
    }

    /// Runs a script, with retries until the deadline.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &Call,
        effect: Effect,
        deadline: Instant,
    ) -> Result<T, StoreError> {
        match self.persist(&call.by_name(), effect, deadline).await {
            Ok(value) => read(value),
            Err(Failure::NoScript) => self.ask(&call.with_text(), effect, deadline).await,
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Lost(error)) if effect == Effect::Once => {
                Err(StoreError::OutcomeUnknown(cause(error)))
            }
            Err(Failure::Passing(error) | Failure::Lost(error)) => Err(StoreError::Unavailable(cause(error))),
        }
    }

    /// The number of connections that were established to one server, of which each may be to another one; 0 for a Cluster.
    pub(super) fn made(&self) -> u64 {
        match self {
            Self::Master(master) => master.made(),
            Self::Cluster(_) => 0,
        }
    }

    /// Replaces the connection to one server if it is broken, so that [`made`](Self::made) counts the one that replaces it.
    #[cfg(feature = "connections")]
    pub(super) async fn settle(&self, deadline: Instant) {
        if let Self::Master(_) = self {
            // Any answer shows that the connection is not broken. Without one, the server is as good as another.
            let _ = self
                .persist(&redis::cmd("PING"), Effect::Repeatable, deadline)
                .await;
        }
    }

    /// The servers that have records, in the order of their names.
    pub(super) async fn nodes(&self, deadline: Instant) -> Result<Vec<Node>, StoreError> {
        if matches!(self, Self::Master(_)) {
            return Ok(vec![Node::only()]);
        }
        let ranges = self.slots(deadline).await?;
        let mut nodes: Vec<Node> = ranges.into_iter().map(|(_, node)| node).collect();
        nodes.sort_by(|a, b| a.name().cmp(b.name()));
        nodes.dedup_by(|a, b| a.name() == b.name());
        Ok(nodes)
    }

    /// The ranges of slots of a Cluster, each with its master.
    pub(super) async fn slots(
        &self,
        deadline: Instant,
    ) -> Result<Vec<(RangeInclusive<u16>, Node)>, StoreError> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let slots: Vec<Vec<Value>> = self.ask(&command, Effect::Repeatable, deadline).await?;
        // First slot, last slot, the master as address, port and more; then its replicas.
        let range = |slot: &Vec<Value>| {
            let number = |place: usize| redis::from_redis_value::<u16>(slot.get(place)?.clone()).ok();
            let master: Vec<Value> = redis::from_redis_value(slot.get(2)?.clone()).ok()?;
            let host: String = redis::from_redis_value(master.first()?.clone()).ok()?;
            let port: u16 = redis::from_redis_value(master.get(1)?.clone()).ok()?;
            Some((number(0)?..=number(1)?, Node::new(host, port)))
        };
        let ranges: Option<Vec<_>> = slots.iter().map(range).collect();
        ranges.ok_or(StoreError::Corrupt)
    }

    #[cfg(feature = "connections")]
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Sends a command that changes nothing to one server.
    pub(super) async fn ask_node<T: FromRedisValue>(
        &self,
        node: &Node,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<T, StoreError> {
        let Self::Cluster(cluster) = self else {
            return self.ask(command, Effect::Repeatable, deadline).await;
        };
        match cluster.send_to(node, command, deadline).await {
            Ok(value) => read(value),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Passing(error) | Failure::Lost(error)) => Err(StoreError::Unavailable(cause(error))),
            Err(Failure::NoScript) => Err(StoreError::Corrupt),
        }
    }

    async fn persist(&self, command: &Cmd, effect: Effect, deadline: Instant) -> Result<Value, Failure> {
        let mut pause = PAUSES[0];
        loop {
            let failure = match self.attempt(command, deadline).await {
                Ok(value) => return Ok(value),
                Err(failure @ Failure::Passing(_)) => failure,
                Err(failure @ Failure::Lost(_)) if effect == Effect::Repeatable => failure,
                Err(failure) => return Err(failure),
            };
            let again = Instant::now() + jittered(pause);
            if again >= deadline || !self.is_worth_waiting() {
                return Err(failure);
            }
            sleep_until(again).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// Sends a command at most once.
    async fn attempt(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        match self {
            Self::Master(master) => master.send(command, deadline).await,
            Self::Cluster(cluster) => cluster.send(command, deadline).await,
        }
    }

    fn is_worth_waiting(&self) -> bool {
        match self {
            Self::Master(master) => master.is_worth_waiting(),
            Self::Cluster(_) => true,
        }
    }
}

/// Converts an answer. An answer of another form means that other software has written the key.
fn read<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    redis::from_redis_value(value).map_err(|_| StoreError::Corrupt)
}

async fn connect_master(source: Source, servers: usize, limits: Limits) -> Result<Link, RedisStoreError> {
    let master = Master::new(source, limits.connect, servers, limits.call);
    master.connect().await.map_err(not_opened)?;
    Ok(Link::Master(master))
}
