//! A program that runs during a test.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running program. It is killed on drop, also if the test panics.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// The resource usage of a process.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// The resident memory, in bytes.
    pub resident: u64,
    /// The number of open file descriptors.
    pub descriptors: usize,
    /// The number of threads.
    pub threads: usize,
}

impl Process {
    /// Starts a program in a directory. Its output is appended to the file `log` there.
    ///
    /// # Panics
    /// If it is not installed.
    pub fn start(program: &str, arguments: &[String], directory: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory);
        Self::spawn(&mut command, directory.join("log"))
    }

    /// Starts a command. Its output is appended to this file.
    ///
    /// # Panics
    /// If it is not installed.
    pub fn spawn(command: &mut Command, log: PathBuf) -> Self {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&log)
                .expect("a log")
        };
        command.stdin(Stdio::null()).stdout(open()).stderr(open());
        let child = command.spawn().unwrap_or_else(|error| {
            let program = command.get_program().display();
            panic!("{program} cannot be started: {error}; `cargo xtask test` installs it")
        });
        Self { child, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has exited.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Sends SIGKILL, which ends the process without any clean-up, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends SIGSTOP: the process keeps its connections and does not respond.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Its resource usage (`proc(5)`).
    pub fn gauge(&self) -> Gauge {
        let directory = PathBuf::from(format!("/proc/{}", self.child.id()));
        let descriptors = std::fs::read_dir(directory.join("fd"));
        let status = std::fs::read_to_string(directory.join("status")).expect("the status of a process");
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.unwrap_or_else(|| panic!("{name} is a number"))
        };
        Gauge {
            resident: number("VmRSS:") * 1024,
            descriptors: descriptors.expect("the descriptors of a process").count(),
            threads: number("Threads:") as usize,
        }
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns a port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
