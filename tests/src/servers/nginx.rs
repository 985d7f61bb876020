//! A real nginx with the test's configuration.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::daemon::program;
use super::process::Process;

/// A running nginx.
pub struct Nginx {
    _process: Process,
}

impl Nginx {
    /// Starts nginx in a directory with these lines in its `http` block, and waits until it listens on this address.
    ///
    /// # Panics
    /// If it is not installed, or does not start.
    pub fn start(directory: &Path, lines: &str, address: &str) -> Self {
        let temporary = |name: &str| format!("{name}_temp_path {name};\n");
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(temporary)
            .concat();
        // Without a master process there is one process to kill.
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\naccess_log off;\n{paths}{lines}}}\n"
        );
        fs::write(directory.join("nginx.conf"), text).expect("a configuration");
        // Debian's directory, which is often missing from `PATH`.
        let mut command = Command::new(program("nginx", &[PathBuf::from("/usr/sbin")]));
        command
            .arg("-p")
            .arg(directory)
            .args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = Process::spawn(&mut command, directory.join("nginx.log"));
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "nginx does not listen: {}",
                process.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { _process: process }
    }
}
