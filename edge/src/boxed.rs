//! Futures behind one face: handlers that await the same call share its code, which makes the upload smaller.

use std::future::Future;
use std::pin::Pin;

use worker::send::SendFuture;

/// A future of whatever kind. A Worker has one thread, so it may pass for one that could go to another.
pub(crate) fn boxed<'a, T>(
    future: impl Future<Output = T> + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(SendFuture::new(future))
}
