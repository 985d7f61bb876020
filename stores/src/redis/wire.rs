//! Sends one command over one connection; and the servers that have records.

use std::time::Duration;

use redis::{Cmd, RedisError, Value};
use tokio::time::{Instant, timeout_at};

use super::error::Failure;

/// One of the servers that have records.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    name: String,
}

impl Node {
    pub(super) fn new(host: String, port: u16) -> Self {
        let name = format!("{host}:{port}");
        Self { host, port, name }
    }

    /// The only server, outside of a Cluster.
    pub(super) fn only() -> Self {
        Self::new(String::new(), 0)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Sends a command over an open connection.
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

/// A random pause between half of it and all of it, so that many callers do not retry at the same time.
pub(super) fn jittered(pause: Duration) -> Duration {
    // Without randomness, all callers retry at the same time, which is better than a failure.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}
