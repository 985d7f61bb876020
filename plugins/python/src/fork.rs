//! Forks of Python: `os.register_at_fork` calls the hooks of `tessera_embedding::fork`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tessera_embedding::fork::{self, Inside};

use crate::attach::{Frame, detach};

/// Enters the engine. During a fork, waits without the interpreter.
pub(crate) fn enter(py: Python<'_>) -> Inside {
    Inside::try_enter().unwrap_or_else(|| detach(py, Inside::enter))
}

#[pyfunction]
fn before_fork(py: Python<'_>) {
    // A thread that may not go on stands still here, and not while the fork keeps others out of the engine.
    let _frame = Frame::enter();
    py.detach(fork::before);
}

#[pyfunction]
fn after_fork_in_parent() {
    fork::after_in_parent();
}

#[pyfunction]
fn after_fork_in_child() {
    fork::after_in_child();
}

/// Lets Python call the functions above at each fork, and a child `in_child` before anything else.
pub(crate) fn register(py: Python<'_>, in_child: fn()) -> PyResult<()> {
    fork::in_child(in_child);
    fork::notice_all();
    let os = py.import("os")?;
    // Windows has no forks.
    let Ok(register) = os.getattr("register_at_fork") else {
        return Ok(());
    };
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(before_fork, py)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(after_fork_in_parent, py)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, py)?)?;
    register.call((), Some(&hooks))?;
    Ok(())
}
