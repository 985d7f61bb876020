//! `tessera._tessera`: the engine, its sessions and its stores for Python.
//!
//! The package `plugins/python/tessera` gives these types their names, types and documentation.
//! No Python code runs, and no call waits for the interpreter, while an instance of the component is in use; a store whose class
//! says that it is immediate is the exception.

mod attach;
mod block;
mod border;
mod call;
mod clock;
mod ending;
mod engine;
mod errors;
mod event_loop;
mod fork;
mod python_store;
mod results;
mod session;
mod session_fields;
mod shared;
mod store;
mod text;
mod value;
mod wait;

use pyo3::prelude::*;

/// Leaves the state of the parent's threads.
fn in_child() {
    attach::forget();
    python_store::forget();
}

/// The extension module.
#[pymodule(gil_used = true)]
mod _tessera {
    #[pymodule_export]
    use super::call::Call;
    #[pymodule_export]
    use super::clock::ManualClock;
    #[pymodule_export]
    use super::ending::{begin_end, end};
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::python_store::Reply;
    #[pymodule_export]
    use super::results::{Claims, Details, Grant, Page, Summary};
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::store::OpenedStore;

    use super::*;

    /// The SHA-256 of the component, in hexadecimal.
    #[pyfunction]
    fn component() -> &'static str {
        tessera::Component::sha256()
    }

    /// Panics, for the tests of the border.
    #[cfg(feature = "test-panic")]
    #[pyfunction]
    #[pyo3(name = "panic")]
    fn panics() -> PyResult<()> {
        #[expect(clippy::panic, reason = "the tests want it")]
        border::guarded(|| panic!("a panic of a test"))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        fork::register(module.py(), in_child)
    }
}
