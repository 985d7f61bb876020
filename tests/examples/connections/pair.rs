//! Two processes of a service over one Redis, and the clients of the first.

use std::process::Command;

use tempfile::TempDir;
use tessera_tests::program::root;
use tessera_tests::servers::RedisServer;

use super::Failure;
use super::process::{Listening, processor_time, service_key, tokens};
use super::watched::Watched;

const PEER: &str = "tests/peers/socketio";

/// Two processes over one Redis.
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    /// They end before the processes.
    pub(crate) clients: Watched,
    pub(crate) redis: RedisServer,
    /// The process of the clients.
    pub(crate) first: Listening,
    /// The process to which messages are sent.
    pub(crate) second: Listening,
    /// The key of the second process.
    pub(crate) key: String,
    _directory: TempDir,
}

/// A script of the peer with arguments.
fn script(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("node");
    command.arg(root().join(PEER).join(name)).args(arguments);
    command
}

impl Pair {
    /// Two `tessera serve`, and clients by server-sent events.
    pub(crate) fn tessera(clients: usize) -> Result<Self, Failure> {
        let (directory, redis) = (TempDir::new()?, RedisServer::start(&[]));
        let place = |name: &str| directory.path().join(name);
        let start = |name: &str| Listening::tessera(&place("data"), &place(name), &redis.url());
        let (first, second) = (start("first.log")?, start("second.log")?);
        let key = service_key(&place("data"))?;
        let tokens = tokens(&first.address, &key, clients);
        Ok(Self {
            name: "Tessera, server-sent events",
            clients: Watched::start(script("clients.mjs", &["sse", &first.address]), &tokens)?,
            redis,
            first,
            second,
            key,
            _directory: directory,
        })
    }

    /// Two processes of Socket.IO, and clients by WebSocket.
    pub(crate) fn socketio(clients: usize) -> Result<Self, Failure> {
        let (directory, redis) = (TempDir::new()?, RedisServer::start(&[]));
        let start = |name: &str| {
            let server = |port: u16| script("server.mjs", &[&port.to_string(), &redis.url()]);
            Listening::start(&directory.path().join(name), server)
        };
        let (first, second) = (start("first.log")?, start("second.log")?);
        // It knows no sessions.
        let tokens = vec!["-".to_owned(); clients];
        Ok(Self {
            name: "Socket.IO, WebSocket",
            clients: Watched::start(script("clients.mjs", &["socketio", &first.address]), &tokens)?,
            redis,
            first,
            second,
            key: "-".to_owned(),
            _directory: directory,
        })
    }

    /// The processor time of both processes and of Redis so far, in seconds.
    pub(crate) fn processor_times(&self) -> Result<[f64; 2], Failure> {
        let [first, second] = [&self.first, &self.second].map(|one| processor_time(&one.process));
        Ok([first? + second?, processor_time(self.redis.process())?])
    }
}
