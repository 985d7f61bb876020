//! A `tessera serve` that can be killed and restarted on the same port, and its resource usage.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::servers::{Gauge, Process, free_port};

/// The services' time limit for a request. It is much longer than the stores' time limits.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);
/// The time in which the descriptors of closed connections disappear.
const SETTLING: Duration = Duration::from_secs(10);

/// A service at [`Self::address`].
pub(super) struct Instance {
    pub(super) address: String,
    data: PathBuf,
    log: PathBuf,
    store: String,
    process: Mutex<Process>,
    deaths: AtomicU64,
    is_down: AtomicBool,
}

impl Instance {
    /// Starts a service with a data directory, which services may share.
    pub(super) fn start(data: &Path, name: &str, store: &str) -> Self {
        let log = data.with_file_name(format!("{name}.log"));
        let address = format!("127.0.0.1:{}", free_port());
        let process = spawn(&address, data, store, &log);
        Self {
            address,
            data: data.to_owned(),
            log,
            store: store.to_owned(),
            process: Mutex::new(process),
            deaths: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
        }
    }

    /// Sends SIGKILL.
    pub(super) fn kill(&self) {
        self.is_down.store(true, Ordering::SeqCst);
        self.deaths.fetch_add(1, Ordering::SeqCst);
        self.process().kill();
    }

    /// Whether it was killed and not restarted yet, or is being killed.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::SeqCst)
    }

    /// The number of times that it was killed, including the present one if it is down.
    pub(super) fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::SeqCst)
    }

    pub(super) fn restart(&self) {
        let started = spawn(&self.address, &self.data, &self.store, &self.log);
        *self.process() = started;
        self.is_down.store(false, Ordering::SeqCst);
    }

    /// Stops it with SIGSTOP for this time.
    pub(super) fn pause(&self, span: Duration) {
        self.process().pause();
        std::thread::sleep(span);
        self.process().resume();
    }

    /// Its resource usage. Meant for times without calls: waits until closed connections have released their descriptors.
    pub(super) fn gauge(&self) -> Gauge {
        let (began, mut gauge) = (Instant::now(), self.process().gauge());
        while began.elapsed() < SETTLING {
            std::thread::sleep(SETTLING / 10);
            let now = self.process().gauge();
            let is_settled = now.descriptors >= gauge.descriptors;
            gauge = now;
            if is_settled {
                break;
            }
        }
        gauge
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the program and waits until it listens.
fn spawn(address: &str, data: &Path, store: &str, log: &Path) -> Process {
    let began = Instant::now();
    loop {
        let mut process = Process::spawn(&mut command(address, data, store), log.to_owned());
        while !process.has_ended() {
            if TcpStream::connect(address).is_ok() {
                return process;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "the service does not listen:\n{}",
                process.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // The port or the file may be in use briefly.
        assert!(
            began.elapsed() < PATIENCE,
            "the service does not start:\n{}",
            process.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn command(address: &str, data: &Path, store: &str) -> Command {
    let mut command = Command::new(crate::program::program());
    command
        .args(["serve", "--demo", "off", "--log", "warn", "--listen", address])
        .arg("--request-timeout")
        .arg(format!("{}s", REQUEST_TIMEOUT.as_secs()))
        .arg("--data")
        .arg(data)
        .env("TESSERA_STORE", store)
        .env_remove("TESSERA_SERVICE_KEY");
    command
}
