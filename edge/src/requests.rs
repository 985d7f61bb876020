//! The requests under way: each with its own budget, and none kept longer than it can last.
//!
//! When a client goes away the runtime may end a request without running what was to come. Its future would then be kept for
//! ever by a promise that nobody settles; here it is found by its age and dropped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tessera_contract::Timestamp;
use worker::Context;

use crate::clock;

/// No request lasts as long as this, in milliseconds: it has been given up by the runtime.
const ABANDONED_MS: u64 = 600_000;

thread_local! {
    static UNDER_WAY: RefCell<BTreeMap<u64, Rc<Work>>> = const { RefCell::new(BTreeMap::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// How much work is held in all, what was abandoned counted in until its promise has let go of it.
    static HELD: Cell<usize> = const { Cell::new(0) };
    static CURRENT: RefCell<Option<Rc<Request>>> = const { RefCell::new(None) };
    static ABANDONED: Cell<u64> = const { Cell::new(ABANDONED_MS) };
}

/// What belongs to one request.
pub(crate) struct Request {
    context: Context,
    /// How often storage was asked.
    operations: Cell<u32>,
}

/// Something that is done for a request.
struct Work {
    began: Timestamp,
    /// Taken out while it runs, and for good once it was abandoned.
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    /// Has whoever awaits it look again.
    waker: RefCell<Option<Waker>>,
}

/// Runs a request's work; answers nothing if it was given up before its end.
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

/// Does something for the current request that it does not wait for, to its end.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    let Some(request) = CURRENT.with_borrow(Option::clone) else {
        return;
    };
    let work = within(Rc::clone(&request), work);
    request.context.wait_until(async {
        work.await;
    });
}

/// Counts one operation on storage of the current request, and answers how many there were.
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

/// Takes work off the list when it is gone.
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
    // The oldest come first.
    while let Some(work) = UNDER_WAY.with_borrow_mut(|all| {
        let oldest = all
            .first_entry()
            .filter(|entry| now.millis_since(entry.get().began) > most)?;
        Some(oldest.remove())
    }) {
        let future = work.future.borrow_mut().take();
        tracing::warn!("a request was given up by the runtime; what it held is dropped");
        drop(future);
        // Its promise ends now, and with it what holds that.
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
