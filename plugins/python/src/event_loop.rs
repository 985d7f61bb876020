//! Whether this thread polls a call for its event loop, which nothing may block.

use std::cell::Cell;

thread_local! {
    static POLLS: Cell<bool> = const { Cell::new(false) };
}

/// While this exists, the thread polls for its event loop.
pub(crate) struct Polling {
    before: bool,
}

impl Polling {
    pub(crate) fn begin() -> Self {
        Self {
            before: POLLS.replace(true),
        }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLS.set(self.before);
    }
}

/// Whether this thread polls for its event loop.
pub(crate) fn is_this_thread() -> bool {
    POLLS.get()
}
