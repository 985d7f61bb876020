//! The log of one logical call: what was asked and answered so far, in order.

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

/// The most questions one logical call may ask; the engine keeps to it, the driver makes sure.
const MAXIMUM_QUESTIONS: usize = 32;
/// The most bytes that the engine may ask of the random source at once.
const MAXIMUM_RANDOM_BYTES: u32 = 64;
/// The most bytes of one answer: 26 records of the longest kind, and some.
const MAXIMUM_ANSWER_BYTES: usize = 32 << 20;
/// The longest pause before a record is read again that others keep changing.
const MAXIMUM_PAUSE: Duration = Duration::from_millis(50);

/// Why the driver gave a pass up: the component broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// A repeat asked other questions than the pass before it.
    #[error("the component asked other questions when its call was repeated")]
    Diverged,
    /// It went on asking after it was told that an answer is pending.
    #[error("the component asked on while an answer was pending")]
    AskedWhilePending,
    /// It asked more than a logical call may.
    #[error("the component asked more than {MAXIMUM_QUESTIONS} questions in one call")]
    TooManyQuestions,
    /// It asked for more random bytes than it may.
    #[error("the component asked for more than {MAXIMUM_RANDOM_BYTES} random bytes")]
    TooManyBytes,
    /// It asked the store in a call that has none.
    #[error("the component asked the store in a call that cannot wait")]
    NoLogicalCall,
}

/// Where answers come from: the same for all calls of an instance.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) store: Arc<dyn AnyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// What was asked.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Now,
    Random(u32),
    Store(Arc<StoreOp>),
}

/// One logical call's log. It belongs to no instance: any of them can go on with the call.
#[derive(Default)]
pub(crate) struct ReplayLog {
    answers: Vec<(Asked, Answer)>,
    /// The next answer to give again; past the last one, the engine asks something new.
    position: usize,
    pending: Option<(Arc<StoreOp>, Pending)>,
    /// Whether a write was asked, so that the call must be run to its end.
    wrote: Arc<AtomicBool>,
    /// How often a compare-and-swap found another version.
    stale: u32,
    /// The clock of the questions asked since the last wait.
    now: Option<Timestamp>,
    failure: Option<Failure>,
    /// Answers the first question to the store.
    seed: Option<Seed>,
    /// Whether the store was asked, or the seed in its place.
    asked_store: bool,
    /// The call cannot wait: what the seed does not answer is missing.
    at_once: bool,
    seen: Seen,
    /// The turn to write the session's record; none where the call goes on without.
    turn: Option<Turn>,
}

impl ReplayLog {
    /// That of a call on a session: with the entry that the session's calls read or wrote last, and the turn to write it.
    pub(crate) fn of_session(seed: Option<Seed>, turn: Option<Turn>) -> Self {
        Self {
            seed,
            turn,
            ..Self::default()
        }
    }

    /// That of a call on a session that cannot wait.
    pub(crate) fn at_once(seed: Option<Seed>) -> Self {
        Self {
            seed,
            at_once: true,
            ..Self::default()
        }
    }

    /// With the clock's answer and one of the store, which were asked for before.
    pub(crate) fn answered(now: Timestamp, op: Arc<StoreOp>, reply: StoreReply) -> Self {
        let mut log = Self::default();
        log.push(Asked::Now, Answer::Now(now));
        log.resolve(op, reply);
        log
    }

    /// Begins a pass: the engine asks from the first question on.
    pub(crate) fn rewind(&mut self) {
        self.position = 0;
    }

    /// Whether a write was asked, so that the call must be run to its end.
    pub(crate) fn wrote(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }

    /// The same, for who does not hold the log.
    pub(crate) fn wrote_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wrote)
    }

    /// Why the driver gave the pass up.
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

    /// Awaits the answer that the pass has ended for.
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

    /// Writes a reply of the store down, and answers it as the engine is told it.
    fn note(&mut self, op: Arc<StoreOp>, reply: StoreReply) -> StoreReply {
        // What the store answers is bounded as well: the component has only so much memory.
        let reply = reply.bounded(MAXIMUM_ANSWER_BYTES);
        self.learn(&op, &reply);
        self.push(Asked::Store(op), Answer::Store(reply.clone()));
        reply
    }

    /// The last error of the store that names a cause.
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

    /// Learns from a reply of the store, and tells the one who writes next what is there now.
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

    /// The next answer, if this was asked before.
    fn replay(&mut self, is_same: impl FnOnce(&Asked) -> bool) -> Result<Option<Answer>, Failure> {
        if self.pending.is_some() {
            return Err(self.fail(Failure::AskedWhilePending));
        }
        let Some((asked, answer)) = self.answers.get(self.position) else {
            if self.answers.len() >= MAXIMUM_QUESTIONS {
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

    /// Answers the time.
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

    /// Answers random bytes.
    pub(crate) fn ask_random(&mut self, sources: &Sources, count: u32) -> Result<Arc<[u8]>, Failure> {
        if count > MAXIMUM_RANDOM_BYTES {
            return Err(self.fail(Failure::TooManyBytes));
        }
        match self.replay(|asked| *asked == Asked::Random(count))? {
            Some(Answer::Random(bytes)) => Ok(bytes),
            Some(_) => Err(self.fail(Failure::Diverged)),
            None => {
                let mut bytes = vec![0; count as usize];
                // A source that fails answers none, which the engine refuses by name.
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

    /// Answers in place of the store, where that is possible.
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

    /// Does an operation on the store; `None` if the reply is not there yet.
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

    /// How long to wait before a contended record is read again: jittered, so that rivals fall out of step.
    /// Outside of a tokio runtime there is no timer, and no pause.
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
mod tests {
    use super::*;
    use crate::store::{Condition, Entry, Expected, MemoryStore};
    use crate::{SystemClock, SystemRandom};

    fn sources() -> Sources {
        let store = MemoryStore::builder().sweep_interval(Duration::ZERO).build();
        Sources {
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }

    fn get(key: &str) -> StoreOp {
        StoreOp::Get {
            key: key.into(),
            fresh: false,
        }
    }

    /// One pass that asked the clock, for random bytes, and for a key.
    fn asked() -> (ReplayLog, Sources) {
        let (mut log, sources) = (ReplayLog::default(), sources());
        log.ask_now(&sources).unwrap();
        log.ask_random(&sources, 6).unwrap();
        assert!(log.ask(&sources, get("a")).unwrap().is_some());
        log.rewind();
        (log, sources)
    }

    #[test]
    fn a_repeat_is_told_what_the_first_pass_was_told() {
        let (mut log, sources) = (ReplayLog::default(), sources());
        let now = log.ask_now(&sources).unwrap();
        let bytes = log.ask_random(&sources, 16).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        log.rewind();
        assert_eq!(log.ask_now(&sources).unwrap(), now);
        assert_eq!(log.ask_random(&sources, 16).unwrap(), bytes);
        assert_ne!(log.ask_random(&sources, 16).unwrap(), bytes);
    }

    #[test]
    fn other_questions_on_a_repeat_are_found_out() {
        let (mut log, sources) = asked();
        assert_eq!(log.ask_random(&sources, 6).unwrap_err(), Failure::Diverged);

        let (mut log, sources) = asked();
        log.ask_now(&sources).unwrap();
        assert_eq!(log.ask_random(&sources, 7).unwrap_err(), Failure::Diverged);

        for other in [
            get("b"),
            StoreOp::Get {
                key: "a".into(),
                fresh: true,
            },
            StoreOp::Delete {
                key: "a".into(),
                condition: Condition::Guard(1),
            },
        ] {
            let (mut log, sources) = asked();
            log.ask_now(&sources).unwrap();
            log.ask_random(&sources, 6).unwrap();
            assert_eq!(log.ask(&sources, other).unwrap_err(), Failure::Diverged);
            assert_eq!(log.failure(), Some(Failure::Diverged));
        }
    }

    #[test]
    fn every_argument_of_a_write_is_part_of_the_question() {
        let at = |owner: &str, ends_at| crate::store::Placement {
            owner: Some(owner.into()),
            previous_owner: None,
            guard: None,
            expires_at: Timestamp::from_millis(1),
            ends_at: Timestamp::from_millis(ends_at),
        };
        let replace_as = |value: &str, expected, at| StoreOp::Replace {
            key: "k".into(),
            value: value.into(),
            expected,
            at,
        };
        let replace = |value: &str, version, at| replace_as(value, Expected::Version(version), at);
        let questions = || {
            [
                replace("v", 1, at("o", 2)),
                replace("w", 1, at("o", 2)),
                replace("v", 2, at("o", 2)),
                replace("v", 1, at("p", 2)),
                replace("v", 1, at("o", 3)),
                replace_as("v", Expected::Guard(1), at("o", 2)),
            ]
        };
        for (first, asked) in questions().into_iter().enumerate() {
            let mut log = ReplayLog::default();
            log.push(
                Asked::Store(Arc::new(asked)),
                Answer::Store(StoreReply::Version(Ok(1))),
            );
            for (second, repeated) in questions().into_iter().enumerate() {
                log.rewind();
                assert_eq!(log.ask(&sources(), repeated).is_ok(), first == second);
            }
        }
    }

    #[test]
    fn a_component_that_asks_too_much_is_stopped() {
        let (mut log, sources) = (ReplayLog::default(), sources());
        for _ in 0..MAXIMUM_QUESTIONS {
            log.ask(&sources, get("a")).unwrap();
        }
        assert_eq!(
            log.ask(&sources, get("a")).unwrap_err(),
            Failure::TooManyQuestions
        );
        assert_eq!(
            ReplayLog::default().ask_random(&sources, 65).unwrap_err(),
            Failure::TooManyBytes
        );
        assert!(ReplayLog::default().ask_random(&sources, 64).is_ok());
    }

    #[test]
    fn an_answer_beyond_the_bound_is_corrupt_and_one_at_it_is_not() {
        for (length, fits) in [(MAXIMUM_ANSWER_BYTES, true), (MAXIMUM_ANSWER_BYTES + 1, false)] {
            let entry = Entry {
                value: "x".repeat(length).into(),
                version: 1,
                guard: 1,
                expires_at: Timestamp::from_millis(1),
            };
            assert_eq!(
                matches!(
                    StoreReply::Entry(Ok(entry)).bounded(MAXIMUM_ANSWER_BYTES),
                    StoreReply::Entry(Ok(_))
                ),
                fits
            );
        }
    }

    fn seed() -> Seed {
        Seed {
            key: "a".into(),
            entry: Entry {
                value: "text".into(),
                version: 1,
                guard: 1,
                expires_at: Timestamp::from_millis(u64::MAX),
            },
        }
    }

    fn is_there(answer: Result<Option<StoreReply>, Failure>) -> bool {
        matches!(answer, Ok(Some(StoreReply::Entry(Ok(_)))))
    }

    #[test]
    fn the_seed_answers_the_first_question_and_no_other() {
        let sources = sources();
        let mut log = ReplayLog::of_session(Some(seed()), None);
        assert!(is_there(log.ask(&sources, get("a"))) && !is_there(log.ask(&sources, get("a"))));
        let mut log = ReplayLog::of_session(Some(seed()), None);
        assert!(!is_there(log.ask(&sources, get("b"))) && !is_there(log.ask(&sources, get("a"))));
    }

    #[test]
    fn a_call_that_cannot_wait_asks_no_store() {
        let sources = sources();
        let mut log = ReplayLog::at_once(Some(seed()));
        assert!(is_there(log.ask(&sources, get("a"))));
        let mut log = ReplayLog::at_once(None);
        let missing = log.ask(&sources, get("a"));
        assert!(matches!(
            missing,
            Ok(Some(StoreReply::Entry(Err(StoreError::Missing))))
        ));
        let fresh = StoreOp::Get {
            key: "a".into(),
            fresh: true,
        };
        assert_eq!(log.ask(&sources, fresh).unwrap_err(), Failure::NoLogicalCall);
    }
}
