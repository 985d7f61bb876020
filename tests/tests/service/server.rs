//! The real program, started on a free port over a directory of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;

/// What the program prints last when it starts.
const LAST_LINE: &str = "/v1/session -H";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) use tessera_tests::program::program;

/// Runs one of the program's commands to its end: whether it succeeded, its output, its errors.
pub(crate) fn run(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// What it printed at its start.
    pub(crate) printed: String,
    pub(crate) data: PathBuf,
}

impl Server {
    /// Starts it with further flags and waits until it listens.
    pub(crate) fn start(data: &Path, flags: &[&str]) -> Self {
        Self::start_by(&mut Command::new(program()), data, flags)
    }

    /// The same by a command that becomes the program.
    pub(crate) fn start_by(command: &mut Command, data: &Path, flags: &[&str]) -> Self {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_path(data))
            .expect("a log");
        let elsewhere = flags.contains(&"--listen");
        let listen: &[&str] = if elsewhere {
            &[]
        } else {
            &["--listen", "127.0.0.1:0"]
        };
        let mut child = command
            .arg("serve")
            .args(listen)
            .arg("--data")
            .arg(data)
            .args(flags)
            .env_remove("TESSERA_SERVICE_KEY")
            .env_remove("TESSERA_DEMO")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut printed = String::new();
        while !printed.contains(LAST_LINE) {
            let read = lines.read_line(&mut printed).expect("UTF-8");
            assert!(
                read > 0,
                "it ended:\n{printed}{}",
                fs::read_to_string(log_path(data)).unwrap_or_default()
            );
        }
        let address = printed
            .split_once("http://")
            .expect("a URL")
            .1
            .lines()
            .next()
            .expect("a line")
            .to_owned();
        Self {
            child,
            address,
            printed,
            data: data.to_owned(),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address)
    }

    pub(crate) fn service_key(&self) -> String {
        fs::read_to_string(self.data.join("service-key"))
            .expect("a service key")
            .trim()
            .to_owned()
    }

    /// Everything logged so far, of all starts over this directory. A line is written a moment after what it is about.
    pub(crate) fn log(&self) -> String {
        let read = || fs::read_to_string(log_path(&self.data)).expect("a log");
        let mut log = read();
        loop {
            std::thread::sleep(Duration::from_millis(30));
            let later = read();
            if later.len() == log.len() {
                return later;
            }
            log = later;
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn tell_to_end(&self) {
        self.process().terminate();
    }

    /// The process alone, to be ended while others still speak to it.
    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) {
        self.tell_to_end();
        assert!(self.ended().success());
    }
}

/// A running program by its id, which stays its own until [`Server::ended`] has seen its end.
pub(crate) struct Process(u32);

impl Process {
    /// SIGKILL: from one moment to the next nothing of it runs.
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGHUP, with which operators make a service read its files again.
    #[allow(dead_code, reason = "not every test target that has this module sends it")]
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.0.to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }
}

impl Drop for Server {
    /// A test that failed leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a server over this directory logs to.
pub(crate) fn log_path(data: &Path) -> PathBuf {
    let path = data.with_extension("log");
    // The directory itself is the program's to make.
    let _ = File::options().create(true).append(true).open(&path);
    path
}
