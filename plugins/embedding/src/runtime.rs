//! The runtime of this process: one thread, which drives connections to stores and the calls that nobody polls.

use std::future::Future;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::task::JoinHandle;

use crate::process::OfProcess;

/// The runtime of this process. It lives as long as the process, because objects of the other language may need it until then.
static RUNTIME: OfProcess<Option<&'static Runtime>> = OfProcess::new();

/// The runtime of this process, which is started if there is none.
fn runtime() -> io::Result<&'static Runtime> {
    let mut current = RUNTIME.lock();
    if let Some(runtime) = *current {
        return Ok(runtime);
    }
    let built = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("tessera")
        .enable_all()
        .build();
    let runtime: &'static Runtime = Box::leak(Box::new(built?));
    *current = Some(runtime);
    Ok(runtime)
}

/// Makes the runtime that of the calling thread, for futures that are polled there.
///
/// # Errors
/// If its thread cannot be started.
pub fn enter() -> io::Result<EnterGuard<'static>> {
    runtime().map(Runtime::enter)
}

/// Runs a future on the runtime's thread.
///
/// # Errors
/// If the thread cannot be started.
pub fn spawn<F>(future: F) -> io::Result<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime().map(|runtime| runtime.spawn(future))
}

/// The runtime's thread stands still until this is dropped.
pub(crate) struct Pause {
    _resume: Sender<()>,
}

/// Lets the runtime's thread stand still. `None` if there is none, or it was busy for all of this time.
pub(crate) fn pause(patience: Duration) -> Option<Pause> {
    let runtime = (*RUNTIME.lock())?;
    let (resume, resumed) = mpsc::channel();
    let (pausing, paused) = mpsc::channel();
    runtime.spawn(async move {
        if pausing.send(()).is_ok() {
            // Ends when the other end is dropped.
            let _dropped = resumed.recv();
        }
    });
    let pause = Pause { _resume: resume };
    paused.recv_timeout(patience).is_ok().then_some(pause)
}

/// Forgets the runtime of the process before a fork, whose thread is not in this one.
pub(crate) fn forget() {
    RUNTIME.replace(None);
}
