//! The engine of one process, as its sessions and calls share it.

use std::sync::Arc;

use pyo3::prelude::*;
use tessera::Sessions;
use tessera_embedding::{Engine, Made, Recipe};

use crate::attach::detach;
use crate::block::{block, close};
use crate::border::guarded;
use crate::ending::finish;
use crate::errors::Failure;
use crate::fork;
use crate::python_store::PythonStore;

/// The engine, and what a store of Python needs besides.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    own: Option<PythonStore>,
}

impl Shared {
    pub(crate) fn new(py: Python<'_>, recipe: Recipe, own: Option<PythonStore>) -> PyResult<Self> {
        let engine = block(py, async { Ok(Engine::new(recipe).await?) })?;
        Ok(Self { engine, own })
    }

    /// Notes the event loop of a call, in which an asynchronous store of Python runs.
    pub(crate) fn set_loop(&self, asyncio_loop: &Bound<'_, PyAny>) {
        if let Some(store) = &self.own {
            store.set_loop(asyncio_loop);
        }
    }

    /// Refuses a call that blocks if the store needs the event loop.
    pub(crate) fn check_blocking(&self) -> Result<(), Failure> {
        match &self.own {
            Some(store) if store.needs_event_loop() => Err(Failure::Argument(
                "store",
                "is asynchronous: await the method whose name begins with `a`".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// The engine of this process. After a fork, it is made again.
    pub(crate) fn made(&self, py: Python<'_>) -> PyResult<Arc<Made>> {
        let current = {
            let _inside = fork::enter(py);
            self.engine.current()
        };
        match current {
            Some(made) => Ok(made),
            None => block(py, async { Ok(self.engine.made().await?) }),
        }
    }

    pub(crate) fn sessions(&self, py: Python<'_>) -> PyResult<Sessions> {
        guarded(|| Ok(self.made(py)?.sessions.clone()))
    }

    /// The sessions for a call that is awaited: after a fork, the engine is made while it is awaited.
    pub(crate) async fn sessions_inside(&self) -> Result<Sessions, Failure> {
        Ok(self.engine.sessions().await?)
    }

    /// Completes the begun and queued writes and closes the store. Afterwards, calls that need it fail.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(made) = detach(py, || self.engine.begin_close()) else {
            return Ok(());
        };
        if let Some(writes) = self.engine.writes_to_wait_for(&made) {
            finish(py, &[writes])?;
        }
        made.store.as_ref().map_or(Ok(()), |store| close(py, store))
    }
}
