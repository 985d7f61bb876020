//! A Redis master with two replicas, monitored by three Sentinels.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{Process, free_port};
use super::redis::{RedisServer, ask, eventually};

/// The name of the master.
const NAME: &str = "the-master";

/// The servers and Sentinels of one master name.
pub struct RedisSentinels {
    /// The first is the master at the start.
    pub servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    process: Process,
    port: u16,
    _directory: TempDir,
}

impl RedisSentinels {
    /// Starts all, each server with additional settings, and waits until they know each other.
    /// A master that does not respond for a second is replaced.
    pub fn start(settings: &[&str]) -> Self {
        let own = ["--repl-diskless-sync-delay", "0"];
        let master = RedisServer::start(&[&own, settings].concat());
        let follows = format!("127.0.0.1 {}", master.port);
        let mut servers = vec![master];
        for _ in 0..2 {
            servers.push(RedisServer::start(
                &[&own, settings, &["--replicaof", &follows]].concat(),
            ));
        }
        let sentinels = (0..3).map(|_| Sentinel::start(servers[0].port)).collect();
        let set = Self { servers, sentinels };
        eventually("the Sentinels know all", || {
            set.sentinels.iter().all(|sentinel| {
                let info: String = ask(sentinel.port, &["INFO", "sentinel"]).unwrap_or_default();
                info.contains("slaves=2,sentinels=3") && info.contains("status=ok")
            })
        });
        set
    }

    /// `redis+sentinel://` with all three Sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port))
            .collect();
        format!("redis+sentinel://{}/{NAME}", hosts.join(","))
    }

    /// The index of the server that the Sentinels report as the master.
    pub fn master(&self) -> Option<usize> {
        let named = |sentinel: &Sentinel| {
            let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
            let (_, port): (String, u16) = ask(sentinel.port, &command).ok()?;
            self.servers.iter().position(|server| server.port == port)
        };
        self.sentinels.iter().find_map(named)
    }

    /// Kills the master, waits until the Sentinels report another one that is ready, and returns the time that this took.
    pub fn fail_over(&mut self) -> Duration {
        let old = self.master().expect("a master");
        self.servers[old].kill();
        let killed = Instant::now();
        eventually("there is another master", || {
            self.master().is_some_and(|new| {
                let info: String = self.servers[new]
                    .ask(&["INFO", "replication"])
                    .unwrap_or_default();
                new != old && info.contains("role:master")
            })
        });
        killed.elapsed()
    }

    /// Kills one Sentinel.
    pub fn kill_sentinel(&mut self, n: usize) {
        self.sentinels[n].process.kill();
    }
}

impl Sentinel {
    fn start(master: u16) -> Self {
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 5000\n\
             sentinel parallel-syncs {NAME} 2\n"
        );
        fs::write(directory.path().join("sentinel.conf"), settings).expect("a configuration");
        let arguments = ["sentinel.conf".to_owned(), "--sentinel".to_owned()];
        let process = Process::start("redis-server", &arguments, directory.path());
        eventually("the Sentinel answers", || ask::<String>(port, &["PING"]).is_ok());
        Self {
            process,
            port,
            _directory: directory,
        }
    }
}
