//! A single redis-server.

use std::time::{Duration, Instant};

use redis::{Client, Cmd, FromRedisValue, RedisResult};
use tempfile::TempDir;

use super::process::{Process, free_port};

const PATIENCE: Duration = Duration::from_secs(30);

/// A redis-server, without persistence unless its settings enable it.
pub struct RedisServer {
    process: Process,
    directory: TempDir,
    settings: Vec<String>,
    /// The port on which it listens.
    pub port: u16,
}

impl RedisServer {
    /// Starts a server with additional settings, such as `--appendonly yes`, and waits until it responds.
    pub fn start(settings: &[&str]) -> Self {
        let mut directory = TempDir::new().expect("a directory");
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        // Another process may take the port first.
        for _ in 0..10 {
            let port = free_port();
            let process = Process::start("redis-server", &arguments(port, &settings), directory.path());
            let mut server = Self {
                process,
                directory,
                settings: settings.clone(),
                port,
            };
            if server.listens() {
                return server;
            }
            directory = server.directory;
        }
        panic!("redis-server does not start");
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server again with the same port and data, and waits until it responds.
    pub fn restart(&mut self) {
        let arguments = arguments(self.port, &self.settings);
        self.process = Process::start("redis-server", &arguments, self.directory.path());
        assert!(self.listens(), "{}", self.process.log());
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends it a command, without the store.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        ask(self.port, command)
    }

    fn listens(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            // Any response except `LOADING` counts, including the error for a missing password.
            match std::net::TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(_) if !self.process.has_ended() && !self.is_loading() => return true,
                _ if self.process.has_ended() => return false,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        panic!("redis-server does not listen: {}", self.process.log());
    }

    fn is_loading(&self) -> bool {
        let answer = ask::<String>(self.port, &["PING"]);
        answer.is_err_and(|error| error.code() == Some("LOADING"))
    }
}

fn arguments(port: u16, settings: &[String]) -> Vec<String> {
    let port = port.to_string();
    let own = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--daemonize",
        "no",
    ];
    own.iter()
        .map(|argument| (*argument).to_owned())
        .chain(settings.iter().cloned())
        .collect()
}

/// Sends a command to the server on this port.
pub fn ask<T: FromRedisValue>(port: u16, command: &[&str]) -> RedisResult<T> {
    let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (name, arguments) = command.split_first().expect("a command");
    let mut asked = Cmd::new();
    asked.arg(name).arg(arguments);
    asked.query(&mut connection)
}

/// Waits until a condition holds, for at most a minute. `what` describes it in the failure.
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{what}: not within a minute"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
