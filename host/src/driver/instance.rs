//! One instance of the component behind a short lock, and what happens when it is lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_queue::SegQueue;
use wasmtime::component::ResourceAny;
use wasmtime::{Store, StoreLimitsBuilder};

use super::admission::Room;
use super::bindings::{Engine as Exports, wit};
use super::component::{Component, MAXIMUM_MEMORY_BYTES};
use super::imports::HostState;
use super::queue::Queues;
use super::record::{Record, Sources};
use super::watchdog;
use crate::SigningKey;

/// What the engine and its cache need beside open sessions.
const BASE_MEMORY_BYTES: usize = 64 << 20;

/// How much one instance may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) sessions: usize,
    pub(crate) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 16_384,
            bytes: 256 << 20,
        }
    }
}

/// What every instance of one `Sessions` is configured with.
pub(crate) struct Setup {
    pub(crate) component: Component,
    pub(crate) sources: Sources,
    pub(crate) policy: wit::Policy,
    /// The key ring, which [`Slot::replace_keys`] changes: the first key signs.
    pub(crate) keys: Mutex<Arc<[SigningKey]>>,
    pub(crate) limits: Limits,
    pub(crate) queues: Arc<Queues>,
}

impl Setup {
    /// The key ring in force.
    pub(crate) fn keys(&self) -> Arc<[SigningKey]> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the key ring for instances that are made from now on.
    pub(crate) fn set_keys(&self, keys: Arc<[SigningKey]>) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

/// Why an instance could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("the component cannot be instantiated")]
    Instantiate(#[from] wasmtime::Error),
    #[error("the engine refuses its configuration")]
    Refused(wit::Error),
}

/// An instance, its engine configured.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    pub(crate) exports: Exports,
    pub(crate) engine: ResourceAny,
    /// Handles that were dropped and are still to be freed in the component. Dropping one never waits for the lock.
    dropped: Arc<SegQueue<ResourceAny>>,
    room: Arc<Room>,
}

impl Instance {
    pub(crate) fn new(setup: &Setup, keys: &[SigningKey]) -> Result<Self, SetupError> {
        let memory = (setup
            .limits
            .bytes
            .saturating_mul(2)
            .saturating_add(BASE_MEMORY_BYTES))
        .min(MAXIMUM_MEMORY_BYTES);
        let limits = StoreLimitsBuilder::new().memory_size(memory).build();
        let state = HostState {
            sources: setup.sources.clone(),
            limits,
            record: None,
        };
        let pre = setup.component.pre();
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(watchdog::TICKS);
        let exports = pre.instantiate(&mut store)?;
        let engine = configure(&exports, &mut store, setup, keys)?;
        let room = Arc::new(Room::new(setup.limits.sessions, setup.limits.bytes));
        Ok(Self {
            store,
            exports,
            engine,
            dropped: Arc::default(),
            room,
        })
    }

    /// Where a handle of this instance is put when it is dropped.
    pub(crate) fn dropped(&self) -> Arc<SegQueue<ResourceAny>> {
        Arc::clone(&self.dropped)
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Makes an engine with another key ring. Sessions that are open keep the engine that opened them.
    fn replace_keys(&mut self, setup: &Setup, keys: &[SigningKey]) -> Result<(), SetupError> {
        let engine = configure(&self.exports, &mut self.store, setup, keys)?;
        let previous = std::mem::replace(&mut self.engine, engine);
        Ok(previous.resource_drop(&mut self.store)?)
    }

    fn free_dropped(&mut self) -> wasmtime::Result<()> {
        while let Some(handle) = self.dropped.pop() {
            handle.resource_drop(&mut self.store)?;
        }
        Ok(())
    }
}

fn configure(
    exports: &Exports,
    store: &mut Store<HostState>,
    setup: &Setup,
    keys: &[SigningKey],
) -> Result<ResourceAny, SetupError> {
    let keys: Vec<_> = keys.iter().map(SigningKey::to_wit).collect();
    let engines = exports.tessera_session_sessions().engine();
    let configured = engines.call_configure(store, &setup.policy, &keys);
    drop_secrets(keys);
    configured?.map_err(SetupError::Refused)
}

/// The component's policy to start from. No engine is needed for it, so the store has nothing.
pub(crate) fn starting_policy(component: &Component, preset: wit::Preset) -> wasmtime::Result<wit::Policy> {
    let sources = Sources {
        store: Arc::new(
            crate::store::MemoryStore::builder()
                .sweep_interval(Duration::ZERO)
                .build(),
        ),
        clock: Arc::new(crate::SystemClock),
        random: Arc::new(crate::SystemRandom),
    };
    let limits = StoreLimitsBuilder::new().memory_size(BASE_MEMORY_BYTES).build();
    let pre = component.pre();
    let mut store = Store::new(
        pre.engine(),
        HostState {
            sources,
            limits,
            record: None,
        },
    );
    store.set_epoch_deadline(watchdog::TICKS);
    let exports = pre.instantiate(&mut store)?;
    exports
        .tessera_session_sessions()
        .call_starting_policy(&mut store, preset)
}

fn drop_secrets(keys: Vec<wit::SigningKey>) {
    use zeroize::Zeroize as _;
    for mut key in keys {
        key.secret.zeroize();
    }
}

/// Which instance a slot holds: raised when one is lost.
pub(crate) type Epoch = u64;

/// A place for one instance, which is made anew when it is lost.
pub(crate) struct Slot {
    setup: Arc<Setup>,
    instance: Mutex<Option<Instance>>,
    epoch: AtomicU64,
}

/// Why a pass came to no end of its own.
pub(crate) enum Lost {
    /// The instance that the call is bound to is gone.
    Gone,
    /// This pass lost it.
    Trapped(wasmtime::Error),
    /// No new one could be made.
    Setup(SetupError),
}

impl Slot {
    pub(crate) fn new(setup: Arc<Setup>, instance: Option<Instance>) -> Self {
        Self {
            setup,
            instance: Mutex::new(instance),
            epoch: AtomicU64::new(0),
        }
    }

    /// How many sessions are open in the instance that is there now.
    pub(crate) fn open_sessions(&self) -> usize {
        self.lock()
            .as_ref()
            .map_or(0, |instance| instance.room().sessions())
    }

    /// Where writers of one record wait for each other.
    pub(crate) fn queues(&self) -> &Arc<Queues> {
        &self.setup.queues
    }

    /// The longest record that the policy allows.
    pub(crate) fn maximum_record_bytes(&self) -> usize {
        self.setup.policy.maximum_record_bytes as usize
    }

    /// Which instance is there now.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.load(Ordering::Acquire)
    }

    /// A poisoned lock counts as a trap: what was under way is not known.
    fn lock(&self) -> MutexGuard<'_, Option<Instance>> {
        self.instance.lock().unwrap_or_else(|poisoned| {
            let mut guard = poisoned.into_inner();
            if guard.take().is_some() {
                self.epoch.fetch_add(1, Ordering::AcqRel);
            }
            self.instance.clear_poison();
            guard
        })
    }

    /// The room of the instance that is there now, made if it has to be; and which it is.
    pub(crate) fn room(&self) -> Result<(Arc<Room>, Epoch), Lost> {
        let mut guard = self.lock();
        let instance = self.ensure(&mut guard)?;
        Ok((Arc::clone(instance.room()), self.epoch()))
    }

    fn ensure<'a>(&self, guard: &'a mut MutexGuard<'_, Option<Instance>>) -> Result<&'a mut Instance, Lost> {
        if guard.is_none() {
            **guard = Some(Instance::new(&self.setup, &self.setup.keys()).map_err(Lost::Setup)?);
        }
        // It was made just now if it was missing.
        guard.as_mut().ok_or(Lost::Gone)
    }

    /// Gives the instance that is there now another key ring; one that is made later takes its ring from the set-up.
    ///
    /// # Errors
    ///
    /// [`SetupError::Refused`] changes nothing. [`SetupError::Instantiate`] loses the instance.
    pub(crate) fn replace_keys(&self, keys: &[SigningKey]) -> Result<(), SetupError> {
        let mut guard = self.lock();
        let Some(instance) = guard.as_mut() else {
            return Ok(());
        };
        instance.store.set_epoch_deadline(watchdog::TICKS);
        let replaced = instance.replace_keys(&self.setup, keys);
        if let Err(SetupError::Instantiate(_)) = replaced {
            *guard = None;
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        replaced
    }

    /// Makes one call into the component. With a record, the store may be asked.
    pub(crate) fn pass<T>(
        &self,
        epoch: Epoch,
        record: Option<&mut Record>,
        call: impl FnOnce(&mut Instance) -> wasmtime::Result<T>,
    ) -> Result<T, Lost> {
        let mut guard = self.lock();
        if self.epoch() != epoch {
            return Err(Lost::Gone);
        }
        let instance = self.ensure(&mut guard)?;
        instance.store.set_epoch_deadline(watchdog::TICKS);
        let result = match record {
            None => instance.free_dropped().and_then(|()| call(instance)),
            Some(record) => {
                record.rewind();
                instance.store.data_mut().record = Some(std::mem::take(record));
                let result = instance.free_dropped().and_then(|()| call(instance));
                *record = instance.store.data_mut().record.take().unwrap_or_default();
                result
            }
        };
        result.map_err(|error| {
            *guard = None;
            self.epoch.fetch_add(1, Ordering::AcqRel);
            Lost::Trapped(error)
        })
    }
}
