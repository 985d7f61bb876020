//! A process of a service, and what it takes.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tessera_tests::http_client::Client;
use tessera_tests::program::program;
use tessera_tests::servers::{Process, free_port};

use super::Failure;

/// The connections of a session, of which it may have 16.
const OF_SESSION: usize = 16;
/// `USER_HZ`, in which Linux counts a process's time.
const TICKS_A_SECOND: f64 = 100.0;

/// A process that listens.
pub(crate) struct Listening {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Listening {
    /// Starts a command with a port, and waits until it listens there.
    pub(crate) fn start(log: &Path, command: impl FnOnce(u16) -> Command) -> Result<Self, Failure> {
        let port = free_port();
        let mut process = Process::spawn(&mut command(port), log.to_owned());
        let (began, address) = (Instant::now(), format!("127.0.0.1:{port}"));
        while TcpStream::connect(&address).is_err() {
            if process.has_ended() || began.elapsed() > Duration::from_secs(30) {
                return Err(format!("a service does not start:\n{}", process.log()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { process, address })
    }

    /// Starts `tessera serve` with a data directory, which processes may share.
    pub(crate) fn tessera(data: &Path, log: &Path, redis: &str) -> Result<Self, Failure> {
        Self::start(log, |port| {
            let mut command = Command::new(program());
            command
                .args(["serve", "--demo", "off", "--log", "warn", "--store", redis])
                // Three quarters of the connections may be streams.
                .args(["--maximum-connections", "14000", "--listen"])
                .arg(format!("127.0.0.1:{port}"))
                .arg("--data")
                .arg(data)
                .env_remove("TESSERA_SERVICE_KEY")
                .env_remove("TESSERA_DEMO");
            command
        })
    }

    /// The resident memory, in megabytes.
    pub(crate) fn megabytes(&self) -> Result<f64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kibibytes.ok_or("only Linux reports VmRSS")?.parse::<f64>()? * 1024.0 / 1e6)
    }
}

/// The processor time of a process so far, in seconds (`proc(5)`: user and system time are the 12th and 13th fields after the name).
pub(crate) fn processor_time(process: &Process) -> Result<f64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    let ticks: Result<f64, _> = ticks.sum();
    Ok(ticks? / TICKS_A_SECOND)
}

/// The service key of a data directory.
pub(crate) fn service_key(data: &Path) -> Result<String, Failure> {
    Ok(fs::read_to_string(data.join("service-key"))?.trim().to_owned())
}

/// Creates sessions, and returns a token for each of these clients.
pub(crate) fn tokens(address: &str, key: &str, clients: usize) -> Vec<String> {
    let mut client = Client::new(address);
    let mut tokens = Vec::with_capacity(clients);
    while tokens.len() < clients {
        let token = client.create(key, Some(&format!("subject-{}", tokens.len())));
        let left = clients - tokens.len();
        tokens.extend(std::iter::repeat_n(token, left.min(OF_SESSION)));
    }
    tokens
}
