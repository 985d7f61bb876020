//! Logical calls: passes through the component until one ends, with the store awaited in between.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tessera_http::Limits;
use worker::Delay;

use super::bindings::{self, Call};
use super::error::CallError;
use super::instance::{Instance, Setup, message};
use super::known::Known;
use super::question::{Answer, Question, Told};
use super::wit;
use crate::store::{AnyStore, Entry, StoreError};
use crate::{deadline, random};

/// The most bytes of records in one answer: an isolate has 128 MiB for everything.
const MAXIMUM_ANSWER_BYTES: usize = 16 << 20;
/// The pause before a record is read again that another write has changed is random, up to a bound. The bound begins at
/// `FIRST_PAUSE_MS`, doubles with each stale write, and ends at `LONGEST_PAUSE_MS`; all in milliseconds.
///
/// Requests share no promise, so that no queue can order the writes of one record: only their spread in time lets each pass.
/// The first bound is above what one read and write take, and the longest lets fifty writers find a gap each.
const FIRST_PAUSE_MS: u64 = 100;
const LONGEST_PAUSE_MS: u64 = 800;
/// All pauses of one call take no longer than this, in milliseconds.
const MAXIMUM_PAUSES_MS: u64 = 3000;

/// How a pass ended.
pub(super) enum Passed {
    Done(Box<RawValue>),
    Asked(Question, u64),
}

/// Reads what `pass` of `js/call.js` answers.
pub(super) fn read(text: &str) -> Result<Passed, serde_json::Error> {
    #[derive(Deserialize)]
    struct Pass {
        done: Option<Box<RawValue>>,
        asked: Option<Question>,
        #[serde(default)]
        now: u64,
    }
    let Pass { done, asked, now } = serde_json::from_str(text)?;
    Ok(match asked {
        Some(asked) => Passed::Asked(asked, now),
        None => Passed::Done(done.unwrap_or_default()),
    })
}

/// Runs logical calls on the isolate's instance, over one store.
pub(crate) struct Driver {
    setup: Setup,
    store: AnyStore,
    store_timeout_ms: u64,
    rotation_grace_ms: u64,
    limits: Limits,
    instance: RefCell<Option<Rc<Instance>>>,
}

impl Driver {
    /// Makes the first instance, so that a policy or key that is refused is refused now.
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
            rotation_grace_ms: first.rotation_grace_ms,
            limits: first.limits,
            instance: RefCell::new(Some(first)),
        })
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.store
    }

    /// How long an answer of the store is waited for, in milliseconds.
    pub(crate) fn store_timeout_ms(&self) -> u64 {
        self.store_timeout_ms
    }

    /// How long a renewed token's predecessor is served, by the policy.
    /// The id of the key that signs new tokens. An engine without a key is refused.
    pub(crate) fn signing_key_id(&self) -> &str {
        self.setup.keys.first().map_or("", |key| &key.id)
    }

    pub(crate) fn rotation_grace_ms(&self) -> u64 {
        self.rotation_grace_ms
    }

    /// The policy's limits.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The instance that is there now, made if it has to be.
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

    /// A logical call of a function of `flat`; `arguments` are those after the engine. `known` answers its first questions if
    /// they are for those entries, and learns what the call saw or wrote last.
    pub(crate) async fn run<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl Serialize,
        known: &mut Known,
    ) -> Result<T, CallError> {
        let arguments = serde_json::to_string(arguments).map_err(CallError::Unreadable)?;
        let answer = self.finish(function, arguments, known).await?;
        serde_json::from_str(answer.get()).map_err(CallError::Unreadable)
    }

    /// The same where the store need not be asked.
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

    // Boxed, and by texts: there is one of it, however many kinds of answers there are.
    fn finish<'a>(
        &'a self,
        function: &'a str,
        arguments: String,
        known: &'a mut Known,
    ) -> LocalBoxFuture<'a, Result<Box<RawValue>, CallError>> {
        Box::pin(async move {
            let mut call = LogicalCall::begin(self, function, arguments, known)?;
            loop {
                if let Some(ended) = call.pass()? {
                    return ended;
                }
                call.wait().await?;
            }
        })
    }

    fn finish_at_once(
        &self,
        function: &str,
        arguments: String,
        known: &mut Known,
    ) -> Result<Box<RawValue>, CallError> {
        let mut call = LogicalCall::begin(self, function, arguments, known)?;
        loop {
            if let Some(ended) = call.pass()? {
                return ended;
            }
            let answer = match call.known_entry() {
                Some((entry, true)) => Answer::Entry(Told::Ok(entry)),
                Some((_, false)) => Answer::Entry(Told::Err(StoreError::Missing)),
                None => return Err(CallError::CannotWait),
            };
            call.note(answer)?;
        }
    }
}

/// One export call with all its repeats.
struct LogicalCall<'a> {
    driver: &'a Driver,
    name: String,
    /// Those after the engine, as a list in JSON.
    arguments: String,
    known: &'a mut Known,
    instance: Rc<Instance>,
    call: Call,
    asked: Option<(Question, u64)>,
    /// Whether the store was asked already: what is known answers only what comes before.
    answered: bool,
    wrote: bool,
    /// How often a conditional write was stale.
    stale: u32,
    /// Whether the last answer says so.
    was_stale: bool,
    /// How long the pauses were in all, in milliseconds.
    paused_ms: u64,
    /// The last error of the store that says that something failed.
    failure: Option<StoreError>,
    /// It may begin again on a new instance once.
    starts_over: bool,
}

fn begin(instance: &Instance, name: &str, arguments: &str) -> Result<Call, CallError> {
    // Every function of `flat` takes the engine and more.
    let all = format!("[{},{}", instance.engine, arguments.get(1..).unwrap_or_default());
    bindings::make_call(&instance.js, name, &all).map_err(|error| CallError::Trapped(message(&error)))
}

impl<'a> LogicalCall<'a> {
    fn begin(
        driver: &'a Driver,
        function: &str,
        arguments: String,
        known: &'a mut Known,
    ) -> Result<Self, CallError> {
        let (instance, name) = (driver.instance()?, format!("flat#{function}"));
        let call = begin(&instance, &name, &arguments)?;
        Ok(Self {
            driver,
            name,
            arguments,
            known,
            instance,
            call,
            asked: None,
            answered: false,
            wrote: false,
            stale: 0,
            was_stale: false,
            paused_ms: 0,
            failure: None,
            starts_over: true,
        })
    }

    /// One pass; `None` if it ended with a question.
    fn pass(&mut self) -> Result<Option<Result<Box<RawValue>, CallError>>, CallError> {
        if self.instance.js.lost() {
            self.start_over()?;
        }
        let text = self.call.pass().map_err(|error| {
            let message = message(&error);
            tracing::error!("the component failed, and its instance is discarded: {message}");
            if self.wrote {
                CallError::OutcomeUnknown
            } else {
                CallError::Trapped(message)
            }
        })?;
        match read(&text).map_err(CallError::Unreadable)? {
            Passed::Asked(question, now) => {
                self.asked = Some((question, now));
                Ok(None)
            }
            Passed::Done(outcome) => {
                let outcome: wit::Outcome =
                    serde_json::from_str(outcome.get()).map_err(CallError::Unreadable)?;
                let outcome = outcome.read().map_err(CallError::Unreadable)?;
                let store = self.failure.take();
                Ok(Some(outcome.map_err(|error| CallError::Engine { error, store })))
            }
        }
    }

    /// Another request's call has lost the instance that this one began on.
    fn start_over(&mut self) -> Result<(), CallError> {
        if self.wrote {
            return Err(CallError::OutcomeUnknown);
        }
        if !self.starts_over {
            return Err(CallError::Trapped("its instance was lost twice".into()));
        }
        self.instance = self.driver.instance()?;
        self.call = begin(&self.instance, &self.name, &self.arguments)?;
        (self.asked, self.answered, self.starts_over) = (None, false, false);
        Ok(())
    }

    /// Awaits the answer to what the last pass asked, and notes it.
    async fn wait(&mut self) -> Result<(), CallError> {
        // One that seems to have expired may have been touched meanwhile: the store knows.
        if let Some((entry, true)) = self.known_entry() {
            return self.note(Answer::Entry(Told::Ok(entry)));
        }
        self.pause().await;
        let Some((question, now)) = &self.asked else {
            return Ok(());
        };
        self.answered = true;
        self.wrote |= question.writes();
        let asked = async {
            #[cfg(feature = "test-routes")]
            crate::testing::faults::before_question(question.writes()).await;
            question.ask(&self.driver.store, *now).await
        };
        let asked = deadline::within(self.driver.store_timeout_ms, asked);
        let answer = asked.await.unwrap_or_else(|| question.too_late());
        let answer = if answer.bytes() > MAXIMUM_ANSWER_BYTES {
            Answer::failed(StoreError::Corrupt)
        } else {
            answer
        };
        self.note(answer)
    }

    /// The entry that is known already, where it is what the first question asks for, and whether it is alive.
    fn known_entry(&self) -> Option<(Entry, bool)> {
        match &self.asked {
            Some((Question::Get { key, fresh: false }, now)) if !self.answered => {
                let entry = self.known.get(key)?.clone();
                let is_alive = entry.expires_at.0 > *now;
                Some((entry, is_alive))
            }
            _ => None,
        }
    }

    /// Waits before the read that follows a stale write, so that the writers of one record spread in time.
    async fn pause(&mut self) {
        if !self.was_stale || !matches!(self.asked, Some((Question::Get { .. }, _))) {
            return;
        }
        let doubled = FIRST_PAUSE_MS << self.stale.saturating_sub(1).min(16);
        let left = MAXIMUM_PAUSES_MS.saturating_sub(self.paused_ms);
        let pause = random::up_to(doubled.min(LONGEST_PAUSE_MS)).min(left);
        self.paused_ms += pause;
        Delay::from(Duration::from_millis(pause)).await;
    }

    fn note(&mut self, answer: Answer) -> Result<(), CallError> {
        self.was_stale = answer.error() == Some(&StoreError::Stale);
        self.stale += u32::from(self.was_stale);
        if let Some(error) = answer.error().filter(|error| error.is_failure()) {
            self.failure = Some(error.clone());
        }
        let text = serde_json::to_string(&answer).map_err(CallError::Unreadable)?;
        // No case of a result: it throws where it crosses into the component.
        #[cfg(feature = "test-routes")]
        let text = if crate::testing::faults::traps(
            self.asked.as_ref().is_some_and(|(question, _)| question.writes()),
        ) {
            r#"{"tag":"none"}"#.to_owned()
        } else {
            text
        };
        if let Some((question, _)) = self.asked.take() {
            self.known.learn(question, answer);
        }
        // Only of an instance that was lost meanwhile, which the next pass finds out.
        self.call
            .answer(&text)
            .map_err(|error| CallError::Trapped(message(&error)))
    }
}
