//! The engine of one process, as its sessions and calls share it: made once, and again in a process that was forked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use pyo3::prelude::*;
use tessera::store::{AnyStore, PlainUrl, StoreUrl};
use tessera::{Preset, Sessions, SessionsBuilder, SigningKey};

use crate::begun;
use crate::block::{block, close};
use crate::border::guarded;
use crate::clock::ManualClock;
use crate::errors::Failure;
use crate::fork::{Inside, Owned};
use crate::python_store::{Manner, PythonStore};
use crate::sqlite_files::OpenFile;

/// Where records are kept.
pub(crate) enum Place {
    Url(StoreUrl),
    Own(PythonStore),
}

/// How the engine is made: once, and again in a process that was forked.
pub(crate) struct Recipe {
    pub(crate) place: Place,
    pub(crate) preset: Option<Preset>,
    pub(crate) policy: serde_json::Map<String, serde_json::Value>,
    pub(crate) keys: Mutex<Vec<SigningKey>>,
    pub(crate) clock: Option<Py<ManualClock>>,
    pub(crate) remembered_sessions: Option<usize>,
    pub(crate) queue_places: Option<usize>,
    pub(crate) instances: Option<usize>,
}

/// The engine of one process.
pub(crate) struct Made {
    pub(crate) sessions: Sessions,
    /// The store, if it was opened by a URL.
    pub(crate) store: Option<AnyStore>,
    /// After the store, so that it is noted as closed last.
    file: Option<OpenFile>,
}

/// The engine, as its sessions and calls share it.
pub(crate) struct Shared {
    recipe: Recipe,
    made: RwLock<Option<Owned<Arc<Made>>>>,
    is_closed: AtomicBool,
}

impl Recipe {
    async fn make(&self, keys: Vec<SigningKey>) -> Result<Made, Failure> {
        let mut builder = Sessions::builder();
        if let Some(preset) = self.preset {
            builder = builder.preset(preset);
        }
        let mut set = Ok(());
        builder = builder.policy(|policy| set = policy.set_json(&self.policy));
        set?;
        builder = keys.into_iter().fold(builder, SessionsBuilder::key);
        if let Some(clock) = &self.clock {
            builder = builder.clock(clock.get().to_clock());
        }
        if let Some(sessions) = self.remembered_sessions {
            builder = builder.remembered_sessions(sessions);
        }
        if let Some(places) = self.queue_places {
            builder = builder.queue_places(places);
        }
        if let Some(instances) = self.instances {
            builder = builder.instances(instances);
        }
        let made = match &self.place {
            Place::Url(url) => {
                let file = match url.plain() {
                    PlainUrl::Sqlite(path) => Some(OpenFile::note(path)?),
                    _ => None,
                };
                let store = url.open().await?;
                Made {
                    sessions: builder.build(store.clone())?,
                    store: Some(store),
                    file,
                }
            }
            Place::Own(store) => Made {
                sessions: builder.build(store.clone())?,
                store: None,
                file: None,
            },
        };
        if !self.needs_event_loop() {
            begun::note(made.sessions.begun_writes());
        }
        Ok(made)
    }

    /// Whether the store is asynchronous code of Python.
    fn needs_event_loop(&self) -> bool {
        matches!(&self.place, Place::Own(store) if store.manner() == Manner::Asynchronous)
    }

    fn made(&self, py: Python<'_>) -> PyResult<Made> {
        let keys = self.keys();
        block(py, self.make(keys))
    }

    /// Makes the engine in a process that was forked, or over a file that was closed. What was right the first time is an outage
    /// now.
    async fn make_again(&self) -> Result<Made, Failure> {
        self.make(self.keys()).await.map_err(|failure| match failure {
            Failure::Url(error) => Failure::Unavailable(error),
            other => other,
        })
    }

    fn keys(&self) -> Vec<SigningKey> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Makes the engine. A SQLite file is closed again until it is used, so that the process can be forked.
    pub(crate) fn new(py: Python<'_>, recipe: Recipe) -> PyResult<Self> {
        let made = recipe.made(py)?;
        let made = match &made.store {
            Some(store) if made.file.is_some() => {
                close(py, store)?;
                None
            }
            _ => Some(Owned::new(Arc::new(made))),
        };
        Ok(Self {
            recipe,
            made: RwLock::new(made),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Whether all calls return within microseconds.
    pub(crate) fn is_quick(&self) -> bool {
        matches!(&self.recipe.place, Place::Url(StoreUrl::Plain(PlainUrl::Memory)))
    }

    /// Notes the event loop of a call, in which an asynchronous store of Python runs.
    pub(crate) fn set_loop(&self, asyncio_loop: &Bound<'_, PyAny>) {
        if let Place::Own(store) = &self.recipe.place {
            store.set_loop(asyncio_loop);
        }
    }

    /// Refuses a call that blocks if the store needs the event loop.
    pub(crate) fn check_blocking(&self) -> Result<(), Failure> {
        match self.recipe.needs_event_loop() {
            true => Err(Failure::Argument(
                "store",
                "is asynchronous: await the method whose name begins with `a`".to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// The engine of this process. After a fork, it is made again.
    pub(crate) fn made(&self, py: Python<'_>) -> PyResult<Arc<Made>> {
        if let Some(made) = self.made_before(py) {
            return Ok(made);
        }
        block(py, self.made_inside())
    }

    /// The engine of this process, if it was made since a fork.
    fn made_before(&self, py: Python<'_>) -> Option<Arc<Made>> {
        let _inside = Inside::enter(py);
        self.current()
    }

    /// As [`made`](Self::made), for a thread that is in the engine already.
    async fn made_inside(&self) -> Result<Arc<Made>, Failure> {
        if let Some(made) = self.current() {
            return Ok(made);
        }
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(Failure::Closed);
        }
        let made = Arc::new(self.recipe.make_again().await?);
        let mut current = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(first)) = current.as_ref().map(Owned::get) {
            // Another thread was faster.
            return Ok(Arc::clone(first));
        }
        *current = Some(Owned::new(Arc::clone(&made)));
        Ok(made)
    }

    fn current(&self) -> Option<Arc<Made>> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.as_ref()?.get().ok().map(Arc::clone)
    }

    /// The sessions for a call that is awaited: after a fork, the engine is made while it is awaited.
    pub(crate) async fn sessions_inside(&self) -> Result<Sessions, Failure> {
        Ok(self.made_inside().await?.sessions.clone())
    }

    pub(crate) fn sessions(&self, py: Python<'_>) -> PyResult<Sessions> {
        guarded(|| Ok(self.made(py)?.sessions.clone()))
    }

    /// Changes the key ring, also for the engine after a fork.
    pub(crate) fn replace_keys(&self, sessions: &Sessions, keys: Vec<SigningKey>) -> Result<(), Failure> {
        let mut current = self.recipe.keys.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.replace_keys(keys.clone())?;
        *current = keys;
        Ok(())
    }

    /// Completes the begun and queued writes and closes the store. Afterwards, calls that need it fail.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.is_closed.store(true, Ordering::SeqCst);
        let Some(made) = self.made_before(py) else {
            return Ok(());
        };
        py.detach(|| {
            let _inside = Inside::enter_detached();
            let before = self.made.write().unwrap_or_else(PoisonError::into_inner).take();
            drop(before);
        });
        if !self.recipe.needs_event_loop() {
            begun::finish(py, &[made.sessions.begun_writes()])?;
        }
        made.store.as_ref().map_or(Ok(()), |store| close(py, store))
    }
}
