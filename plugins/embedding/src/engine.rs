//! The engine of one process, as its sessions and calls share it: made once, and again in a process that was forked.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Map, Value};
use tessera::store::{AnyStore, PlainUrl, StoreError, StoreUrl, StoreUrlError};
use tessera::{BegunWrites, ConfigurationError, Preset, Sessions, SessionsBuilder, SigningKey};

use crate::clock::SetClock;
use crate::fork::{Forked, Inside, Owned};
use crate::report::{Report, chain};
use crate::sqlite_files::OpenFile;
use crate::{begun, runtime};

/// Builds the engine over a store of the other language.
type Build = Box<dyn Fn(SessionsBuilder) -> Result<Sessions, ConfigurationError> + Send + Sync>;

/// Where records are kept.
pub enum Place {
    /// A store of this library.
    Url(StoreUrl),
    /// A store that is written in the other language.
    Own(Build),
}

impl Place {
    /// The store of a URL. The path of a SQLite file becomes absolute, because the file may be opened after the process has changed
    /// its directory.
    ///
    /// # Errors
    /// If the URL is invalid.
    pub fn url(url: &str) -> Result<Self, EngineError> {
        // For its error, which names what was given.
        let _: StoreUrl = url.parse()?;
        Ok(Self::Url(absolute(url).parse()?))
    }
}

fn absolute(url: &str) -> String {
    let (cached, plain) = match url.strip_prefix("cached+") {
        Some(plain) => ("cached+", plain),
        None => ("", url),
    };
    let relative = plain
        .strip_prefix("sqlite:")
        .filter(|path| !path.starts_with('/'));
    match (relative, std::env::current_dir()) {
        (Some(path), Ok(directory)) => format!("{cached}sqlite:{}", directory.join(path).display()),
        _ => url.to_owned(),
    }
}

/// How an engine is made: once, and again in a process that was forked.
pub struct Recipe {
    /// Where records are kept.
    pub place: Place,
    /// The policy's starting point; the default one if absent.
    pub preset: Option<Preset>,
    /// Changes to the policy, with WIT's names.
    pub policy: Map<String, Value>,
    /// The key ring, whose first key signs.
    pub keys: Vec<SigningKey>,
    /// A clock that tests set.
    pub clock: Option<SetClock>,
    /// [`SessionsBuilder::remembered_sessions`].
    pub remembered_sessions: Option<usize>,
    /// [`SessionsBuilder::queue_places`].
    pub queue_places: Option<usize>,
    /// [`SessionsBuilder::instances`].
    pub instances: Option<usize>,
    /// Whether the end of the process waits for begun writes, as it must not if they need a thread that waits for the end.
    pub waits_for_writes: bool,
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe").finish_non_exhaustive()
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The policy, the keys or the store do not suit.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreUrlError),
    /// The store was opened before, and cannot be opened again.
    #[error("the store cannot be reached")]
    Unavailable(#[source] StoreUrlError),
    /// The store cannot be closed.
    #[error(transparent)]
    Close(#[from] StoreError),
    /// The thread of the runtime cannot be started.
    #[error("cannot start threads")]
    Runtime(#[from] io::Error),
    /// The sessions were closed.
    #[error("the sessions were closed")]
    Closed,
    /// The SQLite file was open when the process was forked.
    #[error(
        "the SQLite file was in use when the process was forked, and SQLite does not allow that: \
         use it first after the fork, or close the sessions before"
    )]
    SqliteForked(#[source] Forked),
}

impl From<&EngineError> for Report {
    fn from(error: &EngineError) -> Self {
        match error {
            EngineError::Configuration(error) => Self::from(error),
            EngineError::Store(error) => Self::because("configuration", "store", error.to_string()),
            EngineError::Unavailable(error) => Self::because("unavailable", "", chain(error)),
            EngineError::Close(error) => Self::from(error),
            EngineError::Runtime(error) => Self::because("unavailable", "", chain(error)),
            EngineError::Closed => Self::because("unavailable", "", error.to_string()),
            EngineError::SqliteForked(_) => Self::of("forked"),
        }
    }
}

/// The engine of one process.
#[derive(Debug)]
pub struct Made {
    /// The engine.
    pub sessions: Sessions,
    /// The store, if it was opened by a URL.
    pub store: Option<AnyStore>,
    /// After the store, so that it is noted as closed last.
    file: Option<OpenFile>,
}

/// The engine, as its sessions and calls share it.
pub struct Engine {
    recipe: Recipe,
    keys: Mutex<Vec<SigningKey>>,
    made: RwLock<Option<Owned<Arc<Made>>>>,
    is_closed: AtomicBool,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Recipe {
    async fn make(&self, keys: Vec<SigningKey>) -> Result<Made, EngineError> {
        let mut builder = Sessions::builder();
        if let Some(preset) = self.preset {
            builder = builder.preset(preset);
        }
        let mut set = Ok(());
        builder = builder.policy(|policy| set = policy.set_json(&self.policy));
        set?;
        builder = keys.into_iter().fold(builder, SessionsBuilder::key);
        if let Some(clock) = &self.clock {
            builder = builder.clock(clock.clone());
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
                    PlainUrl::Sqlite(path) => Some(OpenFile::note(path).map_err(EngineError::SqliteForked)?),
                    _ => None,
                };
                let store = url.open().await?;
                Made {
                    sessions: builder.build(store.clone())?,
                    store: Some(store),
                    file,
                }
            }
            Place::Own(build) => Made {
                sessions: build(builder)?,
                store: None,
                file: None,
            },
        };
        if self.waits_for_writes {
            begun::note(made.sessions.begun_writes());
        }
        Ok(made)
    }
}

impl Engine {
    /// Makes the engine. The store of a SQLite file is closed again until it is used, so that the process can be forked.
    ///
    /// The calling thread is inside.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn new(mut recipe: Recipe) -> Result<Self, EngineError> {
        let keys = std::mem::take(&mut recipe.keys);
        let made = recipe.make(keys.clone()).await?;
        let made = match &made.store {
            Some(store) if made.file.is_some() => {
                store.close()?;
                None
            }
            _ => Some(Owned::new(Arc::new(made))),
        };
        Ok(Self {
            recipe,
            keys: Mutex::new(keys),
            made: RwLock::new(made),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Whether all calls return within microseconds.
    pub fn is_quick(&self) -> bool {
        matches!(self.recipe.place, Place::Url(StoreUrl::Plain(PlainUrl::Memory)))
    }

    /// The engine of this process, if it was made since a fork. The calling thread is inside.
    pub fn current(&self) -> Option<Arc<Made>> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.as_ref()?.get().ok().map(Arc::clone)
    }

    /// The engine of this process. After a fork, or over a file that was closed, it is made again: what was right the first time
    /// is an outage now. The calling thread is inside.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn made(&self) -> Result<Arc<Made>, EngineError> {
        if let Some(made) = self.current() {
            return Ok(made);
        }
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(EngineError::Closed);
        }
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let made = self.recipe.make(keys).await.map_err(|error| match error {
            EngineError::Store(error) => EngineError::Unavailable(error),
            other => other,
        })?;
        let made = Arc::new(made);
        let mut current = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(first)) = current.as_ref().map(Owned::get) {
            // Another thread was faster.
            return Ok(Arc::clone(first));
        }
        *current = Some(Owned::new(Arc::clone(&made)));
        Ok(made)
    }

    /// As [`made`](Self::made).
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn sessions(&self) -> Result<Sessions, EngineError> {
        Ok(self.made().await?.sessions.clone())
    }

    /// Changes the key ring, also for the engine after a fork.
    ///
    /// # Errors
    /// [`ConfigurationError`]; then the ring is as before.
    pub fn replace_keys(&self, sessions: &Sessions, keys: Vec<SigningKey>) -> Result<(), ConfigurationError> {
        let mut current = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.replace_keys(keys.clone())?;
        *current = keys;
        Ok(())
    }

    /// Refuses new calls. Returns what is to be [closed](close()) once the begun writes are done.
    pub fn begin_close(&self) -> Option<Arc<Made>> {
        let _inside = Inside::enter();
        self.is_closed.store(true, Ordering::SeqCst);
        let before = self.made.write().unwrap_or_else(PoisonError::into_inner).take();
        before?.into_inner().ok()
    }

    /// The writes that a close waits for; `None` if it must not.
    pub fn writes_to_wait_for(&self, made: &Made) -> Option<BegunWrites> {
        self.recipe.waits_for_writes.then(|| made.sessions.begun_writes())
    }
}

/// Completes the queued writes of a store and closes it.
///
/// # Errors
/// If that fails.
pub fn close(store: &AnyStore) -> Result<(), EngineError> {
    let _inside = Inside::enter();
    let _runtime = runtime::enter()?;
    Ok(store.close()?)
}
