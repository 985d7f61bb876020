//! Polls a future in the calling thread until it is done.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use pyo3::prelude::*;
use tessera::store::AnyStore;
use tessera_embedding::fork::Inside;
use tessera_embedding::runtime;

use crate::attach::{attach, detach};
use crate::errors::Failure;
use crate::python_store::raised;

/// The longest time between two looks for signals, such as Ctrl+C.
const LOOKS_FOR_SIGNALS: Duration = Duration::from_millis(50);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// Wakes this thread.
    static WAKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
}

/// The waker of the calling thread.
pub(crate) fn waker() -> Waker {
    WAKER.with(Waker::clone)
}

/// Waits for the making of an engine or a store, as [`wait`] does.
pub(crate) fn block<T, F>(py: Python<'_>, future: F) -> PyResult<T>
where
    T: Send,
    F: Future<Output = Result<T, Failure>> + Send,
{
    let waker = waker();
    let done = detach(py, || {
        std::thread::current().unpark();
        go_on(pin!(future), &waker)
    });
    Ok(done?)
}

/// Polls a future in this thread, which is detached from the interpreter, whenever it is woken.
pub(crate) fn go_on<T, F>(mut future: Pin<&mut F>, waker: &Waker) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>> + ?Sized,
{
    let mut context = Context::from_waker(waker);
    loop {
        // A wake in between unparks at once, and a poll too many does no harm.
        std::thread::park_timeout(LOOKS_FOR_SIGNALS);
        let polled = {
            let _inside = Inside::enter();
            let _runtime = runtime::enter()?;
            future.as_mut().poll(&mut context)
        };
        raised()?;
        match polled {
            Poll::Ready(done) => return done,
            Poll::Pending => attach(|py| py.check_signals()).unwrap_or(Ok(()))?,
        }
    }
}

/// Completes the queued writes of a store and closes it.
pub(crate) fn close(py: Python<'_>, store: &AnyStore) -> PyResult<()> {
    detach(py, || tessera_embedding::close(store)).map_err(Failure::from)?;
    Ok(())
}
