//! A Worker, started by `tests/edge/run.mjs` and ended when this is dropped.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http_client::{Answer, Client, request};

const LOG: &str = "log";

/// The service key of every Worker of the tests.
pub const SERVICE_KEY: &str = "the-service-key-of-the-edge-tests";
/// Its signing key: the id, and the secret bytes.
pub const SIGNING_KEY: (&str, [u8; 32]) = ("2026-01", [7; 32]);

/// The bundle with the tests' routes, made by `cargo xtask edge tests`.
///
/// # Panics
/// If it was not made.
pub fn bundle() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/edge/test-bundle");
    assert!(
        place.join("worker.js").exists(),
        "there is no {}: make it with `cargo xtask edge tests`",
        place.display()
    );
    place
}

/// workerd with the bundle in it. A clone is the same one.
#[derive(Clone)]
pub struct Worker {
    process: Arc<Process>,
    clients: Arc<Mutex<Vec<Client>>>,
}

struct Process {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    address: String,
    /// Where it keeps everything: storage, and its log.
    directory: TempDir,
}

impl Process {
    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default()
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "the harness takes it, and shows it beside the failure"
    )]
    fn drop(&mut self) {
        let lock = |error: PoisonError<_>| error.into_inner();
        // Its input ends, and so does it.
        drop(self.input.lock().unwrap_or_else(lock).take());
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        if std::thread::panicking() {
            eprintln!("the Worker at {} has logged:\n{}", self.address, self.log());
        }
    }
}

impl Worker {
    /// Starts one with these variables beside its keys; a variable that is null is not set at all.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(variables: &Value) -> Result<Self, String> {
        let mut bindings = json!({
            "TESSERA_KEYS": keys().to_string(),
            "TESSERA_SERVICE_KEY": SERVICE_KEY,
        });
        for (name, value) in variables.as_object().into_iter().flatten() {
            bindings[name] = value.clone();
        }
        if let Some(bindings) = bindings.as_object_mut() {
            bindings.retain(|_, value| !value.is_null());
        }
        Self::run(&json!({"bundle": bundle(), "bindings": bindings}))
    }

    /// Starts one under `wrangler dev`, in a directory as `cargo xtask edge` makes it; `variables` are lines of its
    /// `wrangler.toml`, and the keys are in `.dev.vars`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn under_wrangler(variables: &str) -> Result<Self, String> {
        let directory = TempDir::new().map_err(|error| error.to_string())?;
        let deployment = directory.path().join("deploy");
        deploy(&deployment, variables).map_err(|error| error.to_string())?;
        Self::run_in(directory, json!({ "directory": deployment }))
    }

    /// Starts `run.mjs` with these options.
    ///
    /// # Errors
    /// If it does not start.
    pub fn run(options: &Value) -> Result<Self, String> {
        let directory = TempDir::new().map_err(|error| error.to_string())?;
        Self::run_in(directory, options.clone())
    }

    fn run_in(directory: TempDir, mut options: Value) -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        // wrangler runs in another directory.
        let tools = here.join("../edge/tools").canonicalize();
        options["tools"] = json!(tools.map_err(|error| error.to_string())?);
        let errors = std::fs::File::create(directory.path().join(LOG)).map_err(|error| error.to_string())?;
        let mut child = Command::new("node")
            .arg(here.join("edge/run.mjs"))
            .arg(options.to_string())
            // miniflare makes its own directory there, and leaves it where it is interrupted.
            .env("TMPDIR", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("node cannot be started: {error}"))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(|error| error.to_string())?;
        }
        let address = line.trim().trim_start_matches("http://").to_owned();
        let process = Process {
            input: Mutex::new(child.stdin.take()),
            child: Mutex::new(child),
            address: address.clone(),
            directory,
        };
        let worker = Self {
            process: Arc::new(process),
            clients: Arc::default(),
        };
        if address.is_empty() {
            return Err(format!("the Worker does not start:\n{}", worker.log()));
        }
        Ok(worker)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.process.address
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What it has logged once this is part of it, or after five seconds: a line may come after the answer.
    pub fn log_with(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) || begun.elapsed() > Duration::from_secs(5) {
                return log;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A connection of its own.
    pub fn client(&self) -> Client {
        Client::reopening(self.address())
    }

    /// Sends a request on any connection that is free.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, String> {
        let request = request(method, path, headers, body);
        let free = || self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = free().pop();
        let mut client = kept.unwrap_or_else(|| self.client());
        let answer = client.try_send(&request);
        let answer = answer.map_err(|error| format!("{method} {path}: {error}\n{}", self.log()))?;
        free().push(client);
        Ok(answer)
    }

    /// Asks a test route, which answers JSON.
    ///
    /// # Errors
    /// If it answers anything but 200.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string);
        let answer = self.send(method, path, &[], body.as_deref())?;
        if answer.status != 200 {
            return Err(format!("{method} {path}: {} {}", answer.status, answer.text));
        }
        serde_json::from_str(&answer.text).map_err(|error| format!("{method} {path}: {error}"))
    }
}

/// The template of `wrangler.toml` with these variables, the keys, and the bundle.
fn deploy(deployment: &Path, variables: &str) -> std::io::Result<()> {
    const VARIABLES: &str = "[vars]\n";
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../edge/wrangler.toml");
    let template = std::fs::read_to_string(template)?;
    // A variable that stands in the template stands once.
    let is_given = |line: &&str| {
        let name = line.split(['=', ' ']).next().unwrap_or_default();
        name.starts_with("TESSERA_") && variables.lines().any(|given| given.starts_with(name))
    };
    let kept: Vec<&str> = template.lines().filter(|line| !is_given(line)).collect();
    let kept = kept.join("\n");
    std::fs::create_dir_all(deployment.join("bundle"))?;
    let configuration = kept.replacen(VARIABLES, &format!("{VARIABLES}{variables}\n"), 1);
    std::fs::write(deployment.join("wrangler.toml"), configuration)?;
    let secrets = format!("TESSERA_KEYS='{}'\nTESSERA_SERVICE_KEY={SERVICE_KEY}\n", keys());
    std::fs::write(deployment.join(".dev.vars"), secrets)?;
    for name in ["worker.js", "worker_bg.wasm", "engine.wasm"] {
        std::fs::copy(bundle().join(name), deployment.join("bundle").join(name))?;
    }
    Ok(())
}

fn keys() -> Value {
    json!({"keys": [{"id": SIGNING_KEY.0, "secret": base64url(&SIGNING_KEY.1)}]})
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
