//! Logical calls: passes through the component until one returns a result, with the store awaited in between.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tessera_contract::Timestamp;
use tessera_contract::opens::Opens;
use tessera_contract::store::Seed;
use worker::Delay;

use super::bindings::{self, Call};
use super::error::{CallError, Trap};
use super::instance::{Instance, Setup, Terms, message};
use super::known::Known;
use super::pass::{Passed, read};
use super::wit;
use crate::store::{AnyStore, Cause, StoreError, StoreOp, StoreReply, StoreService as _};
use crate::{deadline, random};

/// The maximum size of the records in one reply, in bytes: an isolate has 128 MiB in total.
const MAXIMUM_ANSWER_BYTES: usize = 16 << 20;
/// The maximum number of remembered opens.
const REMEMBERED_SESSIONS: usize = 4096;
/// The maximum size of the remembered opens, in bytes.
const REMEMBERED_BYTES: usize = 8 << 20;
/// The first bound of the random pause before a stale record is read again, in milliseconds.
///
/// The bound doubles with each stale write, up to `LONGEST_PAUSE_MS`.
/// Requests share no promise, so no queue can order the writes of one record: only their spread in time lets each succeed.
/// The first bound exceeds the duration of one read and write.
const FIRST_PAUSE_MS: u64 = 100;
/// The longest bound of that pause, in milliseconds. It lets each of fifty writers find a gap.
const LONGEST_PAUSE_MS: u64 = 800;
/// The maximum total of the pauses of one call, in milliseconds.
const MAXIMUM_PAUSES_MS: u64 = 3000;

/// Runs logical calls on the isolate's instance, over one store.
pub(crate) struct Driver {
    setup: Setup,
    store: AnyStore,
    store_timeout_ms: u64,
    terms: Terms,
    /// The handle of a session that was never saved.
    draft: Arc<str>,
    instance: RefCell<Option<Rc<Instance>>>,
    opens: Opens,
}

/// The start of a call's replay log: a time, and a store operation with its reply at that time.
pub(super) type Answered = (Timestamp, Arc<StoreOp>, StoreReply);

impl Driver {
    /// Creates the first instance, so that an invalid policy or key is reported here.
    pub(crate) fn new(
        setup: Setup,
        store: AnyStore,
        store_timeout_ms: u64,
    ) -> Result<Self, super::ConfigureError> {
        let first = Instance::new(&setup)?;
        Ok(Self {
            setup,
            store,
            store_timeout_ms,
            terms: first.terms,
            draft: Arc::clone(&first.draft),
            instance: RefCell::new(Some(first)),
            opens: Opens::keyed(REMEMBERED_SESSIONS, REMEMBERED_BYTES, random::bytes()),
        })
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// The time limit for a reply of the store, in milliseconds.
    pub(crate) fn store_timeout_ms(&self) -> u64 {
        self.store_timeout_ms
    }

    /// The id of the key that signs new tokens. The configuration requires at least one key.
    pub(crate) fn signing_key_id(&self) -> &str {
        self.setup.keys.first().map_or("", |key| &key.id)
    }

    /// The remembered opens.
    pub(crate) fn opens(&self) -> &Opens {
        &self.opens
    }

    /// Performs an operation on the store, within the time limit of the store and the size limit of a reply.
    pub(super) async fn ask(&self, op: &StoreOp, now: Timestamp) -> StoreReply {
        let asked = async {
            #[cfg(feature = "test-routes")]
            crate::faults::before_question(op.writes()).await;
            self.store.call(now, op).await
        };
        let asked = deadline::within(self.store_timeout_ms, asked);
        let reply = asked.await.unwrap_or_else(|| op.failed(too_late(op)));
        reply.bounded(MAXIMUM_ANSWER_BYTES)
    }

    /// The part of the policy that the Worker uses itself.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The handle of a session that was never saved; the same for all such sessions.
    pub(crate) fn draft(&self) -> Arc<str> {
        Arc::clone(&self.draft)
    }

    /// The current instance. Creates one if there is none or it is lost.
    pub(crate) fn instance(&self) -> Result<Rc<Instance>, CallError> {
        let there = self
            .instance
            .borrow()
            .as_ref()
            .filter(|instance| !instance.js.lost())
            .cloned();
        if let Some(instance) = there {
            return Ok(instance);
        }
        let made = Instance::new(&self.setup)?;
        *self.instance.borrow_mut() = Some(Rc::clone(&made));
        Ok(made)
    }

    /// Runs a logical call of a function of `sessions`. `arguments` are those after the engine.
    ///
    /// The seed in `known` replies to the first store operation if that reads the seed's key and need not be fresh.
    /// `known` records the entries that the call reads and writes.
    pub(crate) async fn run<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl Serialize,
        known: &mut Known,
    ) -> Result<T, CallError> {
        self.run_on(function, arguments, None, known).await
    }

    /// The same, with a replay log that starts with `answered`.
    pub(super) async fn run_on<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl Serialize,
        answered: Option<Answered>,
        known: &mut Known,
    ) -> Result<T, CallError> {
        let arguments = serde_json::to_string(arguments).map_err(CallError::Unreadable)?;
        let answer = self.finish(function, arguments, answered, known).await?;
        serde_json::from_str(answer.get()).map_err(|error| known.judge(CallError::Unreadable(error)))
    }

    /// The same for a call that needs no store beyond the seed.
    ///
    /// # Errors
    /// `CannotWait` if the call needs a store operation that the seed cannot reply to.
    pub(crate) fn at_once<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl Serialize,
        known: &mut Known,
    ) -> Result<T, CallError> {
        let arguments = serde_json::to_string(arguments).map_err(CallError::Unreadable)?;
        let answer = self.finish_at_once(function, arguments, known)?;
        serde_json::from_str(answer.get()).map_err(CallError::Unreadable)
    }

    // Boxed, and with text for arguments and result, so that its code is not duplicated for each result type.
    fn finish<'a>(
        &'a self,
        function: &'a str,
        arguments: String,
        answered: Option<Answered>,
        known: &'a mut Known,
    ) -> LocalBoxFuture<'a, Result<Box<RawValue>, CallError>> {
        Box::pin(async move {
            let mut call = LogicalCall::begin(self, function, &arguments, known)?;
            if let Some(answered) = answered {
                call.go_on_from(answered)?;
            }
            let ended = call.run().await;
            ended.map_err(|error| call.known.judge(error))
        })
    }

    fn finish_at_once(
        &self,
        function: &str,
        arguments: String,
        known: &mut Known,
    ) -> Result<Box<RawValue>, CallError> {
        let mut call = LogicalCall::begin(self, function, &arguments, known)?;
        loop {
            if let Some(answer) = call.pass()? {
                return Ok(answer);
            }
            let reply = call.seed(Seed::reply_at_once).ok_or(CallError::CannotWait)?;
            call.note(reply)?;
        }
    }
}

/// The error of an operation that exceeded the store's time limit.
fn too_late(op: &StoreOp) -> StoreError {
    let cause = Cause::new("the store did not answer in time");
    if op.writes() {
        StoreError::OutcomeUnknown(cause)
    } else {
        StoreError::Unavailable(cause)
    }
}

fn lost(trap: String) -> CallError {
    CallError::InstanceLost(Trap(trap))
}

/// One export call with all its passes.
struct LogicalCall<'a> {
    driver: &'a Driver,
    known: &'a mut Known,
    instance: Rc<Instance>,
    call: Call,
    /// The store operation of the last pass, and its time.
    asked: Option<(StoreOp, Timestamp)>,
    /// Whether an operation has its reply already: the seed replies only to the first.
    answered: bool,
    /// The number of stale replies to conditional writes.
    stale: u32,
    /// Whether the last reply was stale.
    was_stale: bool,
    /// The total of the pauses so far, in milliseconds.
    paused_ms: u64,
    /// The last error of the store that reports a failure.
    failure: Option<StoreError>,
    /// Whether this call lost an instance. It continues on another one once.
    trapped: bool,
}

impl<'a> LogicalCall<'a> {
    fn begin(
        driver: &'a Driver,
        function: &str,
        arguments: &str,
        known: &'a mut Known,
    ) -> Result<Self, CallError> {
        let instance = driver.instance()?;
        // The engine comes first; every function has at least one more parameter.
        let all = format!("[{},{}", instance.engine, arguments.get(1..).unwrap_or_default());
        let call = bindings::make_call(&instance.js, &format!("sessions#{function}"), &all)
            .map_err(|error| lost(message(&error)))?;
        Ok(Self {
            driver,
            known,
            instance,
            call,
            asked: None,
            answered: false,
            stale: 0,
            was_stale: false,
            paused_ms: 0,
            failure: None,
            trapped: false,
        })
    }

    /// Runs passes until one returns a result. The seed or the store replies to each operation.
    async fn run(&mut self) -> Result<Box<RawValue>, CallError> {
        loop {
            if let Some(answer) = self.pass()? {
                return Ok(answer);
            }
            self.wait().await?;
        }
    }

    /// Runs one pass and returns its result, or `None` if it ended with a store operation.
    fn pass(&mut self) -> Result<Option<Box<RawValue>>, CallError> {
        if self.instance.js.lost() {
            // Lost by the call of another request.
            self.go_on_elsewhere()?;
        }
        #[cfg(feature = "test-routes")]
        if crate::faults::loses(self.known.wrote) {
            self.instance.js.set_lost(true);
        }
        let text = match self.call.pass() {
            Ok(text) => text,
            Err(error) => self.pass_again(&message(&error))?,
        };
        match read(&text).map_err(CallError::Unreadable)? {
            Passed::Asked(question, now) => {
                self.asked = Some((question, now));
                Ok(None)
            }
            Passed::Done(outcome, told_at) => {
                self.known.told_at = told_at;
                let outcome: wit::Outcome =
                    serde_json::from_str(outcome.get()).map_err(CallError::Unreadable)?;
                let outcome = outcome.read().map_err(CallError::Unreadable)?;
                let store = self.failure.take();
                outcome
                    .map(Some)
                    .map_err(|error| CallError::Engine { error, store })
            }
        }
    }

    /// Repeats the pass that a trap ended, once, on another instance with the same replay log.
    fn pass_again(&mut self, trap: &str) -> Result<String, CallError> {
        tracing::error!("the component failed, and its instance is discarded: {trap}");
        if self.trapped {
            return Err(lost(trap.to_owned()));
        }
        self.trapped = true;
        self.go_on_elsewhere()?;
        self.call.pass().map_err(|error| {
            let again = message(&error);
            tracing::error!("the component failed again, and its instance is discarded: {again}");
            lost(again)
        })
    }

    /// Continues on the current instance. No state of a call is stored in an instance, so the replay log is sufficient.
    fn go_on_elsewhere(&mut self) -> Result<(), CallError> {
        self.instance = self.driver.instance()?;
        self.call.move_to(&self.instance.js, self.instance.engine);
        Ok(())
    }

    /// Starts the replay log with these entries.
    fn go_on_from(&mut self, (now, op, reply): Answered) -> Result<(), CallError> {
        let asked = serde_json::to_string(&*op).map_err(CallError::Unreadable)?;
        let answer = serde_json::to_string(&reply).map_err(CallError::Unreadable)?;
        self.learn(&op, &reply);
        let begun = self.call.go_on_from(now.as_millis() as f64, &asked, &answer);
        begun.map_err(|error| lost(message(&error)))
    }

    /// Awaits the reply to the operation of the last pass, and records it.
    async fn wait(&mut self) -> Result<(), CallError> {
        if let Some(reply) = self.seed(Seed::reply) {
            return self.note(reply);
        }
        self.pause().await;
        let Some((op, now)) = &self.asked else {
            return Ok(());
        };
        self.known.wrote |= op.writes();
        let reply = self.driver.ask(op, *now).await;
        self.note(reply)
    }

    /// The seed's reply, if this is the first operation.
    fn seed(&self, reply: impl Fn(&Seed, &StoreOp, Timestamp) -> Option<StoreReply>) -> Option<StoreReply> {
        let (op, now) = self.asked.as_ref().filter(|_| !self.answered)?;
        reply(self.known.seed.as_ref()?, op, *now)
    }

    /// Waits before the read after a stale write, so that the writers of one record spread in time.
    async fn pause(&mut self) {
        if !self.was_stale || !matches!(self.asked, Some((StoreOp::Get { .. }, _))) {
            return;
        }
        let doubled = FIRST_PAUSE_MS << self.stale.saturating_sub(1).min(16);
        let left = MAXIMUM_PAUSES_MS.saturating_sub(self.paused_ms);
        let pause = random::up_to(doubled.min(LONGEST_PAUSE_MS)).min(left);
        self.paused_ms += pause;
        Delay::from(Duration::from_millis(pause)).await;
    }

    fn note(&mut self, reply: StoreReply) -> Result<(), CallError> {
        let Some((op, _)) = self.asked.take() else {
            return Ok(());
        };
        self.learn(&op, &reply);
        let text = serde_json::to_string(&reply).map_err(CallError::Unreadable)?;
        // Not a case of `result`: lowering it into the component throws, on every instance that receives it.
        #[cfg(feature = "test-routes")]
        let text = if crate::faults::traps(op.writes()) {
            r#"{"tag":"none"}"#.to_owned()
        } else {
            text
        };
        self.call.answer(&text).map_err(|error| lost(message(&error)))
    }

    fn learn(&mut self, op: &StoreOp, reply: &StoreReply) {
        self.answered = true;
        self.was_stale = matches!(reply.error(), Some(StoreError::Stale));
        self.stale += u32::from(self.was_stale);
        if let Some(error) = reply.error().filter(|error| error.is_failure()) {
            self.failure = Some(error.clone());
        }
        self.known.seen.learn(op, reply);
    }
}
