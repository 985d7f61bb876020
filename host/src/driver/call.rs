//! Logical calls: passes through the component until one ends, with the store awaited in between.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::SegQueue;
use wasmtime::component::ResourceAny;

use super::admission::{Holding, Reservation};
use super::bindings::wit;
use super::instance::{Epoch, Instance, Lost, Setup, SetupError, Slot};
use super::newest::{Newest, Seen};
use super::queue::{Crowded, Rank};
use super::record::Record;
use crate::SigningKey;
use crate::error::{ConfigurationError, SessionError};

/// How much more than a record's text its index and bookkeeping take, at most.
const OVERHEAD_BYTES: usize = 1024;

/// All instances of one `Sessions`.
pub(crate) struct Calls {
    setup: Arc<Setup>,
    slots: Box<[Arc<Slot>]>,
    /// Held while the key ring changes, so that two changes do not leave instances with different rings.
    changing_keys: Mutex<()>,
}

/// What an export answers, within wasmtime's own result.
type Passed<T> = wasmtime::Result<Result<T, wit::Error>>;

/// How many bytes a record of this length takes in the component.
fn footprint(record_bytes: usize) -> usize {
    record_bytes + record_bytes / 2 + OVERHEAD_BYTES
}

fn configuration_error(error: SetupError) -> ConfigurationError {
    match error {
        SetupError::Instantiate(error) => ConfigurationError::Instantiate(error),
        SetupError::Refused(error) => ConfigurationError::refused(error),
    }
}

impl Calls {
    /// Makes the first instance, so that a policy or key that is refused is refused now.
    pub(crate) fn new(setup: Setup, instances: usize) -> Result<Self, ConfigurationError> {
        let setup = Arc::new(setup);
        let first = Instance::new(&setup, &setup.keys()).map_err(configuration_error)?;
        let mut first = Some(first);
        let slots = (0..instances.max(1))
            .map(|_| Arc::new(Slot::new(Arc::clone(&setup), first.take())))
            .collect();
        Ok(Self {
            setup,
            slots,
            changing_keys: Mutex::default(),
        })
    }

    /// The key ring in force.
    pub(crate) fn keys(&self) -> Arc<[SigningKey]> {
        self.setup.keys()
    }

    /// Changes the key ring of every instance, or of none if the engine refuses it.
    pub(crate) fn replace_keys(&self, keys: Arc<[SigningKey]>) -> Result<(), ConfigurationError> {
        let _changing = self.changing_keys.lock().unwrap_or_else(PoisonError::into_inner);
        // An instance of its own tries the ring, because a slot may hold none.
        Instance::new(&self.setup, &keys).map_err(configuration_error)?;
        self.setup.set_keys(Arc::clone(&keys));
        for slot in &self.slots {
            match slot.replace_keys(&keys) {
                // A lost instance is made anew with the new ring.
                Ok(()) | Err(SetupError::Instantiate(_)) => {}
                Err(error @ SetupError::Refused(_)) => return Err(configuration_error(error)),
            }
        }
        Ok(())
    }

    /// Each thread keeps to one instance, so that threads do not wait for each other.
    fn slot(&self) -> &Arc<Slot> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        &self.slots[THREAD.with(|thread| *thread) % self.slots.len()]
    }

    /// A call on the engine that asks no store.
    pub(crate) fn at_once<T>(
        &self,
        call: impl FnOnce(&mut Instance) -> Passed<T>,
    ) -> Result<T, SessionError> {
        let slot = self.slot();
        match slot.pass(slot.epoch(), None, call) {
            Ok(result) => result.map_err(|error| SessionError::from_engine(error, None)),
            Err(lost) => Err(lost_error(lost, None)),
        }
    }

    /// A call on the engine that asks no store and answers a handle.
    pub(crate) fn open_at_once(
        &self,
        call: impl FnOnce(&mut Instance) -> Passed<ResourceAny>,
    ) -> Result<Arc<Handle>, SessionError> {
        let slot = self.slot();
        let (room, epoch) = slot.room().map_err(|lost| lost_error(lost, None))?;
        let reservation = Reservation::new(&room, 1, footprint(0)).ok_or(SessionError::Overloaded)?;
        let passed = slot.pass(epoch, None, |instance| {
            let dropped = instance.dropped();
            Ok(call(instance)?.map(|resource| Owned { resource, dropped }))
        });
        match passed {
            Ok(Ok(owned)) => {
                let (slot, holding) = (Arc::clone(slot), reservation.hold(footprint(0)));
                Ok(Arc::new(Handle {
                    slot,
                    epoch,
                    owned,
                    holding,
                    seen: Mutex::default(),
                    busy: AtomicBool::new(false),
                }))
            }
            Ok(Err(error)) => Err(SessionError::from_engine(error, None)),
            Err(lost) => Err(lost_error(lost, None)),
        }
    }

    /// How many sessions are open in all instances.
    pub(crate) fn open_sessions(&self) -> usize {
        self.slots.iter().map(|slot| slot.open_sessions()).sum()
    }

    /// A logical call on the engine.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl Fn(&mut Instance) -> Passed<T> + Send + 'static,
    ) -> Result<T, SessionError> {
        let ended = self.bound(0, call)?.run().await?;
        Ok(ended.value)
    }

    /// A logical call on the engine that answers a handle.
    pub(crate) async fn open(
        &self,
        call: impl Fn(&mut Instance) -> Passed<ResourceAny> + Send + 'static,
    ) -> Result<Arc<Handle>, SessionError> {
        let call = self.bound(1, move |instance| {
            let dropped = instance.dropped();
            Ok(call(instance)?.map(|resource| Owned { resource, dropped }))
        })?;
        let slot = Arc::clone(&call.slot);
        let ended = call.run().await?;
        let holding = ended
            .reservation
            .map(|room| room.hold(footprint(ended.record_bytes)));
        // A call for a handle always reserves room for one.
        let holding = holding.ok_or(SessionError::Overloaded)?;
        Ok(Arc::new(Handle {
            slot,
            epoch: ended.epoch,
            owned: ended.value,
            holding,
            seen: Mutex::new(ended.seen),
            busy: AtomicBool::new(false),
        }))
    }

    fn bound<T, F>(&self, sessions: usize, call: F) -> Result<LogicalCall<T, F>, SessionError>
    where
        F: Fn(&mut Instance) -> Passed<T> + Send + 'static,
    {
        let slot = Arc::clone(self.slot());
        let (room, epoch) = slot.room().map_err(|lost| lost_error(lost, None))?;
        let bytes = sessions * footprint(slot.maximum_record_bytes());
        let reservation = Reservation::new(&room, sessions, bytes).ok_or(SessionError::Overloaded)?;
        let (record, reservation) = (Record::default(), Some(reservation));
        Ok(LogicalCall {
            slot,
            epoch,
            record,
            reservation,
            handle: None,
            call,
            starts_over: true,
        })
    }
}

/// A resource in the component, freed there by the first call after this is dropped.
struct Owned {
    resource: ResourceAny,
    dropped: Arc<SegQueue<ResourceAny>>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.dropped.push(self.resource);
    }
}

/// A session in the component.
pub(crate) struct Handle {
    slot: Arc<Slot>,
    epoch: Epoch,
    owned: Owned,
    holding: Holding,
    /// The record that its calls read or wrote last.
    seen: Mutex<Option<Seen>>,
    /// A logical call on it has not ended.
    busy: AtomicBool,
}

impl Handle {
    /// A call that asks no store. `Busy` while a logical call on this handle has not ended.
    pub(crate) fn at_once<T>(
        &self,
        call: impl FnOnce(&mut Instance, ResourceAny) -> Passed<T>,
    ) -> Result<T, SessionError> {
        let passed = self.slot.pass(self.epoch, None, |instance| {
            // Looked at under the lock: a logical call that begins now makes its first pass after this one.
            if self.busy.load(Ordering::Acquire) {
                return Ok(Err(None));
            }
            Ok(call(instance, self.owned.resource)?.map_err(Some))
        });
        match passed {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(None)) => Err(SessionError::Busy),
            Ok(Err(Some(error))) => Err(SessionError::from_engine(error, None)),
            Err(lost) => Err(lost_error(lost, None)),
        }
    }

    /// Takes room for a change that waits to be saved.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), SessionError> {
        if self.holding.grow(bytes) {
            Ok(())
        } else {
            Err(SessionError::Overloaded)
        }
    }

    fn seen(&self) -> Option<Seen> {
        // A panic under the lock leaves a whole value.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A logical call; with a rank it waits for other writers of the record. `Busy` while another on this handle has not ended.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        rank: Option<Rank>,
        call: impl Fn(&mut Instance, ResourceAny) -> Passed<T> + Send + 'static,
    ) -> Result<T, SessionError> {
        let busy = Busy::begin(self)?;
        let resource = self.owned.resource;
        let seen = self.seen();
        let turn = match (rank, &seen) {
            (Some(rank), Some(seen)) => self.slot.queues().enter(&seen.key, rank).await,
            _ => Ok(None),
        };
        let turn = turn.map_err(|Crowded| SessionError::Contended)?;
        // Who waits for a turn takes no room from others. A save may bring in whatever others have added.
        let bytes = footprint(self.slot.maximum_record_bytes());
        let reservation = Reservation::new(self.holding.room(), 0, bytes).ok_or(SessionError::Overloaded)?;
        let call = LogicalCall {
            slot: Arc::clone(&self.slot),
            epoch: self.epoch,
            record: Record::of(Newest::new(seen, turn)),
            reservation: Some(reservation),
            handle: Some(busy),
            call: move |instance: &mut Instance| call(instance, resource),
            starts_over: false,
        };
        Ok(call.run().await?.value)
    }

    /// Makes a second handle on the same session.
    pub(crate) fn fork(
        &self,
        call: impl FnOnce(&mut Instance, ResourceAny) -> Passed<ResourceAny>,
    ) -> Result<Arc<Self>, SessionError> {
        let bytes = self.holding.bytes();
        let room = Reservation::new(self.holding.room(), 1, bytes).ok_or(SessionError::Overloaded)?;
        let resource = self.at_once(call)?;
        let owned = Owned {
            resource,
            dropped: Arc::clone(&self.owned.dropped),
        };
        let (slot, holding) = (Arc::clone(&self.slot), room.hold(bytes));
        Ok(Arc::new(Self {
            slot,
            epoch: self.epoch,
            owned,
            holding,
            seen: Mutex::new(self.seen()),
            busy: AtomicBool::new(false),
        }))
    }
}

/// Marks a handle as busy, and keeps it alive, until the logical call has ended.
struct Busy(Arc<Handle>);

impl Busy {
    fn begin(handle: &Arc<Handle>) -> Result<Self, SessionError> {
        if handle.busy.swap(true, Ordering::AcqRel) {
            return Err(SessionError::Busy);
        }
        Ok(Self(Arc::clone(handle)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// One export call with all its repeats.
struct LogicalCall<T, F>
where
    F: Fn(&mut Instance) -> Passed<T> + Send + 'static,
{
    slot: Arc<Slot>,
    epoch: Epoch,
    record: Record,
    reservation: Option<Reservation>,
    handle: Option<Busy>,
    call: F,
    /// Whether it may begin again on a new instance: once, if it is bound to no handle and nothing was written.
    starts_over: bool,
}

/// How a logical call ended.
struct Ended<T> {
    value: T,
    epoch: Epoch,
    record_bytes: usize,
    reservation: Option<Reservation>,
    seen: Option<Seen>,
}

impl<T, F> LogicalCall<T, F>
where
    T: Send + 'static,
    F: Fn(&mut Instance) -> Passed<T> + Send + 'static,
{
    /// Runs it. Once a write was asked it goes on in a task of its own, so that it ends also if the caller goes away.
    async fn run(mut self) -> Result<Ended<T>, SessionError> {
        loop {
            if let Some(ended) = self.pass() {
                return ended;
            }
            if self.record.wrote()
                && let Ok(runtime) = tokio::runtime::Handle::try_current()
            {
                let task = runtime.spawn(self.finish());
                // The task can only be gone if it panicked or the runtime was shut down.
                return task
                    .await
                    .unwrap_or(Err(SessionError::OutcomeUnknown { source: None }));
            }
            self.wait().await;
        }
    }

    async fn finish(mut self) -> Result<Ended<T>, SessionError> {
        loop {
            self.wait().await;
            if let Some(ended) = self.pass() {
                return ended;
            }
        }
    }

    async fn wait(&mut self) {
        if let Some((fingerprint, answer)) = self.record.take_pending() {
            let answer = answer.await;
            self.record.resolve(fingerprint, answer);
        }
    }

    /// One pass; `None` if it ended as pending.
    fn pass(&mut self) -> Option<Result<Ended<T>, SessionError>> {
        match self.slot.pass(self.epoch, Some(&mut self.record), &self.call) {
            Ok(Err(error)) if error.kind == wit::ErrorKind::Pending => None,
            Ok(result) => Some(self.end(result)),
            Err(Lost::Trapped(error)) if self.record.failure().is_some() => {
                tracing::error!(%error, "the component broke the protocol; its instance is discarded");
                Some(Err(lost_error(Lost::Trapped(error), Some(&self.record))))
            }
            Err(lost) => {
                if let Lost::Trapped(error) = &lost {
                    tracing::error!(?error, "the component trapped; its instance is discarded");
                }
                if self.starts_over && !self.record.wrote() && self.start_over().is_ok() {
                    return self.pass();
                }
                Some(Err(lost_error(lost, Some(&self.record))))
            }
        }
    }

    fn start_over(&mut self) -> Result<(), Lost> {
        let (room, epoch) = self.slot.room()?;
        if let Some(old) = &self.reservation {
            self.reservation = Some(old.moved_to(&room).ok_or(Lost::Gone)?);
        }
        (self.epoch, self.record, self.starts_over) = (epoch, Record::default(), false);
        Ok(())
    }

    fn end(&mut self, result: Result<T, wit::Error>) -> Result<Ended<T>, SessionError> {
        let record_bytes = self.record.record_bytes();
        let reservation = match (&self.handle, self.reservation.take()) {
            (Some(busy), Some(reservation)) => {
                let handle = &busy.0;
                // What an unsaved change took is given back once the change is in the record.
                let holds = if result.is_ok() && record_bytes > 0 {
                    footprint(record_bytes)
                } else {
                    handle.holding.bytes()
                };
                handle.holding.settle(reservation, holds);
                let mut seen = handle.seen.lock().unwrap_or_else(PoisonError::into_inner);
                *seen = self.record.seen().cloned();
                None
            }
            (_, reservation) => reservation,
        };
        match result {
            Ok(value) => Ok(Ended {
                value,
                epoch: self.epoch,
                record_bytes,
                reservation,
                seen: self.record.seen().cloned(),
            }),
            Err(error) => Err(SessionError::from_engine(error, self.record.store_error())),
        }
    }
}

fn lost_error(lost: Lost, record: Option<&Record>) -> SessionError {
    if record.is_some_and(Record::wrote) {
        return SessionError::OutcomeUnknown { source: None };
    }
    match lost {
        Lost::Gone => SessionError::InstanceLost { source: None },
        Lost::Trapped(error) => SessionError::InstanceLost { source: Some(error) },
        Lost::Setup(SetupError::Instantiate(error)) => SessionError::InstanceLost { source: Some(error) },
        Lost::Setup(SetupError::Refused(error)) => SessionError::from_engine(error, None),
    }
}
