//! The requests in progress. Each has its own budget of storage operations, and is dropped when it exceeds the maximum age.
//!
//! When a client disconnects, the runtime may terminate a request without running the rest of its work.
//! A promise that never settles would keep its future for ever, so this module drops the future by its age.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tessera_contract::Timestamp;
use worker::Context;

use crate::clock;

/// The age at which a request counts as abandoned by the runtime, in milliseconds. No request lasts as long.
const ABANDONED_MS: u64 = 600_000;

thread_local! {
    static UNDER_WAY: RefCell<BTreeMap<u64, Rc<Work>>> = const { RefCell::new(BTreeMap::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// The number of work items in memory. An abandoned one counts until its promise has released it.
    static HELD: Cell<usize> = const { Cell::new(0) };
    static CURRENT: RefCell<Option<Rc<Request>>> = const { RefCell::new(None) };
    static ABANDONED: Cell<u64> = const { Cell::new(ABANDONED_MS) };
}

/// The state of one request.
pub(crate) struct Request {
    context: Context,
    /// The number of storage operations so far.
    operations: Cell<u32>,
}

/// A future that runs for a request.
struct Work {
    began: Timestamp,
    /// Absent while it is polled, and for good once it is abandoned.
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    /// Wakes the future that awaits this work.
    waker: RefCell<Option<Waker>>,
}

/// Runs the work of a request. The future returns `None` if the work was abandoned.
pub(crate) fn run<T: 'static>(
    context: Context,
    work: impl Future<Output = T> + 'static,
) -> impl Future<Output = Option<T>> + 'static {
    let request = Request {
        context,
        operations: Cell::new(0),
    };
    within(Rc::new(request), work)
}

/// Runs work for the current request in the background. The runtime keeps the request alive until the work is complete.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    let Some(request) = CURRENT.with_borrow(Option::clone) else {
        return;
    };
    let work = within(Rc::clone(&request), work);
    request.context.wait_until(async {
        work.await;
    });
}

/// Counts one storage operation of the current request. Returns the number so far, or 0 outside a request.
pub(crate) fn count_operation() -> u32 {
    CURRENT.with_borrow(|current| {
        current.as_ref().map_or(0, |request| {
            request.operations.set(request.operations.get() + 1);
            request.operations.get()
        })
    })
}

fn within<T: 'static>(
    request: Rc<Request>,
    work: impl Future<Output = T> + 'static,
) -> impl Future<Output = Option<T>> + 'static {
    drop_abandoned();
    let ended: Rc<RefCell<Option<T>>> = Rc::default();
    let outcome = Rc::clone(&ended);
    let future = Box::pin(async move {
        let value = work.await;
        *outcome.borrow_mut() = Some(value);
    });
    let work = Rc::new(Work {
        began: clock::now(),
        future: RefCell::new(Some(future)),
        waker: RefCell::default(),
    });
    let number = NEXT.replace(NEXT.get() + 1);
    UNDER_WAY.with_borrow_mut(|all| all.insert(number, Rc::clone(&work)));
    let listed = Listed::new(number);
    poll_fn(move |context| {
        let _ = &listed;
        let Some(mut future) = work.future.borrow_mut().take() else {
            return Poll::Ready(None);
        };
        let before = CURRENT.replace(Some(Rc::clone(&request)));
        let polled = future.as_mut().poll(context);
        CURRENT.set(before);
        if polled.is_pending() {
            *work.future.borrow_mut() = Some(future);
            *work.waker.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(ended.borrow_mut().take())
    })
}

/// Removes work from the list on drop.
struct Listed(u64);

impl Listed {
    fn new(number: u64) -> Self {
        HELD.set(HELD.get() + 1);
        Self(number)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
        UNDER_WAY.with_borrow_mut(|all| all.remove(&self.0));
    }
}

fn drop_abandoned() {
    let (now, most) = (clock::now(), ABANDONED.get());
    // The oldest is first.
    while let Some(work) = UNDER_WAY.with_borrow_mut(|all| {
        let oldest = all
            .first_entry()
            .filter(|entry| now.millis_since(entry.get().began) > most)?;
        Some(oldest.remove())
    }) {
        let future = work.future.borrow_mut().take();
        tracing::warn!("the runtime abandoned a request; its state is dropped");
        drop(future);
        // The promise settles now, which releases everything that it holds.
        if let Some(waker) = work.waker.borrow_mut().take() {
            waker.wake();
        }
        crate::runtime::forget(now.as_millis().saturating_sub(most) as f64);
    }
}

#[cfg(feature = "test-routes")]
pub(crate) fn held() -> usize {
    HELD.get()
}

#[cfg(feature = "test-routes")]
pub(crate) fn abandon_after(milliseconds: u64) {
    ABANDONED.set(milliseconds);
}
