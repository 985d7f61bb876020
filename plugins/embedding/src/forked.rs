//! Values that belong to one process.

use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The value is of the process before a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object is of the process before a fork")]
pub struct Forked;

/// The number of forks between the first process and this one.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

/// Begins another process. Returns the generation of its parent.
pub(crate) fn advance() -> u32 {
    GENERATION.fetch_add(1, Ordering::AcqRel)
}

/// A value that belongs to one process. A child neither uses nor drops it.
#[derive(Debug)]
pub struct Owned<T> {
    /// `None` only while it is dropped.
    value: Option<T>,
    generation: u32,
}

impl<T> Owned<T> {
    /// A value of this process.
    pub fn new(value: T) -> Self {
        Self {
            value: Some(value),
            generation: generation(),
        }
    }

    /// Whether the value is of this process.
    pub fn is_ours(&self) -> bool {
        self.generation == generation()
    }

    /// The value.
    ///
    /// # Errors
    /// If it is of a process before a fork.
    pub fn get(&self) -> Result<&T, Forked> {
        self.value.as_ref().filter(|_| self.is_ours()).ok_or(Forked)
    }

    /// As [`get`](Self::get), for the only owner.
    ///
    /// # Errors
    /// If it is of a process before a fork.
    pub fn into_inner(mut self) -> Result<T, Forked> {
        self.get()?;
        self.value.take().ok_or(Forked)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            std::mem::forget(self.value.take());
        }
    }
}
