//! The border to Python: a panic becomes an exception there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;

use crate::attach::Frame;
use crate::errors::internal;

/// Calls a function, and turns a panic into an `InternalError`.
///
/// What is shared with the function is consistent after a panic: the engine discards an instance whose call has not returned, and
/// a session whose call has not returned is busy no more.
pub(crate) fn guarded<T>(body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    let _frame = Frame::enter();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(internal("the engine has panicked")))
}
