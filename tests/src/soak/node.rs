//! A node: a process that can be stopped and started again on the same port.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::library;
use super::plan::{NodeKind, Times};
use crate::servers::{Gauge, Process, free_port};

const PATIENCE: Duration = Duration::from_secs(30);

/// A node at [`Self::address`].
pub(super) struct Node {
    pub(super) address: String,
    kind: NodeKind,
    directory: PathBuf,
    redis: String,
    process: Process,
}

impl Node {
    /// Starts a node over a Redis. Nodes share the directory.
    pub(super) fn start(kind: NodeKind, directory: &Path, redis: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        Self {
            process: spawn(kind, directory, redis, &address),
            address,
            kind,
            directory: directory.to_owned(),
            redis: redis.to_owned(),
        }
    }

    /// The service key.
    pub(super) fn key(&self) -> String {
        match self.kind {
            NodeKind::Service => {
                let key = std::fs::read_to_string(self.directory.join("data/service-key"));
                key.expect("a service key").trim().to_owned()
            }
            NodeKind::Library(_) => library::KEY.to_owned(),
        }
    }

    /// Stops the node gracefully, and starts it again.
    ///
    /// # Errors
    /// If it does not stop in time.
    pub(super) fn restart(&mut self, times: &Times) -> Result<(), String> {
        let began = Instant::now();
        self.process.terminate();
        while !self.process.has_ended() {
            if began.elapsed() > times.stop {
                return Err(format!("a node does not stop:\n{}", self.process.log()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process = spawn(self.kind, &self.directory, &self.redis, &self.address);
        Ok(())
    }

    pub(super) fn gauge(&self) -> Gauge {
        self.process.gauge()
    }
}

fn spawn(kind: NodeKind, directory: &Path, redis: &str, address: &str) -> Process {
    let mut command = match kind {
        NodeKind::Service => service(directory, redis, address),
        NodeKind::Library(arguments) => library::command(arguments, redis, address),
    };
    // The heap gives memory back at once, so that its level shows what is in use.
    command.env("MIMALLOC_PURGE_DELAY", "0");
    let log = directory.join(format!("{}.log", address.replace(':', "-")));
    let mut process = Process::spawn(&mut command, log);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(
            !process.has_ended() && began.elapsed() < PATIENCE,
            "a node does not listen:\n{}",
            process.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

fn service(directory: &Path, redis: &str, address: &str) -> Command {
    let mut command = Command::new(crate::program::program());
    command
        .args(["serve", "--demo", "off", "--log", "warn", "--listen", address])
        .arg("--data")
        .arg(directory.join("data"))
        .env("TESSERA_STORE", redis)
        .env_remove("TESSERA_SERVICE_KEY");
    command
}
