//! A Worker, started by `tests/edge/run.mjs` and stopped on drop.

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
/// The signing key of every Worker of the tests: its id and secret.
pub const SIGNING_KEY: (&str, [u8; 32]) = ("2026-01", [7; 32]);

/// Returns the directory of the bundle with the test routes, which `cargo xtask edge tests` builds.
///
/// # Panics
/// If the bundle is not built.
pub fn bundle() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/edge/test-bundle");
    assert!(
        place.join("worker.js").exists(),
        "{} has no bundle: build it with `cargo xtask edge tests`",
        place.display()
    );
    place
}

/// A running workerd with the bundle. Clones share the process.
#[derive(Clone)]
pub struct Worker {
    process: Arc<Process>,
    clients: Arc<Mutex<Vec<Client>>>,
}

struct Process {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    address: String,
    /// The directory of its storage and log.
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
        // The process ends at the end of its input.
        drop(self.input.lock().unwrap_or_else(lock).take());
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        if std::thread::panicking() {
            eprintln!("the log of the Worker at {}:\n{}", self.address, self.log());
        }
    }
}

impl Worker {
    /// Starts a Worker with these variables, in addition to its keys. A variable that is null is not set.
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

    /// Starts a Worker under `wrangler dev`, in a directory like that of `cargo xtask edge`.
    ///
    /// `variables` are lines of its `wrangler.toml`, and the keys are in `.dev.vars`.
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
            // miniflare creates a directory there, which remains if it is interrupted.
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
            return Err(format!("the Worker did not start:\n{}", worker.log()));
        }
        Ok(worker)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.process.address
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits up to five seconds until the log contains this text, and returns the log: a line may follow the response.
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

    /// Returns a client with a connection of its own.
    pub fn client(&self) -> Client {
        Client::reopening(self.address())
    }

    /// Sends a request on a free connection.
    ///
    /// # Errors
    /// If no response arrives.
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

    /// Sends a request to a test route, and returns the JSON of the response.
    ///
    /// # Errors
    /// If the status is not 200.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string);
        let answer = self.send(method, path, &[], body.as_deref())?;
        if answer.status != 200 {
            return Err(format!("{method} {path}: {} {}", answer.status, answer.text));
        }
        serde_json::from_str(&answer.text).map_err(|error| format!("{method} {path}: {error}"))
    }
}

/// Creates a deployment: the template of `wrangler.toml` with these variables, the keys, and the bundle.
fn deploy(deployment: &Path, variables: &str) -> std::io::Result<()> {
    const VARIABLES: &str = "[vars]\n";
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../edge/wrangler.toml");
    let template = std::fs::read_to_string(template)?;
    // A given variable replaces the template's line.
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
