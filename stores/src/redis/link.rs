//! How a command reaches Redis, and what is done until it does.
//!
//! A command is sent again only if it is certain that it was not done, or if it changes nothing. The client crate's own
//! retries are off for that: they would send a write again whose answer was lost.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, Value};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::cluster::Cluster;
use super::error::{Failure, cause};
use super::master::Master;
use super::scripts::Call;
use crate::{Cause, StoreError};

/// The pause before a command is tried again: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];

/// The way to the servers.
pub(super) enum Link {
    /// To one server, which may be another one tomorrow.
    Master(Master),
    /// To many, by key.
    Cluster(Box<Cluster>),
}

/// One of the servers that have records.
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    name: String,
}

impl Node {
    fn new(host: String, port: u16) -> Self {
        let name = format!("{host}:{port}");
        Self { host, port, name }
    }

    /// The one there is.
    fn only() -> Self {
        Self::new(String::new(), 0)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Whether a command may be sent again when its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It changes nothing, or twice the same: it may.
    Repeatable,
    /// It must not.
    Once,
}

impl Link {
    /// Sends a command until it is answered or the deadline has come.
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
            Err(Failure::NoScript) => Err(StoreError::Other(Cause::new("Redis forgets its scripts"))),
        }
    }

    /// Runs a script.
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

    /// How many connections were made to one server that may be another tomorrow; always 0 for a Cluster.
    pub(super) fn made(&self) -> u64 {
        match self {
            Self::Master(master) => master.made(),
            Self::Cluster(_) => 0,
        }
    }

    /// The servers that have records, in the order of their names.
    pub(super) async fn nodes(&self, deadline: Instant) -> Result<Vec<Node>, StoreError> {
        if matches!(self, Self::Master(_)) {
            return Ok(vec![Node::only()]);
        }
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let slots: Vec<Vec<Value>> = self.ask(&command, Effect::Repeatable, deadline).await?;
        // From, to, the master as address, port and more; then its replicas.
        let master = |slot: &Vec<Value>| {
            let master: Vec<Value> = redis::from_redis_value(slot.get(2)?.clone()).ok()?;
            let host: String = redis::from_redis_value(master.first()?.clone()).ok()?;
            let port: u16 = redis::from_redis_value(master.get(1)?.clone()).ok()?;
            Some(Node::new(host, port))
        };
        let nodes: Option<Vec<Node>> = slots.iter().map(master).collect();
        let mut nodes = nodes.ok_or(StoreError::Corrupt)?;
        nodes.sort_by(|a, b| a.name().cmp(b.name()));
        nodes.dedup_by(|a, b| a.name() == b.name());
        Ok(nodes)
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

    /// Sends a command once, or not at all.
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

/// Sends a command over a connection that is there.
pub(super) async fn send_over(
    connection: &mut impl redis::aio::ConnectionLike,
    command: &Cmd,
    deadline: Instant,
) -> Result<Value, Failure> {
    match timeout_at(deadline, command.query_async::<Value>(connection)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::of(error)),
        Err(_) => Err(Failure::Lost(timed_out("Redis does not answer in time"))),
    }
}

pub(super) fn timed_out(what: &'static str) -> RedisError {
    RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, what))
}

/// Between half of it and all of it, so that many callers do not come back at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    // Without randomness all come at once, which is no reason to fail.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

/// An answer that is not of the form that was asked for is that of a key which something else has written.
fn read<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    redis::from_redis_value(value).map_err(|_| StoreError::Corrupt)
}
