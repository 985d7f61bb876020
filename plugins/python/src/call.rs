//! Calls that are awaited: a coroutine for asyncio.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tessera_embedding::fork::Owned;
use tessera_embedding::runtime;
use tokio::task::AbortHandle;

use crate::attach::{self, attach, detach};
use crate::block::{go_on, waker};
use crate::border::guarded;
use crate::errors::Failure;
use crate::event_loop::Polling;
use crate::python_store::{in_loop, raised};
use crate::shared::Shared;
use crate::wait::poll_once;

/// The result of a call, to be made an object of Python.
type Finish = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
type Work = Pin<Box<dyn Future<Output = Result<Finish, Failure>> + Send>>;
/// What is to be done before the first poll.
type Prepare = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

enum Stage {
    /// It has not begun.
    New(Work, Option<Prepare>),
    /// The runtime's thread polls it. The caller waits for a future of its event loop.
    Waiting {
        future: Py<PyAny>,
        task: AbortHandle,
    },
    Over,
}

/// A call of the engine, to be awaited once.
///
/// A call that has its result at once completes without the event loop. If the task that awaits it is cancelled, the call ends,
/// unless it has begun to write: then it goes on to its end.
#[pyclass(frozen, module = "tessera")]
pub(crate) struct Call {
    shared: Arc<Shared>,
    stage: Mutex<Owned<Stage>>,
}

impl Call {
    /// A call whose result `finish` makes an object of Python.
    pub(crate) fn new<T: Send + 'static>(
        shared: &Arc<Shared>,
        call: impl Future<Output = Result<T, Failure>> + Send + 'static,
        finish: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        let work = async move {
            let done = call.await?;
            let finish: Finish = Box::new(move |py| finish(py, done));
            Ok(finish)
        };
        Self {
            shared: Arc::clone(shared),
            stage: Mutex::new(Owned::new(Stage::New(Box::pin(work), None))),
        }
    }

    /// Does something when the call is awaited, before it begins.
    pub(crate) fn after(self, prepare: impl FnOnce(Python<'_>) -> PyResult<()> + Send + 'static) -> Self {
        if let Ok(Stage::New(work, _)) = self.set(Stage::Over) {
            // It was new, and nobody else has it.
            let _over = self.set(Stage::New(work, Some(Box::new(prepare))));
        }
        self
    }

    fn stage(&self) -> MutexGuard<'_, Owned<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stage: Stage) -> Result<Stage, Failure> {
        let mut current = self.stage();
        current.get()?;
        Ok(std::mem::replace(&mut *current, Owned::new(stage)).into_inner()?)
    }

    /// Polls the call in this thread; if it is not done, the runtime's thread goes on.
    fn begin(&self, py: Python<'_>, mut work: Work, prepare: Option<Prepare>) -> PyResult<Py<PyAny>> {
        if let Some(prepare) = prepare {
            prepare(py)?;
        }
        let asyncio_loop = running_loop(py)?;
        self.shared.set_loop(&asyncio_loop);
        let polled = {
            let _polling = Polling::begin();
            poll_once(py, &self.shared, work.as_mut(), Waker::noop())?
        };
        raised()?;
        if let Poll::Ready(done) = polled {
            return Err(stopped(py, done?(py)?));
        }
        if attach::has_ended() {
            // No other thread may deliver the result.
            self.shared.check_blocking()?;
            let waker = waker();
            let done = detach(py, || go_on(work.as_mut(), &waker))?;
            return Err(stopped(py, done(py)?));
        }
        let future = asyncio_loop.call_method0("create_future")?;
        let (to_loop, to_future) = (asyncio_loop.unbind(), future.clone().unbind());
        let loop_of_call = to_loop.clone_ref(py);
        let performing = async move {
            let polled = poll_fn(|context| {
                // A panic would end the task, and leave its caller waiting.
                catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
                    .unwrap_or(Poll::Ready(Err(Failure::Panicked)))
            });
            let done = polled.await;
            // An interpreter that ends needs no result.
            attach(|py| deliver(py, &to_loop, &to_future, done));
        };
        let task = runtime::spawn(in_loop(loop_of_call, performing)).map_err(Failure::from)?;
        let awaited = future.call_method0("__await__")?;
        let first = awaited.call_method0("__next__")?;
        self.set(Stage::Waiting {
            future: awaited.unbind(),
            task: task.abort_handle(),
        })?;
        Ok(first.unbind())
    }

    /// Forgets the call. What it has begun to write is written.
    fn abandon(&self) -> PyResult<()> {
        if let Stage::Waiting { task, .. } = self.set(Stage::Over)? {
            task.abort();
        }
        Ok(())
    }
}

fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    RUNNING.import(py, "asyncio", "get_running_loop")?.call0()
}

fn stopped(py: Python<'_>, value: Py<PyAny>) -> PyErr {
    // A tuple would be taken for several arguments.
    let stop = py.get_type::<PyStopIteration>().call1((value,));
    stop.map_or_else(|error| error, PyErr::from_value)
}

/// Gives the result to the event loop. A loop that is closed needs none.
fn deliver(py: Python<'_>, asyncio_loop: &Py<PyAny>, future: &Py<PyAny>, done: Result<Finish, Failure>) {
    static DELIVER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let done = guarded(|| done.map_err(PyErr::from)?(py));
    let (value, error) = match done {
        Ok(value) => (value, py.None()),
        Err(error) => (py.None(), error.into_value(py).into_any()),
    };
    let delivered = DELIVER
        .import(py, "tessera._calls", "deliver")
        .and_then(|deliver| {
            asyncio_loop.call_method1(py, "call_soon_threadsafe", (deliver, future, value, error))
        });
    drop(delivered);
}

#[pymethods]
impl Call {
    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.send(py, py.None())
    }

    /// Begins or continues the call; the protocol of coroutines.
    fn send(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let waiting = match self.stage().get().map_err(Failure::from)? {
                Stage::New(..) => None,
                Stage::Waiting { future, .. } => Some(future.clone_ref(py)),
                Stage::Over => return Err(PyRuntimeError::new_err("cannot reuse already awaited call")),
            };
            let result = match waiting {
                Some(future) => future.call_method1(py, "send", (value,)),
                None => match self.set(Stage::Over)? {
                    Stage::New(work, prepare) => return self.begin(py, work, prepare),
                    _ => return Err(PyRuntimeError::new_err("the call is awaited twice at a time")),
                },
            };
            if result.is_err() {
                self.set(Stage::Over)?;
            }
            result
        })
    }

    /// Ends the call with an exception; the protocol of coroutines.
    #[pyo3(signature = (error, value=None, traceback=None))]
    fn throw(
        &self,
        py: Python<'_>,
        error: Py<PyAny>,
        value: Option<Py<PyAny>>,
        traceback: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let waiting = match self.stage().get().map_err(Failure::from)? {
                Stage::Waiting { future, .. } => Some(future.clone_ref(py)),
                _ => None,
            };
            let result = match waiting {
                // The form with three arguments is deprecated.
                Some(future) if value.is_none() => future.call_method1(py, "throw", (error,)),
                Some(future) => future.call_method1(py, "throw", (error, value, traceback)),
                None => Err(thrown(py, error, value)),
            };
            // A future that goes on after an exception has yielded something else to wait for.
            if result.is_err() {
                self.abandon()?;
            }
            result
        })
    }

    /// Ends the call; the protocol of coroutines.
    fn close(&self) -> PyResult<()> {
        guarded(|| self.abandon())
    }
}

fn thrown(py: Python<'_>, error: Py<PyAny>, value: Option<Py<PyAny>>) -> PyErr {
    match value {
        Some(value) => PyErr::from_value(value.into_bound(py)),
        None => PyErr::from_value(error.into_bound(py)),
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let stage = self.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        match stage.get() {
            Ok(Stage::Waiting { task, .. }) => task.abort(),
            Ok(Stage::New(..)) => {
                let text = c"a call of tessera was never awaited";
                attach(|py| PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), text, 1));
            }
            _ => {}
        }
    }
}
