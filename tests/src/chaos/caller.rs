//! Calls over HTTP, and the certain conclusions from their responses.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::instance::{Instance, REQUEST_TIMEOUT};
use super::ledger::{Asked, Told};
use super::world::World;
use crate::http_client::{Answer, Client, bearer, request};

/// The idle time after which a connection is not reused: the service closes it after half of a request's time limit.
const LONGEST_IDLE: Duration = Duration::from_secs(5);
/// The additional time of a request that a busy machine may cause.
const SLACK: Duration = Duration::from_secs(8);

/// The result of a call.
pub(super) enum Said {
    /// The call took effect.
    Done(Value, Told),
    /// The call had no effect and may be repeated.
    Refused,
    /// The token opens no session.
    NotLoggedIn(Told),
    /// The effect is unknown, and the call has ended.
    Unknown,
    /// The effect is unknown, and the call may still take effect later.
    Lingering,
}

/// A client's connections, one to each instance.
pub(super) struct Caller<'a> {
    world: &'a World,
    connections: Vec<Connection>,
}

struct Connection {
    client: Client,
    used_at: Instant,
    /// The number of the instance's deaths at its last response.
    deaths: u64,
}

impl<'a> Caller<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let connect = |to: &Instance| Connection {
            client: Client::new(&to.address),
            used_at: Instant::now(),
            deaths: to.deaths(),
        };
        Self {
            world,
            connections: world.instances.iter().map(connect).collect(),
        }
    }

    /// Begins a call to an instance now.
    pub(super) fn begin(&self, at: usize) -> Asked {
        Asked {
            at,
            begun: Instant::now(),
            max_stale: self.world.max_stale,
        }
    }

    /// Sends a call with credentials in `Authorization: Bearer`.
    pub(super) fn call(
        &mut self,
        asked: Asked,
        (method, path): (&str, &str),
        credentials: &str,
        body: Option<&Value>,
    ) -> Said {
        self.call_with(
            asked,
            (method, path),
            &[("Authorization", &bearer(credentials))],
            body,
        )
    }

    /// Sends a call with these headers.
    pub(super) fn call_with(
        &mut self,
        asked: Asked,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Said {
        let body = body.map(Value::to_string);
        let bytes = request(method, path, headers, body.as_deref());
        let (instance, tally) = (&self.world.instances[asked.at], &self.world.tally);
        let connection = &mut self.connections[asked.at];
        if connection.used_at.elapsed() > LONGEST_IDLE {
            connection.client = Client::new(&instance.address);
        }
        let deaths = instance.deaths();
        let answer = connection.client.try_send(&bytes);
        connection.used_at = Instant::now();
        let has_died = instance.is_down() || instance.deaths() != connection.deaths;
        if answer.is_ok() && !instance.is_down() {
            connection.deaths = deaths;
        }
        let told = Told {
            by: asked.at,
            at: connection.used_at,
        };
        let took = asked.begun.elapsed();
        tally.took(took);
        if took > REQUEST_TIMEOUT + SLACK {
            tally.wrong(format!("{method} {path} took {took:?}: {answer:?}"));
        }
        match answer {
            Ok(answer) => self.judge((method, path), &answer, told),
            Err(error) => self.lost((method, path), &error, has_died),
        }
    }

    fn judge(&self, (method, path): (&str, &str), answer: &Answer, told: Told) -> Said {
        let tally = &self.world.tally;
        match answer.status {
            200 | 201 => return Said::Done(answer.json(), told),
            204 => return Said::Done(Value::Null, told),
            _ => {}
        }
        match (answer.status, answer.code().as_str()) {
            (401, _) => Said::NotLoggedIn(told),
            (503, "unavailable" | "throttled") => {
                tally.note(|report| report.refused += 1);
                Said::Refused
            }
            (409, "contended") if method != "GET" => {
                tally.note(|report| report.contended += 1);
                Said::Refused
            }
            // A read never has this result, because it changes nothing.
            (503, "outcome-unknown") if method != "GET" => {
                tally.note(|report| report.unknown += 1);
                Said::Unknown
            }
            (503, "request-timeout") => {
                tally.note(|report| report.unknown += 1);
                Said::Lingering
            }
            _ => {
                tally.wrong(format!("{method} {path}: {} {}", answer.status, answer.text));
                Said::Lingering
            }
        }
    }

    fn lost(&self, (method, path): (&str, &str), error: &std::io::Error, has_died: bool) -> Said {
        let tally = &self.world.tally;
        if !has_died {
            tally.wrong(format!(
                "{method} {path}: {error}, although the service was not killed"
            ));
            return Said::Lingering;
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => {
                tally.note(|report| report.refused += 1);
                Said::Refused
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                tally.wrong(format!("{method} {path} received no response"));
                Said::Lingering
            }
            // The service died, and its work ended with it.
            _ => {
                tally.note(|report| report.unknown += 1);
                Said::Unknown
            }
        }
    }
}
