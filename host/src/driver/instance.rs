//! One instance of the component behind a short lock, and its replacement after a loss.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tessera_contract::form::FieldLimits;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder};

use super::component::Component;
use super::imports::HostState;
use super::queue::Queues;
use super::replay_log::{ReplayLog, Sources};
use super::watchdog;
use crate::SigningKey;
use crate::bindings::exports::tessera::session::sessions::Guest;
use crate::bindings::{Engine as Exports, wit};

/// The maximum memory of one instance. A call holds at most one reply of the store and some copies of its longest record;
/// an instance holds nothing between calls.
const MAXIMUM_MEMORY_BYTES: usize = 256 << 20;

/// The configuration of every instance of one `Sessions`.
pub(crate) struct Setup {
    pub(crate) component: Component,
    pub(crate) sources: Sources,
    pub(crate) policy: wit::Policy,
    /// The key ring in force: the first key signs. [`Calls::replace_keys`](super::Calls::replace_keys) changes it.
    pub(crate) keys: Mutex<Arc<[SigningKey]>>,
    pub(crate) queues: Arc<Queues>,
}

impl Setup {
    /// The key ring in force.
    pub(crate) fn keys(&self) -> Arc<[SigningKey]> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the key ring of the instances that are created from now on.
    pub(crate) fn set_keys(&self, keys: Arc<[SigningKey]>) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The policy's limits on fields.
    pub(crate) fn field_limits(&self) -> FieldLimits {
        FieldLimits {
            maximum_name_bytes: self.policy.maximum_name_bytes,
            maximum_value_bytes: self.policy.maximum_value_bytes,
            maximum_record_bytes: self.policy.maximum_record_bytes,
            maximum_fields: self.policy.maximum_fields,
        }
    }
}

/// Why an instance could not be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("the component cannot be instantiated")]
    Instantiate(#[from] wasmtime::Error),
    #[error("the engine refuses its configuration")]
    Refused(wit::Error),
}

/// An instance with a configured engine.
pub(crate) struct Instance {
    pub(crate) store: Store<HostState>,
    exports: Exports,
    /// The engine's number in this instance.
    pub(crate) engine: u32,
}

fn limits() -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(MAXIMUM_MEMORY_BYTES)
        .build()
}

impl Instance {
    pub(crate) fn new(setup: &Setup, keys: &[SigningKey]) -> Result<Self, SetupError> {
        let state = HostState {
            sources: setup.sources.clone(),
            limits: limits(),
            log: None,
        };
        let pre = setup.component.pre();
        watchdog::start(pre.engine());
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(watchdog::TICKS);
        let exports = pre.instantiate(&mut store)?;
        let engine = configure(&exports, &mut store, setup, keys)?;
        Ok(Self {
            store,
            exports,
            engine,
        })
    }

    /// The exports, with the store and the engine id that their calls take.
    pub(crate) fn parts(&mut self) -> (&Guest, &mut Store<HostState>, u32) {
        (
            self.exports.tessera_session_sessions(),
            &mut self.store,
            self.engine,
        )
    }

    /// Replaces the engine by one with another key ring.
    fn replace_keys(&mut self, setup: &Setup, keys: &[SigningKey]) -> Result<(), SetupError> {
        let engine = configure(&self.exports, &mut self.store, setup, keys)?;
        let previous = std::mem::replace(&mut self.engine, engine);
        let sessions = self.exports.tessera_session_sessions();
        Ok(sessions.call_release(&mut self.store, previous)?)
    }
}

fn configure(
    exports: &Exports,
    store: &mut Store<HostState>,
    setup: &Setup,
    keys: &[SigningKey],
) -> Result<u32, SetupError> {
    let keys: Vec<_> = keys.iter().map(SigningKey::to_wit).collect();
    let sessions = exports.tessera_session_sessions();
    let configured = sessions.call_configure(store, &setup.policy, &keys);
    drop_secrets(keys);
    configured?.map_err(SetupError::Refused)
}

/// The component's policy for a preset. The call needs no engine, so the store is empty.
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
    let pre = component.pre();
    let mut store = Store::new(
        pre.engine(),
        HostState {
            sources,
            limits: limits(),
            log: None,
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

/// A place for one instance, which is recreated after a loss.
pub(crate) struct Slot {
    instance: Mutex<Option<Instance>>,
}

/// Why a pass did not complete.
pub(crate) enum Lost {
    /// This pass lost the instance.
    Trapped(wasmtime::Error),
    /// No new instance could be created.
    Setup(SetupError),
}

impl Slot {
    pub(crate) fn new(instance: Option<Instance>) -> Self {
        Self {
            instance: Mutex::new(instance),
        }
    }

    /// Locks the slot. A poisoned lock counts as a trap, because the state of the interrupted call is unknown.
    fn lock(&self) -> MutexGuard<'_, Option<Instance>> {
        self.instance.lock().unwrap_or_else(|poisoned| {
            let mut guard = poisoned.into_inner();
            *guard = None;
            self.instance.clear_poison();
            guard
        })
    }

    /// Replaces the key ring of the current instance; one that is created later takes its ring from the set-up.
    ///
    /// # Errors
    /// [`SetupError::Refused`] changes nothing. [`SetupError::Instantiate`] discards the instance.
    pub(crate) fn replace_keys(&self, setup: &Setup, keys: &[SigningKey]) -> Result<(), SetupError> {
        let mut guard = self.lock();
        let Some(instance) = guard.as_mut() else {
            return Ok(());
        };
        instance.store.set_epoch_deadline(watchdog::TICKS);
        let replaced = instance.replace_keys(setup, keys);
        if let Err(SetupError::Instantiate(_)) = replaced {
            *guard = None;
        }
        replaced
    }

    /// Makes one call into the component. The component may call the store only with a log.
    pub(crate) fn pass<T>(
        &self,
        setup: &Setup,
        log: Option<&mut ReplayLog>,
        call: impl FnOnce(&mut Instance) -> wasmtime::Result<T>,
    ) -> Result<T, Lost> {
        let mut guard = self.lock();
        let instance = match &mut *guard {
            Some(instance) => instance,
            none => none.insert(Instance::new(setup, &setup.keys()).map_err(Lost::Setup)?),
        };
        instance.store.set_epoch_deadline(watchdog::TICKS);
        let result = match log {
            None => call(instance),
            Some(log) => {
                log.rewind();
                instance.store.data_mut().log = Some(std::mem::take(log));
                let result = call(instance);
                *log = instance.store.data_mut().log.take().unwrap_or_default();
                result
            }
        };
        result.map_err(|error| {
            *guard = None;
            Lost::Trapped(error)
        })
    }
}
