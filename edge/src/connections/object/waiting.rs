//! The poll that waits for a change of its mailbox.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::deadline;

/// The changes of a mailbox in this object, while it is in memory.
#[derive(Default)]
pub(super) struct Changes {
    number: Cell<u64>,
    waiting: RefCell<Option<Waker>>,
    waits: Cell<u32>,
}

/// Counts one wait until it is dropped.
struct Waits<'a>(&'a Cell<u32>);

impl<'a> Waits<'a> {
    fn begin(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Changes {
    /// The number of changes so far.
    pub(super) fn number(&self) -> u64 {
        self.number.get()
    }

    /// Whether a poll waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.waits.get() > 0
    }

    /// Notes a change, and wakes the poll that waits for one.
    pub(super) fn note(&self) {
        self.number.set(self.number.get() + 1);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until there were more changes than `known`; returns whether there were, within this time. A later caller takes the
    /// place of an earlier one, which has been taken over, and was woken by that change.
    pub(super) async fn after(&self, known: u64, milliseconds: u64) -> bool {
        let _waits = Waits::begin(&self.waits);
        let changed = poll_fn(|context| {
            if self.number.get() > known {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        });
        deadline::within(milliseconds, changed).await.is_some()
    }
}
