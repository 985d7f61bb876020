//! The log of one logical call: its requests and their answers so far, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::answer::{Answer, AnyStore, Pending};
use super::queue::Turn;
use crate::Timestamp;
use crate::clock::{Clock, Random};
use crate::store::StoreError;
use tessera_contract::store::{Seed, Seen, StoreOp, StoreReply};

/// The maximum number of import calls in one logical call. The engine respects it, and the driver enforces it.
const MAXIMUM_IMPORT_CALLS: usize = 32;
/// The maximum number of random bytes in one request.
const MAXIMUM_RANDOM_BYTES: u32 = 64;
/// The maximum size of one reply of the store: 26 records of the maximum length, and some more.
const MAXIMUM_ANSWER_BYTES: usize = 32 << 20;
/// The longest pause before a contended record is read again.
const MAXIMUM_PAUSE: Duration = Duration::from_millis(50);

/// Why the driver aborted a pass: the component violated the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// A repeat made other requests than the previous pass.
    #[error("the component made different import calls when its call was repeated")]
    Diverged,
    /// The component made another request after the reply `pending`.
    #[error("the component called an import while a reply was pending")]
    AskedWhilePending,
    /// The component made more requests than a logical call may.
    #[error("the component made more than {MAXIMUM_IMPORT_CALLS} import calls in one call")]
    TooManyQuestions,
    /// The component requested more random bytes than allowed.
    #[error("the component requested more than {MAXIMUM_RANDOM_BYTES} random bytes")]
    TooManyBytes,
    /// The component called the store in a call that has none.
    #[error("the component called the store in a call that cannot wait")]
    NoLogicalCall,
}

/// The sources of the answers, the same for all calls of an instance.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) store: Arc<dyn AnyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// A request of the component.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Now,
    Random(u32),
    Store(Arc<StoreOp>),
}

/// The log of one logical call. It belongs to no instance: each of them can continue the call.
#[derive(Default)]
pub(crate) struct ReplayLog {
    answers: Vec<(Asked, Answer)>,
    /// The index of the next answer to repeat; past the last one, the engine makes a new request.
    position: usize,
    pending: Option<(Arc<StoreOp>, Pending)>,
    /// Whether a write was requested, so that the call must be completed.
    wrote: Arc<AtomicBool>,
    /// How often a write found the record changed.
    stale: u32,
    /// The time of the requests since the last wait.
    now: Option<Timestamp>,
    failure: Option<Failure>,
    /// Answers the first request to the store.
    seed: Option<Seed>,
    /// Whether there was a request to the store, also if the seed answered it.
    asked_store: bool,
    /// Whether the call cannot wait: an entry other than the seed is reported as missing.
    at_once: bool,
    seen: Seen,
    /// The turn to write the session's record; `None` if the call proceeds without one.
    turn: Option<Turn>,
}

impl ReplayLog {
    /// The log of a call on a session: with the entry that the session's calls read or wrote last, and the turn to write it.
    pub(crate) fn of_session(seed: Option<Seed>, turn: Option<Turn>) -> Self {
        Self {
            seed,
            turn,
            ..Self::default()
        }
    }

    /// The log of a call that cannot wait, with the session's seed if it is a call on a session.
    pub(crate) fn at_once(seed: Option<Seed>) -> Self {
        Self {
            seed,
            at_once: true,
            ..Self::default()
        }
    }

    /// A log that begins with a time and a reply of the store, which the driver has already requested.
    pub(crate) fn answered(now: Timestamp, op: Arc<StoreOp>, reply: StoreReply) -> Self {
        let mut log = Self::default();
        log.push(Asked::Now, Answer::Now(now));
        log.resolve(op, reply);
        log
    }

    /// Begins a pass: the engine repeats its requests from the first one.
    pub(crate) fn rewind(&mut self) {
        self.position = 0;
    }

    /// Whether a write was requested, so that the call must be completed.
    pub(crate) fn wrote(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }

    /// The flag behind [`ReplayLog::wrote`], for code that does not own the log.
    pub(crate) fn wrote_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wrote)
    }

    /// Why the driver aborted the pass.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// The entry of a key, as this call read or wrote it last.
    pub(crate) fn seen(&self, key: &str) -> Option<&Seed> {
        self.seen.get(key)
    }

    /// The clock's last answer.
    pub(crate) fn asked_at(&self) -> Timestamp {
        let mut times = self.answers.iter().rev().filter_map(|(_, answer)| match answer {
            Answer::Now(now) => Some(*now),
            _ => None,
        });
        times.next().unwrap_or_default()
    }

    /// Awaits the reply because of which the pass was aborted.
    pub(crate) async fn wait(&mut self) {
        if let Some((op, reply)) = self.pending.take() {
            let reply = reply.await;
            self.resolve(op, reply);
        }
    }

    fn resolve(&mut self, op: Arc<StoreOp>, reply: StoreReply) {
        self.now = None;
        self.asked_store = true;
        self.note(op, reply);
    }

    /// Logs a reply of the store, and returns it as the engine receives it.
    fn note(&mut self, op: Arc<StoreOp>, reply: StoreReply) -> StoreReply {
        // Replies are bounded because the component's memory is.
        let reply = reply.bounded(MAXIMUM_ANSWER_BYTES);
        self.learn(&op, &reply);
        self.push(Asked::Store(op), Answer::Store(reply.clone()));
        reply
    }

    /// The last error of the store that is a failure.
    pub(crate) fn store_error(&self) -> Option<&StoreError> {
        let mut failures = self
            .answers
            .iter()
            .rev()
            .filter_map(|(_, answer)| answer.failure());
        failures.find(|error| error.is_failure())
    }

    fn push(&mut self, asked: Asked, answer: Answer) {
        self.answers.push((asked, answer));
    }

    /// Updates the known entries from a reply of the store, and stores the entry in the turn for the next writer.
    fn learn(&mut self, op: &StoreOp, reply: &StoreReply) {
        if matches!(reply, StoreReply::Version(Err(StoreError::Stale))) {
            self.stale += 1;
        }
        let last = self.seen.learn(op, reply);
        let of_turn = |turn: &&mut Turn| op.key().is_some_and(|key| turn.is_for(key));
        if let Some(turn) = self.turn.as_mut().filter(of_turn) {
            turn.last = last.cloned();
        }
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failure = Some(failure);
        failure
    }

    /// The logged answer to this request, if an earlier pass made it.
    fn replay(&mut self, is_same: impl FnOnce(&Asked) -> bool) -> Result<Option<Answer>, Failure> {
        if self.pending.is_some() {
            return Err(self.fail(Failure::AskedWhilePending));
        }
        let Some((asked, answer)) = self.answers.get(self.position) else {
            if self.answers.len() >= MAXIMUM_IMPORT_CALLS {
                return Err(self.fail(Failure::TooManyQuestions));
            }
            return Ok(None);
        };
        if !is_same(asked) {
            return Err(self.fail(Failure::Diverged));
        }
        let answer = answer.clone();
        self.position += 1;
        Ok(Some(answer))
    }

    fn answer(&mut self, asked: Asked, answer: Answer) {
        self.push(asked, answer);
        self.position += 1;
    }

    /// The current time.
    pub(crate) fn ask_now(&mut self, sources: &Sources) -> Result<Timestamp, Failure> {
        match self.replay(|asked| *asked == Asked::Now)? {
            Some(Answer::Now(now)) => Ok(now),
            Some(_) => Err(self.fail(Failure::Diverged)),
            None => {
                let now = self.clock(sources);
                self.answer(Asked::Now, Answer::Now(now));
                Ok(now)
            }
        }
    }

    fn clock(&mut self, sources: &Sources) -> Timestamp {
        *self.now.get_or_insert_with(|| sources.clock.now())
    }

    /// Random bytes, at most 64.
    pub(crate) fn ask_random(&mut self, sources: &Sources, count: u32) -> Result<Arc<[u8]>, Failure> {
        if count > MAXIMUM_RANDOM_BYTES {
            return Err(self.fail(Failure::TooManyBytes));
        }
        match self.replay(|asked| *asked == Asked::Random(count))? {
            Some(Answer::Random(bytes)) => Ok(bytes),
            Some(_) => Err(self.fail(Failure::Diverged)),
            None => {
                let mut bytes = vec![0; count as usize];
                // If the source fails, the answer is empty, and the engine reports the failure.
                let answered = if sources.random.fill(&mut bytes).is_ok() {
                    bytes
                } else {
                    Vec::new()
                };
                let bytes: Arc<[u8]> = answered.into();
                self.answer(Asked::Random(count), Answer::Random(Arc::clone(&bytes)));
                Ok(bytes)
            }
        }
    }

    /// The reply to an operation that needs no store, if there is one.
    fn spare(&mut self, op: &StoreOp, now: Timestamp) -> Option<StoreReply> {
        let is_first = !std::mem::replace(&mut self.asked_store, true);
        let seed = self.seed.as_ref().filter(|_| is_first);
        let reply = seed.and_then(|seed| seed.reply(op, now));
        match op {
            StoreOp::Get { fresh: false, .. } if self.at_once && reply.is_none() => {
                Some(StoreReply::Entry(Err(StoreError::Missing)))
            }
            _ => reply,
        }
    }

    /// Executes an operation on the store; `None` if the reply is pending.
    pub(crate) fn ask(&mut self, sources: &Sources, op: StoreOp) -> Result<Option<StoreReply>, Failure> {
        let replayed = self.replay(|asked| match asked {
            Asked::Store(asked) => **asked == op,
            _ => false,
        })?;
        match replayed {
            Some(Answer::Store(reply)) => return Ok(Some(reply)),
            Some(_) => return Err(self.fail(Failure::Diverged)),
            None => {}
        }
        let now = self.clock(sources);
        if let Some(reply) = self.spare(&op, now) {
            self.position += 1;
            return Ok(Some(self.note(Arc::new(op), reply)));
        }
        if self.at_once {
            return Err(self.fail(Failure::NoLogicalCall));
        }
        if op.writes() {
            self.wrote.store(true, Ordering::Relaxed);
        }
        let (op, store) = (Arc::new(op), Arc::clone(&sources.store));
        let mut reply = match self.pause(&op, sources) {
            None => store.ask(now, Arc::clone(&op)),
            Some(pause) => {
                let (clock, op) = (Arc::clone(&sources.clock), Arc::clone(&op));
                Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    store.ask(clock.now(), op).await
                })
            }
        };
        match reply.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => {
                self.position += 1;
                Ok(Some(self.note(op, reply)))
            }
            Poll::Pending => {
                self.pending = Some((op, reply));
                Ok(None)
            }
        }
    }

    /// The pause before a contended record is read again, with jitter, so that the writers do not collide again.
    /// Outside of a tokio runtime there is no timer, and so no pause.
    fn pause(&self, op: &StoreOp, sources: &Sources) -> Option<Duration> {
        if self.stale < 2 || !matches!(op, StoreOp::Get { .. }) {
            return None;
        }
        tokio::runtime::Handle::try_current().ok()?;
        let mut byte = [0];
        sources.random.fill(&mut byte).ok()?;
        let longest = Duration::from_millis(1 << self.stale.min(6)).min(MAXIMUM_PAUSE);
        Some(longest * u32::from(byte[0]) / 255)
    }
}

#[cfg(test)]
mod tests;
