//! Locks that a child of a fork replaces, because another thread of the parent may have held them.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// A value behind a lock, of each process its own.
pub(crate) struct OfProcess<T: 'static> {
    /// Null until it is used.
    current: AtomicPtr<Mutex<T>>,
}

impl<T: Default + Send> OfProcess<T> {
    pub(crate) const fn new() -> Self {
        Self {
            current: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn mutex(&self) -> &'static Mutex<T> {
        let current = self.current.load(Ordering::Acquire);
        if current.is_null() {
            return self.start(T::default());
        }
        #[expect(unsafe_code, reason = "a pointer that a fork's child replaces")]
        // SAFETY: it was leaked by `replace` or `start`, and nothing frees it.
        unsafe {
            &*current
        }
    }

    /// The first value, unless another thread was faster.
    fn start(&self, value: T) -> &'static Mutex<T> {
        let new: *mut Mutex<T> = Box::leak(Box::new(Mutex::new(value)));
        let set = self
            .current
            .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        let current = set.map_or_else(|first| first, |_| new);
        #[expect(unsafe_code, reason = "a pointer that a fork's child replaces")]
        // SAFETY: as in `mutex`. The value that came too late is leaked, which happens once at most.
        unsafe {
            &*current
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'static, T> {
        self.mutex().lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In a child: replaces the value. That of the parent is neither locked nor dropped.
    pub(crate) fn replace(&self, value: T) {
        self.current
            .store(Box::leak(Box::new(Mutex::new(value))), Ordering::Release);
    }

    /// In a child: whether a thread of the parent held the lock.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self.mutex().try_lock(), Err(TryLockError::WouldBlock))
    }
}
