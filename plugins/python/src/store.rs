//! A store that was opened by its URL, operation by operation: for stores of Python in front of it, and for the store suite.

use std::sync::Arc;

use pyo3::prelude::*;
use tessera::Timestamp;
use tessera::store::{AnyStore, StoreOp, StoreService as _, StoreUrl};
use tessera_embedding::fork::Owned;
use tessera_embedding::runtime;

use crate::block::{block, close};
use crate::border::guarded;
use crate::errors::Failure;

/// A store by its URL. Operations and replies are JSON, as in `docs/conformance.md`.
#[pyclass(frozen, module = "tessera._tessera")]
pub(crate) struct OpenedStore(Owned<Arc<AnyStore>>);

#[pymethods]
impl OpenedStore {
    #[new]
    fn new(py: Python<'_>, url: &str) -> PyResult<Self> {
        guarded(|| {
            let url: StoreUrl = url.parse().map_err(Failure::from)?;
            let store = block(py, async { Ok(url.open().await?) })?;
            Ok(Self(Owned::new(Arc::new(store))))
        })
    }

    /// The capabilities as JSON.
    fn capabilities(&self) -> PyResult<String> {
        guarded(|| {
            let capabilities = self.0.get().map_err(Failure::from)?.describe();
            let text = serde_json::to_string(&capabilities);
            text.map_err(|_| Failure::Argument("store", "cannot describe itself".into()).into())
        })
    }

    /// Executes an operation at a time, and returns the reply.
    fn call(&self, py: Python<'_>, now: u64, operation: &str) -> PyResult<String> {
        guarded(|| {
            let op = read(operation)?;
            let store = Arc::clone(self.0.get().map_err(Failure::from)?);
            block(py, async move {
                // On the runtime's thread, so that several operations of one thread share a connection.
                let called =
                    runtime::spawn(async move { store.call(Timestamp::from_millis(now), &op).await })?;
                let reply = called
                    .await
                    .map_err(|_| Failure::Argument("operation", "has panicked".into()))?;
                serde_json::to_string(&reply)
                    .map_err(|_| Failure::Argument("reply", "cannot be written".into()))
            })
        })
    }

    /// Completes the queued writes and closes the store.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| close(py, self.0.get().map_err(Failure::from)?))
    }
}

fn read(operation: &str) -> Result<StoreOp, Failure> {
    serde_json::from_str(operation)
        .map_err(|_| Failure::Argument("operation", "must be one of docs/conformance.md".into()))
}
