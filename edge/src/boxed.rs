//! Type erasure of futures: handlers that await the same call share its code, which makes the upload smaller.

use std::future::Future;
use std::pin::Pin;

use worker::send::SendFuture;

/// Boxes a future, and marks it as `Send`: a Worker has one thread, so the future never moves to another.
pub(crate) fn boxed<'a, T>(
    future: impl Future<Output = T> + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(SendFuture::new(future))
}
