//! A disk without room: writes are refused, nothing acknowledged is lost, and room is all it takes to go on.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::server::{Server, program};

const DISK_BYTES: u64 = 4 << 20;
/// What is left of it to the saves.
const ROOM_BYTES: u64 = 512 << 10;
const VALUE_BYTES: usize = 8 << 10;
/// That many saves do not fit.
const MOST_SAVES: usize = 1000;

/// A small file system in memory, seen by programs that are started in it and by nobody else.
struct Disk {
    /// It has the file system for as long as its input is open.
    holder: Child,
    _input: ChildStdin,
    directory: tempfile::TempDir,
}

impl Disk {
    /// `None` where only root may mount, and we are not: said, so that nobody takes it for a success.
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let script = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec cat"#;
        let mut holder = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
            .arg(DISK_BYTES.to_string())
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is there");
        let mut line = String::new();
        let output = holder.stdout.take().expect("piped");
        let _ = BufReader::new(output).read_line(&mut line);
        if line != "mounted\n" {
            let _ = holder.wait();
            let thread = std::thread::current();
            let test = thread.name().unwrap_or_default();
            let line = format!("skipped: {test}: nobody but root may mount a disk here\n");
            let _ = std::io::stdout().write_all(line.as_bytes());
            return None;
        }
        Some(Self {
            _input: holder.stdin.take().expect("piped"),
            holder,
            directory,
        })
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// One of its files, as it is seen from outside.
    fn outside(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(path.strip_prefix("/").expect("an absolute path"))
    }

    fn filler(&self) -> PathBuf {
        self.outside(&self.directory.path().join("filler"))
    }

    /// Leaves so much room.
    fn fill(&self, room: u64) {
        let directory = fs::read_dir(self.outside(&self.data())).expect("a directory");
        let used: u64 = directory
            .map(|file| file.and_then(|file| file.metadata()).expect("a file").len())
            .sum();
        let bytes = vec![0; usize::try_from(DISK_BYTES - used - room).expect("room")];
        fs::write(self.filler(), bytes).expect("it fits");
    }

    /// Leaves no room at all.
    fn fill_up(&self) {
        let mut filler = fs::OpenOptions::new()
            .append(true)
            .open(self.filler())
            .expect("a file");
        while filler.write_all(&[0; 1024]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("a file");
    }

    fn start(&self) -> Server {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.holder.id()))
            .args(["--user", "--mount", "--preserve-credentials"])
            .arg(program());
        Server::start_by(&mut command, &self.data(), &["--log", "debug"])
    }

    fn service_key(&self) -> String {
        let path = self.outside(&self.data().join("service-key"));
        fs::read_to_string(path).expect("a service key").trim().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// One session that is written until it is refused, and one that is not.
struct Load {
    client: Client,
    written: String,
    other: String,
    /// The last number that was acknowledged, and the last that was sent.
    acknowledged: u64,
    sent: u64,
}

impl Load {
    fn new(server: &Server, key: &str) -> Self {
        let mut client = server.client();
        Self {
            written: client.create(key, Some("alice")),
            other: client.create(key, Some("bob")),
            client,
            acknowledged: 0,
            sent: 0,
        }
    }

    fn save(&mut self) -> Answer {
        self.sent += 1;
        let text = format!("{:0VALUE_BYTES$}", self.sent);
        let body = json!({ "set": { "number": self.sent, "text": text } }).to_string();
        let answer = self
            .client
            .call("PATCH", "/v1/session", &self.written, Some(&body));
        if answer.status == 200 {
            self.acknowledged = self.sent;
        }
        answer
    }

    /// Saves until one is refused.
    fn save_until_full(&mut self) -> Answer {
        let refused = (0..MOST_SAVES)
            .map(|_| self.save())
            .find(|answer| answer.status != 200);
        refused.expect("the disk gets full")
    }

    fn read(&mut self) -> Value {
        self.client.call("GET", "/v1/session", &self.written, None).ok()
    }
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads_and_room_is_the_end_of_it() {
    let Some(disk) = Disk::new() else { return };
    let mut server = disk.start();
    let key = disk.service_key();
    let mut load = Load::new(&server, &key);
    let ended = load.client.create(&key, Some("carol"));
    let logout = load.client.call("DELETE", "/v1/session", &ended, None);
    assert_eq!(logout.status, 204, "{logout:?}");
    disk.fill(ROOM_BYTES);

    load.save_until_full().refused(503, "full");
    // It stays so, and says so to everybody.
    for _ in 0..10 {
        load.save().refused(503, "full");
    }
    // What is read is as it was acknowledged.
    assert_eq!(load.read()["fields"]["number"], load.acknowledged);
    let other = load.other.clone();
    load.client.call("GET", "/v1/session", &other, None).ok();
    disk.fill_up();
    let answer = load.client.call("GET", "/healthz", "", None);
    answer.refused(503, "unavailable");
    let listed = load
        .client
        .call("GET", "/v1/subjects/alice/sessions", &key, None)
        .ok();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1));
    load.client
        .call("GET", "/v1/session", &ended, None)
        .refused(401, "missing");
    // What is smaller may fit: it is done, or said not to be.
    let create = load
        .client
        .call("POST", "/v1/sessions", &key, Some(r#"{"subject":"dora"}"#));
    let is_made = create.status == 201;
    if !is_made {
        create.refused(503, "full");
    }
    let logout = load.client.call("DELETE", "/v1/session", &other, None);
    let is_ended = logout.status == 204;
    if !is_ended {
        logout.refused(503, "full");
    }
    let status = load.client.call("GET", "/v1/session", &other, None).status;
    assert_eq!(status, if is_ended { 401 } else { 200 });

    disk.make_room();
    assert_eq!(load.save().status, 200, "{}", server.log());
    let other = load.client.call("DELETE", "/v1/session", &other, None);
    assert_eq!(other.status, if is_ended { 401 } else { 204 });
    let other = load.other.clone();
    server.process().kill();
    server.ended();

    let server = disk.start();
    load.client = server.client();
    assert_eq!(load.read()["fields"]["number"], load.acknowledged);
    for token in [ended, other] {
        load.client
            .call("GET", "/v1/session", &token, None)
            .refused(401, "missing");
    }
    server.stop();
}

#[test]
fn a_service_killed_on_a_full_disk_starts_there_and_has_lost_nothing_that_it_acknowledged() {
    let Some(disk) = Disk::new() else { return };
    let mut server = disk.start();
    let mut load = Load::new(&server, &disk.service_key());
    disk.fill(ROOM_BYTES);
    load.save_until_full().refused(503, "full");
    server.process().kill();
    server.ended();

    let server = disk.start();
    load.client = server.client();
    assert_eq!(load.read()["fields"]["number"], load.acknowledged);
    load.save_until_full().refused(503, "full");
    disk.make_room();
    assert_eq!(load.save().status, 200);
    assert_eq!(load.read()["fields"]["number"], load.acknowledged);
    server.stop();
}
