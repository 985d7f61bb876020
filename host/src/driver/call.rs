//! Logical calls: passes through the component until one completes, with the store awaited in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tessera_contract::form::FieldLimits;
use tessera_contract::opens::Opens;

use super::begun::Begun;
use super::detach::detached;
use super::instance::{Instance, Lost, Setup, SetupError, Slot};
use super::queue::Queues;
use super::replay_log::ReplayLog;
use crate::SigningKey;
use crate::bindings::wit;
use crate::clock::Random;
use crate::error::{ConfigurationError, SessionError};

/// All instances of one `Sessions`. Each of them can make any call, and can continue a call that another one began.
pub(crate) struct Calls {
    pub(super) setup: Setup,
    slots: Box<[Slot]>,
    /// Locked while the key ring changes, so that two changes cannot leave instances with different rings.
    changing_keys: Mutex<()>,
    pub(super) opens: Opens,
    /// The handle of every draft.
    draft: Arc<str>,
    begun: Arc<Begun>,
}

/// The result of an export, within wasmtime's own result.
pub(crate) type Passed<T> = wasmtime::Result<Result<T, wit::Error>>;

fn configuration_error(error: SetupError) -> ConfigurationError {
    match error {
        SetupError::Instantiate(error) => ConfigurationError::Instantiate(error.into()),
        SetupError::Refused(error) => ConfigurationError::refused(error),
    }
}

impl Calls {
    /// Creates the first instance at once, so that an invalid policy or key is refused here.
    pub(crate) fn new(setup: Setup, instances: usize, opens: Opens) -> Result<Self, ConfigurationError> {
        let mut first = Instance::new(&setup, &setup.keys()).map_err(configuration_error)?;
        let draft = {
            let (sessions, store, engine) = first.parts();
            let draft = sessions
                .call_draft(store, engine)
                .map_err(|error| ConfigurationError::Instantiate(error.into()))?;
            draft.map_err(ConfigurationError::refused)?
        };
        let mut first = Some(first);
        let slots = (0..instances.max(1)).map(|_| Slot::new(first.take())).collect();
        Ok(Self {
            setup,
            slots,
            changing_keys: Mutex::default(),
            opens,
            draft: draft.into(),
            begun: Arc::default(),
        })
    }

    /// Creates the calls of another policy, over the same component, sources and keys.
    #[cfg(feature = "connections")]
    pub(crate) fn beside(&self, policy: wit::Policy) -> Result<Self, ConfigurationError> {
        let setup = Setup {
            component: self.setup.component.clone(),
            sources: self.setup.sources.clone(),
            policy,
            keys: Mutex::new(self.setup.keys()),
            queues: Queues::new(0),
        };
        Self::new(setup, 1, Opens::new(0, 0))
    }

    /// The key ring in force.
    pub(crate) fn keys(&self) -> Arc<[SigningKey]> {
        self.setup.keys()
    }

    /// The handle of a session that was never saved.
    pub(crate) fn draft(&self) -> Arc<str> {
        Arc::clone(&self.draft)
    }

    /// The policy's limits on fields.
    pub(crate) fn field_limits(&self) -> FieldLimits {
        self.setup.field_limits()
    }

    /// Whether two saves that change the same field differently conflict.
    pub(crate) fn compares_fields(&self) -> bool {
        self.setup.policy.field_rule == wit::FieldRule::Conflict
    }

    /// The queues of writers.
    pub(crate) fn queues(&self) -> &Arc<Queues> {
        &self.setup.queues
    }

    /// The writes that are under way.
    pub(crate) fn begun(&self) -> &Arc<Begun> {
        &self.begun
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.setup.sources.random
    }

    /// The remembered opens.
    pub(crate) fn opens(&self) -> &Opens {
        &self.opens
    }

    /// The time of the clock that determines expiry.
    pub(crate) fn now(&self) -> crate::Timestamp {
        self.setup.sources.clock.now()
    }

    /// Changes the key ring of every instance, or of none if the engine refuses it.
    pub(crate) fn replace_keys(&self, keys: Arc<[SigningKey]>) -> Result<(), ConfigurationError> {
        let _changing = self.changing_keys.lock().unwrap_or_else(PoisonError::into_inner);
        // A separate instance checks the ring, because all slots may be empty.
        Instance::new(&self.setup, &keys).map_err(configuration_error)?;
        self.setup.set_keys(Arc::clone(&keys));
        for slot in &self.slots {
            match slot.replace_keys(&self.setup, &keys) {
                // A lost instance is recreated with the new ring.
                Ok(()) | Err(SetupError::Instantiate(_)) => {}
                Err(error @ SetupError::Refused(_)) => return Err(configuration_error(error)),
            }
        }
        // Opens by a removed key must not be remembered, even if their call is still in progress.
        self.opens.forget_all();
        Ok(())
    }

    /// The slot of this thread. Threads use different instances as far as possible, so that they do not wait for each other.
    fn slot(&self) -> &Slot {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        &self.slots[THREAD.with(|thread| *thread) % self.slots.len()]
    }

    /// Runs a call that needs no store.
    pub(crate) fn at_once<T>(&self, call: impl Fn(&mut Instance) -> Passed<T>) -> Result<T, SessionError> {
        self.ended(&mut ReplayLog::at_once(None), call)
    }

    /// Runs a call that needs no store beyond the log's seed.
    pub(crate) fn ended<T>(
        &self,
        log: &mut ReplayLog,
        call: impl Fn(&mut Instance) -> Passed<T>,
    ) -> Result<T, SessionError> {
        let mut retries = true;
        loop {
            if let Some(ended) = self.pass(log, &mut retries, &call) {
                return ended;
            }
        }
    }

    /// Runs a logical call that belongs to no session. Once a write was requested, it completes even if the caller drops it.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        mut log: ReplayLog,
        call: impl Fn(&mut Instance) -> Passed<T> + Send + 'static,
    ) -> Result<T, SessionError> {
        let calls = Arc::clone(self);
        detached(log.wrote_flag(), Arc::clone(self.begun()), async move {
            calls.finish(&mut log, call).await
        })
        .await
    }

    /// Makes passes until one completes.
    pub(crate) async fn finish<T>(
        &self,
        log: &mut ReplayLog,
        call: impl Fn(&mut Instance) -> Passed<T>,
    ) -> Result<T, SessionError> {
        let mut retries = true;
        loop {
            if let Some(ended) = self.pass(log, &mut retries, &call) {
                return ended;
            }
            log.wait().await;
        }
    }

    /// Makes one pass; `None`: the call must be repeated.
    /// A trap loses only the pass: the call continues, once, on another instance with the same log.
    fn pass<T>(
        &self,
        log: &mut ReplayLog,
        retries: &mut bool,
        call: impl Fn(&mut Instance) -> Passed<T>,
    ) -> Option<Result<T, SessionError>> {
        match self.slot().pass(&self.setup, Some(log), call) {
            Ok(Err(error)) if error.kind == wit::ErrorKind::Pending => None,
            Ok(Ok(value)) => Some(Ok(value)),
            Ok(Err(error)) => Some(Err(SessionError::from_engine(error, log.store_error()))),
            Err(Lost::Trapped(error)) => {
                if let Some(failure) = log.failure() {
                    tracing::error!(%failure, "the component broke the protocol; its instance is discarded");
                } else {
                    tracing::error!(?error, "the component trapped; its instance is discarded");
                    if std::mem::replace(retries, false) {
                        return None;
                    }
                }
                Some(Err(lost_error(log, Some(error))))
            }
            Err(Lost::Setup(SetupError::Instantiate(error))) => Some(Err(lost_error(log, Some(error)))),
            Err(Lost::Setup(SetupError::Refused(error))) => Some(Err(SessionError::from_engine(error, None))),
        }
    }
}

fn lost_error(log: &ReplayLog, source: Option<wasmtime::Error>) -> SessionError {
    if log.wrote() {
        SessionError::OutcomeUnknown { source: None }
    } else {
        SessionError::InstanceLost {
            source: source.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tessera_contract::store::{StoreOp, StoreReply, StoreService};

    use super::super::component::Component;
    use super::super::instance::starting_policy;
    use super::super::replay_log::Sources;
    use super::*;
    use crate::store::{Capabilities, MemoryStore, Store};
    use crate::{SystemClock, SystemRandom, Timestamp};

    /// Counts its calls.
    struct Counting(Arc<MemoryStore>, Arc<AtomicUsize>);

    impl StoreService for Counting {
        fn describe(&self) -> Capabilities {
            Store::describe(&*self.0)
        }

        async fn call(&self, now: Timestamp, op: &StoreOp) -> StoreReply {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.call(now, op).await
        }
    }

    fn calls() -> (Arc<Calls>, Arc<AtomicUsize>) {
        let (component, asked) = (Component::embedded().unwrap(), Arc::<AtomicUsize>::default());
        let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
        let setup = Setup {
            policy: starting_policy(&component, wit::Preset::Standard).unwrap(),
            component,
            sources: Sources {
                store: Arc::new(Counting(Arc::new(store), Arc::clone(&asked))),
                clock: Arc::new(SystemClock),
                random: Arc::new(SystemRandom),
            },
            keys: Mutex::new(vec![SigningKey::new("k", [7; 32])].into()),
            queues: Queues::new(0),
        };
        let calls = Calls::new(setup, 1, Opens::new(0, 0)).unwrap();
        (Arc::new(calls), asked)
    }

    fn save(calls: &Calls, traps: &AtomicUsize, log: &mut ReplayLog) -> Result<wit::Written, SessionError> {
        let draft = calls.draft();
        calls.ended(log, |instance| {
            let (sessions, store, engine) = instance.parts();
            let writing = wit::Writing {
                handle: draft.to_string(),
                changes: r#"{"set":{"n":1}}"#.into(),
                writer: vec![7; 22],
                attempt: 0,
                base: None,
            };
            let saved = sessions.call_save(store, engine, &writing)?;
            // Simulates a trap after the reply was received.
            let left = traps.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            match left {
                Ok(_) => Err(wasmtime::Error::msg("a trap")),
                Err(_) => Ok(saved),
            }
        })
    }

    #[tokio::test]
    async fn a_trap_loses_one_pass_and_asks_nothing_twice() {
        let (calls, asked) = calls();
        let (mut log, traps) = (ReplayLog::default(), AtomicUsize::new(1));
        let saved = save(&calls, &traps, &mut log).unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let token = saved.grant.token.unwrap();
        let found = calls.open(&token).await.unwrap();
        assert_eq!(found.opened.fields.text(), r#"{"n":1}"#);
    }

    #[tokio::test]
    async fn a_second_trap_is_reported_and_what_was_written_is_not_denied() {
        let (calls, _) = calls();
        let (mut log, traps) = (ReplayLog::default(), AtomicUsize::new(2));
        assert!(matches!(
            save(&calls, &traps, &mut log),
            Err(SessionError::OutcomeUnknown { .. })
        ));
        let opened: Result<(), _> = calls.at_once(|_| Err(wasmtime::Error::msg("a trap")));
        assert!(matches!(
            opened,
            Err(SessionError::InstanceLost { source: Some(_) })
        ));
        // The next call creates a new instance.
        let verified = calls.at_once(|instance| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_draft(store, engine)
        });
        assert_eq!(*verified.unwrap(), *calls.draft());
    }
}
