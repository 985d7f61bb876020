//! A future that continues in a task of its own if its caller drops it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::begun::{Begun, Writing};

/// Runs in the caller's task. If it is dropped after a write was requested, it continues in a task of its own, so that the
/// write ends and the session's state is consistent. Outside of a tokio runtime it is cancelled.
struct Detached<T: Send + 'static> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    wrote: Arc<AtomicBool>,
    begun: Arc<Begun>,
    /// Set once it has begun to write.
    writing: Option<(Handle, Writing)>,
}

/// Makes a future continue by itself if it is dropped after `wrote` was set.
pub(crate) fn detached<T: Send + 'static>(
    wrote: Arc<AtomicBool>,
    begun: Arc<Begun>,
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    Detached {
        future: Some(Box::pin(future)),
        wrote,
        begun,
        writing: None,
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.future else {
            // The future has completed; further polls never do.
            return Poll::Pending;
        };
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            (self.future, self.writing) = (None, None);
        } else if self.writing.is_none() && self.wrote.load(Ordering::Relaxed) {
            let runtime = Handle::try_current().ok();
            self.writing = runtime.map(|runtime| (runtime, self.begun.begin()));
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        if let (Some(future), Some((runtime, writing))) = (self.future.take(), self.writing.take()) {
            runtime.spawn(async move {
                let _writing = writing;
                future.await
            });
        }
    }
}
