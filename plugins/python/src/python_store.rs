//! Stores that are written in Python.
//!
//! The engine asks a store while an instance of the component is in use. No code of Python runs there: the first poll of an
//! operation does nothing, so that the engine gives the pass up, and the store is called afterwards. A store that says that it is
//! immediate is called at once.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tessera::store::{Capabilities, Cause, StoreError, StoreOp, StoreReply, StoreService};
use tessera::{SessionError, Timestamp};
use tokio::sync::oneshot;

use crate::attach::attach;
use crate::errors::Failure;
use crate::event_loop;

tokio::task_local! {
    /// The event loop of the call that a task performs.
    static LOOP: Py<PyAny>;
}

thread_local! {
    /// Whether this thread calls an immediate store in a pass of the engine.
    static IN_PASS: Cell<bool> = const { Cell::new(false) };
    /// What a store has raised that is no error of the store, such as `KeyboardInterrupt`.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Performs a call whose asynchronous store runs in this event loop.
pub(crate) fn in_loop<F: Future>(asyncio_loop: Py<PyAny>, call: F) -> impl Future<Output = F::Output> {
    LOOP.scope(asyncio_loop, call)
}

/// Raises in the calling thread what a store has raised there that is no error of the store.
pub(crate) fn raised() -> PyResult<()> {
    RAISED.take().map_or(Ok(()), Err)
}

/// Refuses a call of the engine by code of an immediate store, or by the handler of a signal that interrupts it: the call would
/// wait for its own thread.
pub(crate) fn check_not_in_a_pass() -> Result<(), Failure> {
    match IN_PASS.get() {
        true => Err(Failure::Session(SessionError::Busy)),
        false => Ok(()),
    }
}

/// Begins anew, in a process that was forked by a store of this thread.
pub(crate) fn forget() {
    IN_PASS.set(false);
}

/// How the methods of a store return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// They may block.
    Blocking,
    /// They never wait.
    Immediate,
    /// They are coroutines of asyncio.
    Asynchronous,
}

/// A store that is an object of Python. A clone is the same store.
#[derive(Clone)]
pub(crate) struct PythonStore(Arc<Inner>);

struct Inner {
    object: Py<PyAny>,
    capabilities: Capabilities,
    manner: Manner,
    /// The event loop of the last call.
    asyncio_loop: Mutex<Option<Py<PyAny>>>,
}

/// Where an asynchronous store delivers the reply to an operation.
#[pyclass(frozen, module = "tessera._tessera")]
pub(crate) struct Reply(Mutex<Option<oneshot::Sender<String>>>);

#[pymethods]
impl Reply {
    /// Delivers the reply, once.
    fn deliver(&self, reply: String) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A caller that has gone needs none.
        let _unsent = sender.map(|sender| sender.send(reply));
    }
}

/// Cancels an operation whose caller has gone, which is a read.
struct Cancel(Option<Py<PyAny>>);

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            // An event loop that is closed has no operation to cancel.
            let _cancelled = attach(|py| cancel.call0(py));
        }
    }
}

/// The result of a call of a store.
enum Called {
    Reply(String),
    /// The reply takes time: the store is to be called again for it.
    Later,
    Failed,
}

impl Called {
    fn reply(self) -> Option<String> {
        match self {
            Self::Reply(reply) => Some(reply),
            Self::Later | Self::Failed => None,
        }
    }
}

impl PythonStore {
    /// Reads the manner and the capabilities of a store.
    pub(crate) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        static DESCRIBE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = object.py();
        let described = DESCRIBE
            .import(py, "tessera._stores", "describe")?
            .call1((object,))?;
        let (manner, capabilities): (String, String) = described.extract()?;
        let manner = match manner.as_str() {
            "immediate" => Manner::Immediate,
            "asynchronous" => Manner::Asynchronous,
            _ => Manner::Blocking,
        };
        let capabilities = serde_json::from_str(&capabilities).map_err(|error| {
            Failure::Argument(
                "store",
                format!("describes itself with unfit capabilities: {error}"),
            )
        })?;
        Ok(Self(Arc::new(Inner {
            object: object.clone().unbind(),
            capabilities,
            manner,
            asyncio_loop: Mutex::default(),
        })))
    }

    /// Whether its methods are coroutines.
    pub(crate) fn needs_event_loop(&self) -> bool {
        self.0.manner == Manner::Asynchronous
    }

    pub(crate) fn set_loop(&self, asyncio_loop: &Bound<'_, PyAny>) {
        if self.0.manner == Manner::Asynchronous {
            let new = Some(asyncio_loop.clone().unbind());
            let mut current = self.0.asyncio_loop.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *current, new);
            // The end of a loop may run code of Python.
            drop(current);
            drop(before);
        }
    }

    /// The event loop of this call; for a write whose caller has gone, that of the last call.
    fn asyncio_loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        if let Ok(of_call) = LOOP.try_with(|of_call| of_call.clone_ref(py)) {
            return Some(of_call);
        }
        // Unlocked before code of Python runs, which may let another thread have the interpreter.
        let asyncio_loop = self.0.asyncio_loop.lock().unwrap_or_else(PoisonError::into_inner);
        asyncio_loop
            .as_ref()
            .map(|asyncio_loop| asyncio_loop.clone_ref(py))
    }

    /// Calls the store in this thread. An immediate store may have no reply yet.
    fn call_here(&self, now: u64, operation: &str) -> Called {
        static CALL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        self.call_by(&CALL, "call", now, operation)
    }

    /// Calls an immediate store while an instance of the component is in use.
    fn call_in_pass(&self, now: u64, operation: &str) -> Called {
        let before = IN_PASS.replace(true);
        let called = self.call_here(now, operation);
        IN_PASS.set(before);
        called
    }

    /// Waits for the reply that an immediate store did not have.
    fn call_later(&self, now: u64, operation: &str) -> Called {
        static LATER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        self.call_by(&LATER, "later", now, operation)
    }

    fn call_by(&self, function: &PyOnceLock<Py<PyAny>>, name: &str, now: u64, operation: &str) -> Called {
        let called = attach(|py| {
            let called = (|| {
                let function = function.import(py, "tessera._stores", name)?;
                let reply: Option<String> = function.call1((&self.0.object, now, operation))?.extract()?;
                Ok(reply.map_or(Called::Later, Called::Reply))
            })();
            called.unwrap_or_else(|error: PyErr| {
                if !error.is_instance_of::<PyException>(py) {
                    RAISED.set(Some(error));
                }
                Called::Failed
            })
        });
        called.unwrap_or(Called::Failed)
    }

    /// Calls the store in its event loop.
    async fn call_in_loop(&self, now: u64, operation: String) -> Option<String> {
        static START: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let (deliver, delivered) = oneshot::channel();
        let started = attach(|py| {
            let asyncio_loop = self.asyncio_loop(py);
            let reply = Py::new(py, Reply(Mutex::new(Some(deliver))))?;
            let start = START.import(py, "tessera._stores", "start")?;
            let cancel = start.call1((&self.0.object, now, operation, asyncio_loop, reply))?;
            Ok::<_, PyErr>(Cancel(Some(cancel.unbind())))
        });
        let mut cancel = started?.ok()?;
        let reply = delivered.await.ok();
        cancel.0 = None;
        reply
    }
}

/// Lets the task be polled again before it goes on, by a thread that may block.
async fn after_the_pass() {
    let mut is_first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut is_first) || event_loop::is_this_thread() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

impl StoreService for PythonStore {
    fn describe(&self) -> Capabilities {
        self.0.capabilities.clone()
    }

    async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
        let now = now.as_millis();
        let reply = match serde_json::to_string(op) {
            Err(_) => None,
            Ok(operation) => match self.0.manner {
                Manner::Immediate => match self.call_in_pass(now, &operation) {
                    Called::Later => {
                        after_the_pass().await;
                        tokio::task::block_in_place(|| self.call_later(now, &operation)).reply()
                    }
                    called => called.reply(),
                },
                Manner::Blocking => {
                    after_the_pass().await;
                    tokio::task::block_in_place(|| self.call_here(now, &operation)).reply()
                }
                Manner::Asynchronous => {
                    after_the_pass().await;
                    self.call_in_loop(now, operation).await
                }
            },
        };
        let reply = reply.map(|reply| op.read_reply(&reply));
        let cause = match reply {
            Some(Ok(reply)) => return reply,
            Some(Err(_)) => Cause::new("the store's reply is none to this operation"),
            None => Cause::new("the store cannot be called"),
        };
        // It may have done it.
        op.failed(if op.writes() {
            StoreError::OutcomeUnknown(cause)
        } else {
            StoreError::Other(cause)
        })
    }
}
