//! Calls that block: the calling thread polls the call until it is done.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;

use crate::block::{go_on, waker};
use crate::border::guarded;
use crate::errors::Failure;
use crate::fork::Inside;
use crate::python_store::raised;
use crate::runtime;
use crate::shared::Shared;

/// Polls a future once in the calling thread.
///
/// Releases the interpreter meanwhile, unless the store is the memory of the process: a call on that one takes microseconds, and
/// another thread would keep the interpreter for milliseconds.
pub(crate) fn poll_once<F>(
    py: Python<'_>,
    shared: &Shared,
    future: Pin<&mut F>,
    waker: &Waker,
) -> Result<Poll<F::Output>, Failure>
where
    F: Future<Output: Send> + Send + ?Sized,
{
    let mut context = Context::from_waker(waker);
    if shared.is_quick() {
        let _inside = Inside::enter(py);
        let _runtime = runtime::enter()?;
        Ok(future.poll(&mut context))
    } else {
        py.detach(|| {
            let _inside = Inside::enter_detached();
            let _runtime = runtime::enter()?;
            let mut context = Context::from_waker(waker);
            Ok(future.poll(&mut context))
        })
    }
}

/// Makes a call that needs no store.
///
/// It may wait for an instance of the component, and the thread that has it for the interpreter: so the interpreter is released.
pub(crate) fn at_once<T: Send>(
    py: Python<'_>,
    shared: &Shared,
    call: impl FnOnce() -> Result<T, Failure> + Send,
) -> PyResult<T> {
    guarded(|| {
        if shared.is_quick() {
            let _inside = Inside::enter(py);
            return Ok(call()?);
        }
        py.detach(|| {
            let _inside = Inside::enter_detached();
            Ok(call()?)
        })
    })
}

/// Waits for a call.
///
/// A signal whose handler raises ends the waiting with that exception. What the call has begun to write is written nevertheless.
pub(crate) fn wait<T, F>(py: Python<'_>, shared: &Shared, future: F) -> PyResult<T>
where
    T: Send,
    F: Future<Output = Result<T, Failure>> + Send,
{
    guarded(|| {
        shared.check_blocking()?;
        let waker = waker();
        let mut future = pin!(future);
        let polled = poll_once(py, shared, future.as_mut(), &waker)?;
        raised()?;
        match polled {
            Poll::Ready(done) => Ok(done?),
            Poll::Pending => py.detach(|| go_on(future, &waker)),
        }
    })
}
