//! Logical calls: passes through the component until one ends, with the store awaited in between.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use worker::Delay;

use super::bindings::{self, Call};
use super::error::{CallError, Trap};
use super::instance::{Instance, Setup, Terms, message};
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

/// How a pass ended, and the time: as the engine was told it last, or as the store is to be.
pub(super) enum Passed {
    Done(Box<RawValue>, u64),
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
        None => Passed::Done(done.unwrap_or_default(), now),
    })
}

/// Runs logical calls on the isolate's instance, over one store.
pub(crate) struct Driver {
    setup: Setup,
    store: AnyStore,
    store_timeout_ms: u64,
    terms: Terms,
    /// The handle of a session that was never saved.
    draft: Arc<str>,
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
            terms: first.terms,
            draft: Arc::clone(&first.draft),
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

    /// The id of the key that signs new tokens. An engine without a key is refused.
    pub(crate) fn signing_key_id(&self) -> &str {
        self.setup.keys.first().map_or("", |key| &key.id)
    }

    /// The policy, as far as it has to be known here.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The handle of a session that was never saved.
    pub(crate) fn draft(&self) -> Arc<str> {
        Arc::clone(&self.draft)
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

    /// A logical call of a function of `sessions`; `arguments` are those after the engine. The seed in `known` answers its first
    /// question if that is for the seed's key and need not be fresh; `known` learns what the call reads and writes.
    pub(crate) async fn run<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl Serialize,
        known: &mut Known,
    ) -> Result<T, CallError> {
        let arguments = serde_json::to_string(arguments).map_err(CallError::Unreadable)?;
        let answer = self.finish(function, arguments, known).await?;
        serde_json::from_str(answer.get()).map_err(|error| known.judge(CallError::Unreadable(error)))
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
            let mut call = LogicalCall::begin(self, function, &arguments, known)?;
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
            let answer = match call.seed() {
                Some((entry, true)) => Answer::Entry(Told::Ok(entry)),
                Some((_, false)) => Answer::Entry(Told::Err(StoreError::Missing)),
                None => return Err(CallError::CannotWait),
            };
            call.note(answer)?;
        }
    }
}

fn lost(trap: String) -> CallError {
    CallError::InstanceLost(Trap(trap))
}

/// One export call with all its repeats.
struct LogicalCall<'a> {
    driver: &'a Driver,
    known: &'a mut Known,
    instance: Rc<Instance>,
    call: Call,
    asked: Option<(Question, u64)>,
    /// Whether a question was answered already: the seed answers only the first.
    answered: bool,
    /// How often a conditional write was stale.
    stale: u32,
    /// Whether the last answer says so.
    was_stale: bool,
    /// How long the pauses were in all, in milliseconds.
    paused_ms: u64,
    /// The last error of the store that says that something failed.
    failure: Option<StoreError>,
    /// Whether an instance was lost by this call: it goes on with another once.
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
        // Every function takes the engine and more.
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

    /// Passes until one ends, each question answered by the seed or the store.
    async fn run(&mut self) -> Result<Box<RawValue>, CallError> {
        loop {
            if let Some(answer) = self.pass()? {
                return Ok(answer);
            }
            self.wait().await?;
        }
    }

    /// One pass, and what it answered; `None` if it ended with a question.
    fn pass(&mut self) -> Result<Option<Box<RawValue>>, CallError> {
        if self.instance.js.lost() {
            // Another request's call has lost it.
            self.go_on_elsewhere()?;
        }
        #[cfg(feature = "test-routes")]
        if crate::testing::faults::loses(self.known.wrote) {
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

    /// The pass that a trap has ended, once more on another instance, which is told what this one was.
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

    /// Nothing of a call lies in its instance: what was asked and answered is told to another.
    fn go_on_elsewhere(&mut self) -> Result<(), CallError> {
        self.instance = self.driver.instance()?;
        self.call.move_to(&self.instance.js, self.instance.engine);
        Ok(())
    }

    /// Awaits the answer to what the last pass asked, and notes it.
    async fn wait(&mut self) -> Result<(), CallError> {
        // One that seems to have expired may have been touched meanwhile: the store knows.
        if let Some((entry, true)) = self.seed() {
            return self.note(Answer::Entry(Told::Ok(entry)));
        }
        self.pause().await;
        let Some((question, now)) = &self.asked else {
            return Ok(());
        };
        self.known.wrote |= question.writes();
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

    /// The seed, where it is what the first question asks for, and whether it is alive by the call's clock.
    fn seed(&self) -> Option<(Entry, bool)> {
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
        self.answered = true;
        self.was_stale = answer.error() == Some(&StoreError::Stale);
        self.stale += u32::from(self.was_stale);
        if let Some(error) = answer.error().filter(|error| error.is_failure()) {
            self.failure = Some(error.clone());
        }
        let text = serde_json::to_string(&answer).map_err(CallError::Unreadable)?;
        // No case of a result: it throws where it crosses into the component, and in each that is told of it.
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
        self.call.answer(&text).map_err(|error| lost(message(&error)))
    }
}
