//! The process of an adapter, and the lines to and from it.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};
use tessera::Timestamp;
use tessera::store::{StoreOp, StoreReply};
use tokio::sync::{mpsc, oneshot};

use crate::adapter::outcome::Outcome;
use crate::adapter::protocol::{FromAdapter, Hello, Manner, ToAdapter};
use crate::lock;

/// The maximum time for a step. A correct step takes milliseconds.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// A store operation that the process has requested.
pub(super) struct Requested {
    pub(super) op: u64,
    pub(super) store: u64,
    pub(super) now: Timestamp,
    pub(super) operation: StoreOp,
}

/// The time in which an adapter starts. That of a virtual machine takes about a second.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The state that the thread which reads lines shares.
#[derive(Default)]
struct Shared {
    /// The steps that are not answered yet. `None` after the end of the process.
    waiting: Mutex<Option<HashMap<u64, Waits>>>,
    /// The steps whose callers have gone; a result may have crossed the line that cancels.
    cancelled: Mutex<HashSet<u64>>,
    /// The first violation of the protocol.
    failure: Mutex<Option<String>>,
}

/// What waits for the result of a step.
enum Waits {
    Caller(oneshot::Sender<Result<Outcome, String>>),
    Nobody,
}

/// A running adapter. It is killed on drop.
pub struct Process {
    hello: Hello,
    child: Mutex<Child>,
    /// Lines for a thread that writes them, because an adapter that does not read must not block this process.
    input: std::sync::mpsc::Sender<String>,
    shared: Arc<Shared>,
    operations: tokio::sync::Mutex<mpsc::UnboundedReceiver<Requested>>,
    steps: AtomicU64,
    stores: AtomicU64,
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        // Fails if it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Process {
    /// Starts an adapter and reads its first line.
    ///
    /// # Errors
    /// If the program cannot be started, or its first line is not a description of itself.
    pub fn start(command: &mut Command) -> Result<Arc<Self>, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |error: &dyn std::fmt::Display| format!("{program}: {error}");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().map_err(|error| failed(&error))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (lines, to_write) = std::sync::mpsc::channel();
        let (requests, operations) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        // From here on, the drop ends the child.
        let mut process = Self {
            hello: Hello::default(),
            child: Mutex::new(child),
            input: lines,
            shared: Arc::clone(&shared),
            operations: tokio::sync::Mutex::new(operations),
            steps: AtomicU64::new(0),
            stores: AtomicU64::new(0),
        };
        let (Some(input), Some(output)) = (input, output) else {
            return Err(failed(&"the process has no pipes"));
        };
        *lock(&shared.waiting) = Some(HashMap::new());
        std::thread::spawn(move || write(input, &to_write));
        let (hello, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut first = String::new();
            // Without a line, the text is empty.
            let _ = output.read_line(&mut first);
            let is_awaited = hello.send(first).is_ok();
            if is_awaited {
                read(output, &shared, &requests);
            }
        });
        let first = said
            .recv_timeout(START_LIMIT)
            .map_err(|_| failed(&format!("no line after {START_LIMIT:?}")))?;
        process.hello = match serde_json::from_str(&first) {
            Ok(FromAdapter::Hello(hello)) => hello,
            _ => return Err(failed(&format!("the first line is not `hello`: {first:?}"))),
        };
        Ok(Arc::new(process))
    }

    /// Records a violation of the protocol, unless there is one already.
    pub(super) fn fail(&self, reason: String) {
        lock(&self.shared.failure).get_or_insert(reason);
    }

    /// The number of steps that were cancelled and have no result since.
    pub fn cancelled(&self) -> usize {
        lock(&self.shared.cancelled).len()
    }

    /// Fails if the adapter has violated the protocol since the last check.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self) -> Result<(), String> {
        lock(&self.shared.failure).take().map_or(Ok(()), Err)
    }

    /// The adapter's description of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// A number for a store, which no store of the process has had.
    pub(super) fn new_store(&self) -> u64 {
        self.stores.fetch_add(1, Ordering::Relaxed)
    }

    /// The store operations that the process requests, for one scenario at a time.
    pub(super) async fn operations(&self) -> tokio::sync::MutexGuard<'_, mpsc::UnboundedReceiver<Requested>> {
        self.operations.lock().await
    }

    /// Writes a line. A process that has ended takes none; its steps fail by themselves.
    fn write(&self, line: &ToAdapter) {
        let Ok(mut text) = serde_json::to_string(line) else {
            return;
        };
        text.push('\n');
        let _ = self.input.send(text);
    }

    pub(super) fn reply(&self, op: u64, now: u64, reply: Option<&StoreReply>) {
        let reply = reply.map(|reply| serde_json::to_value(reply).unwrap_or(Value::Null));
        self.write(&ToAdapter::Reply { op, now, reply });
    }

    /// Begins a scenario in this manner: the process forgets all engines and sessions. Returns whether it offers the manner.
    ///
    /// # Errors
    /// If the adapter fails.
    pub async fn offers(&self, manner: Manner) -> Result<bool, String> {
        let asked = serde_json::to_value(manner).map_err(|error| error.to_string())?;
        let members = asked.as_object().cloned().unwrap_or_default();
        let begun = self.take(0, "begin", members).await?;
        Ok(begun.map_err(|error| format!("the adapter refuses to begin: {error}"))? == asked)
    }

    /// Takes a step whose result nobody waits for.
    pub(super) fn order(&self, step: &str, members: Map<String, Value>) {
        let id = self.steps.fetch_add(1, Ordering::Relaxed);
        if let Some(waiting) = lock(&self.shared.waiting).as_mut() {
            waiting.insert(id, Waits::Nobody);
        }
        self.write(&ToAdapter::Step {
            id,
            now: 0,
            step: step.to_owned(),
            members,
        });
    }

    /// Takes a step. If the future is dropped, the adapter is informed.
    pub(super) async fn take(
        &self,
        now: u64,
        step: &str,
        members: Map<String, Value>,
    ) -> Result<Outcome, String> {
        let id = self.steps.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let ended = || "the adapter has ended".to_owned();
        lock(&self.shared.waiting)
            .as_mut()
            .ok_or_else(ended)?
            .insert(id, Waits::Caller(answer));
        let mut caller = Caller {
            process: Some(self),
            id,
        };
        self.write(&ToAdapter::Step {
            id,
            now,
            step: step.to_owned(),
            members,
        });
        let answered = tokio::time::timeout(STEP_LIMIT, answered).await;
        let answer = answered.map_err(|_| format!("no result of `{step}` after {STEP_LIMIT:?}"))?;
        caller.process = None;
        answer.map_err(|_| ended())?
    }
}

/// The caller of a step. Dropped before the result, it cancels the step.
struct Caller<'a> {
    /// `None` after the result.
    process: Option<&'a Process>,
    id: u64,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let Some(process) = self.process else {
            return;
        };
        let is_awaited = match lock(&process.shared.waiting).as_mut() {
            Some(waiting) => waiting.remove(&self.id).is_some(),
            None => false,
        };
        if !is_awaited {
            return;
        }
        lock(&process.shared.cancelled).insert(self.id);
        process.write(&ToAdapter::Cancel { id: self.id });
    }
}

/// Writes lines until the process is dropped or ends.
fn write(mut input: ChildStdin, lines: &std::sync::mpsc::Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if input
            .write_all(line.as_bytes())
            .and_then(|()| input.flush())
            .is_err()
        {
            return;
        }
    }
}

/// Reads lines to the end of the process.
fn read(output: BufReader<ChildStdout>, shared: &Shared, requests: &mpsc::UnboundedSender<Requested>) {
    for line in output.lines().map_while(Result::ok) {
        let (id, answer) = match serde_json::from_str(&line) {
            Ok(FromAdapter::Op {
                op,
                store,
                now,
                operation,
            }) => {
                let now = Timestamp::from_millis(now);
                let requested = Requested {
                    op,
                    store,
                    now,
                    operation,
                };
                // Fails only while the runner ends.
                let _ = requests.send(requested);
                continue;
            }
            Ok(FromAdapter::Done { id, result }) => (id, Ok(Ok(result))),
            Ok(FromAdapter::Refused { id, error }) => (id, Ok(Err(error.into()))),
            Ok(FromAdapter::Failed { id, reason }) => (id, Err(reason)),
            Ok(FromAdapter::Hello(_)) => {
                violated(
                    shared,
                    format!("the adapter wrote an invalid line: {line}: `hello` is the first line"),
                );
                continue;
            }
            Err(error) => {
                violated(
                    shared,
                    format!("the adapter wrote an invalid line: {line}: {error}"),
                );
                continue;
            }
        };
        let waits = lock(&shared.waiting).as_mut().and_then(|known| known.remove(&id));
        match (waits, answer) {
            // It fails if the caller is gone.
            (Some(Waits::Caller(caller)), answer) => drop(caller.send(answer)),
            (Some(Waits::Nobody), Err(reason)) => {
                lock(&shared.failure).get_or_insert(reason);
            }
            (Some(Waits::Nobody), Ok(_)) => {}
            (None, _) if lock(&shared.cancelled).remove(&id) => {}
            (None, _) => {
                violated(shared, format!("the adapter wrote a result of no step: {line}"));
            }
        }
    }
    *lock(&shared.waiting) = None;
}

/// Records a violation of the protocol, and fails all steps.
fn violated(shared: &Shared, reason: String) {
    let known = lock(&shared.waiting).as_mut().map(std::mem::take);
    for waits in known.into_iter().flat_map(HashMap::into_values) {
        if let Waits::Caller(caller) = waits {
            let _ = caller.send(Err(reason.clone()));
        }
    }
    lock(&shared.failure).get_or_insert(reason);
}
