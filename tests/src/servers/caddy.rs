//! A real Caddy with the test's configuration.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::process::Process;

/// A running Caddy.
pub struct Caddy {
    _process: Process,
}

impl Caddy {
    /// Starts Caddy in a directory with these sites, and waits until it listens on this address.
    ///
    /// # Panics
    /// If it is not installed, or does not start.
    pub fn start(directory: &Path, sites: &str, address: &str) -> Self {
        let file = directory.join("Caddyfile");
        // Shares no state with another Caddy on this machine.
        fs::write(&file, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{sites}")).expect("a configuration");
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", directory)
            .env("XDG_DATA_HOME", directory)
            .env("XDG_CONFIG_HOME", directory);
        let process = Process::spawn(&mut command, directory.join("caddy.log"));
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "Caddy does not listen: {}",
                process.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { _process: process }
    }
}
