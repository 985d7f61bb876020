//! Time limits for futures.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use worker::Delay;

/// Awaits `work` for at most this time. Drops it and returns `None` if it takes longer.
pub(crate) async fn within<T>(milliseconds: u64, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut delay = pin!(Delay::from(Duration::from_millis(milliseconds)));
    poll_fn(|context| {
        if let Poll::Ready(value) = work.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        delay.as_mut().poll(context).map(|()| None)
    })
    .await
}
