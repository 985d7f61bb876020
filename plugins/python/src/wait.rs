//! Calls that block: the calling thread polls the call until it is done.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;
use tessera_embedding::fork::Inside;
use tessera_embedding::runtime;

use crate::attach::detach;
use crate::block::{go_on, waker};
use crate::border::guarded;
use crate::errors::Failure;
use crate::fork;
use crate::python_store::{check_not_in_a_pass, raised};
use crate::shared::Shared;

/// Does something inside of the engine.
///
/// Releases the interpreter meanwhile: the thread may wait for an instance of the component, and the one that has it for the
/// interpreter. Over the memory of the process, none waits for the interpreter there, and a call takes microseconds, while
/// another thread would keep the interpreter for milliseconds.
fn inside<T: Send>(
    py: Python<'_>,
    shared: &Shared,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    check_not_in_a_pass()?;
    if shared.engine.is_quick() {
        let _inside = fork::enter(py);
        return work();
    }
    detach(py, || {
        let _inside = Inside::enter();
        work()
    })
}

/// Polls a future once in the calling thread.
pub(crate) fn poll_once<F>(
    py: Python<'_>,
    shared: &Shared,
    future: Pin<&mut F>,
    waker: &Waker,
) -> Result<Poll<F::Output>, Failure>
where
    F: Future<Output: Send> + Send + ?Sized,
{
    inside(py, shared, || {
        let _runtime = runtime::enter()?;
        Ok(future.poll(&mut Context::from_waker(waker)))
    })
}

/// Makes a call that needs no store.
pub(crate) fn at_once<T: Send>(
    py: Python<'_>,
    shared: &Shared,
    call: impl FnOnce() -> Result<T, Failure> + Send,
) -> PyResult<T> {
    guarded(|| Ok(inside(py, shared, call)?))
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
            Poll::Pending => Ok(detach(py, || go_on(future, &waker))?),
        }
    })
}
