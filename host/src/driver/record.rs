//! The record of one logical call: what was asked and answered so far, in order.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::answer::{Answer, AnyStore, Pending, Question};
use super::newest::{Newest, Seen};
use crate::Timestamp;
use crate::clock::{Clock, Random};
use crate::store::StoreError;

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

/// One logical call's record.
#[derive(Default)]
pub(crate) struct Record {
    answers: Vec<(u64, Answer)>,
    /// The next answer to tell again; past the last one, the engine asks something new.
    position: usize,
    pending: Option<(u64, Pending)>,
    wrote: bool,
    /// How often a compare-and-swap found another version.
    stale: u32,
    /// The clock of the questions asked since the last wait.
    now: Option<Timestamp>,
    failure: Option<Failure>,
    /// Length of the last record read or written: what a handle on it will hold.
    record_bytes: usize,
    /// What is known of the stored record beside the answers.
    newest: Newest,
}

impl Record {
    /// The record of a call on a session.
    pub(crate) fn of(newest: Newest) -> Self {
        Self {
            newest,
            ..Self::default()
        }
    }

    /// The stored record that the call is about.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.newest.seen()
    }

    /// Begins a pass: the engine asks from the first question on.
    pub(crate) fn rewind(&mut self) {
        self.position = 0;
    }

    /// Whether a write was asked, so that the call must be run to its end.
    pub(crate) fn wrote(&self) -> bool {
        self.wrote
    }

    /// Why the driver gave the pass up.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Length of the last record read or written.
    pub(crate) fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// The answer that the pass is waiting for.
    pub(crate) fn take_pending(&mut self) -> Option<(u64, Pending)> {
        self.pending.take()
    }

    /// Notes the answer that was waited for.
    pub(crate) fn resolve(&mut self, fingerprint: u64, answer: Answer) {
        self.now = None;
        let answer = Self::bounded(answer);
        self.learn(&answer);
        self.push(fingerprint, answer);
    }

    /// The last error of the store that names a cause.
    pub(crate) fn store_error(&self) -> Option<&StoreError> {
        let mut failures = self
            .answers
            .iter()
            .rev()
            .filter_map(|(_, answer)| answer.failure());
        failures.find(|error| !matches!(error, StoreError::Missing | StoreError::Stale))
    }

    fn push(&mut self, fingerprint: u64, answer: Answer) {
        if let Answer::Entry(Ok(entry)) = &answer {
            self.record_bytes = entry.value.len();
        }
        self.answers.push((fingerprint, answer));
    }

    /// Learns from an answer of the store.
    fn learn(&mut self, answer: &Answer) {
        if matches!(answer, Answer::Version(Err(StoreError::Stale))) {
            self.stale += 1;
        }
        self.newest.learn(answer);
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failure = Some(failure);
        failure
    }

    /// The next answer, if this question was asked before.
    fn replay(&mut self, fingerprint: u64) -> Result<Option<Answer>, Failure> {
        if self.pending.is_some() {
            return Err(self.fail(Failure::AskedWhilePending));
        }
        let Some((asked, answer)) = self.answers.get(self.position) else {
            if self.answers.len() >= MAXIMUM_QUESTIONS {
                return Err(self.fail(Failure::TooManyQuestions));
            }
            return Ok(None);
        };
        if *asked != fingerprint {
            return Err(self.fail(Failure::Diverged));
        }
        self.position += 1;
        Ok(Some(answer.clone()))
    }

    /// What the store answers is bounded as well: the component has only so much memory.
    fn bounded(answer: Answer) -> Answer {
        if answer.bytes() > MAXIMUM_ANSWER_BYTES {
            answer.corrupt()
        } else {
            answer
        }
    }

    fn answer(&mut self, fingerprint: u64, answer: Answer) -> Answer {
        self.push(fingerprint, answer.clone());
        self.position += 1;
        answer
    }

    /// Answers the time.
    pub(crate) fn ask_now(&mut self, sources: &Sources) -> Result<Timestamp, Failure> {
        // Any number that no hash is likely to be.
        const FINGERPRINT: u64 = 0x636c_6f63_6b00_0001;
        match self.replay(FINGERPRINT)? {
            Some(Answer::Now(now)) => Ok(now),
            Some(_) => Err(self.fail(Failure::Diverged)),
            None => {
                let now = self.clock(sources);
                self.answer(FINGERPRINT, Answer::Now(now));
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
        let fingerprint = 0x7261_6e64_0000_0000 | u64::from(count);
        match self.replay(fingerprint)? {
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
                self.answer(fingerprint, Answer::Random(Arc::clone(&bytes)));
                Ok(bytes)
            }
        }
    }

    /// Answers a question to the store; `None` if the answer is not there yet.
    pub(crate) fn ask(&mut self, sources: &Sources, question: Question) -> Result<Option<Answer>, Failure> {
        let fingerprint = question.fingerprint();
        if let Some(answer) = self.replay(fingerprint)? {
            return Ok(Some(answer));
        }
        let now = self.clock(sources);
        if let Some(answer) = self.newest.answer(&question, now) {
            return Ok(Some(self.answer(fingerprint, answer)));
        }
        self.wrote |= question.writes();
        self.newest.ask(&question);
        if let Question::Insert { value, .. } | Question::Replace { value, .. } = &question {
            self.record_bytes = value.len();
        }
        let store = Arc::clone(&sources.store);
        let mut answer = match self.pause(&question, sources) {
            None => store.ask(now, question),
            Some(pause) => {
                let clock = Arc::clone(&sources.clock);
                Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    store.ask(clock.now(), question).await
                })
            }
        };
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => {
                let answer = Self::bounded(answer);
                self.learn(&answer);
                Ok(Some(self.answer(fingerprint, answer)))
            }
            Poll::Pending => {
                self.pending = Some((fingerprint, answer));
                Ok(None)
            }
        }
    }

    /// How long to wait before a contended record is read again: jittered, so that rivals fall out of step.
    /// Outside of a tokio runtime there is no timer, and no pause.
    fn pause(&self, question: &Question, sources: &Sources) -> Option<Duration> {
        if self.stale < 2 || !matches!(question, Question::Get { .. }) {
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

    fn get(key: &str) -> Question {
        Question::Get {
            key: key.into(),
            fresh: false,
        }
    }

    /// One pass that asked the clock, for random bytes, and for a key.
    fn asked() -> (Record, Sources) {
        let (mut record, sources) = (Record::default(), sources());
        record.ask_now(&sources).unwrap();
        record.ask_random(&sources, 6).unwrap();
        assert!(record.ask(&sources, get("a")).unwrap().is_some());
        record.rewind();
        (record, sources)
    }

    #[test]
    fn a_repeat_is_told_what_the_first_pass_was_told() {
        let (mut record, sources) = (Record::default(), sources());
        let now = record.ask_now(&sources).unwrap();
        let bytes = record.ask_random(&sources, 16).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        record.rewind();
        assert_eq!(record.ask_now(&sources).unwrap(), now);
        assert_eq!(record.ask_random(&sources, 16).unwrap(), bytes);
        assert_ne!(record.ask_random(&sources, 16).unwrap(), bytes);
    }

    #[test]
    fn other_questions_on_a_repeat_are_found_out() {
        let (mut record, sources) = asked();
        assert_eq!(record.ask_random(&sources, 6).unwrap_err(), Failure::Diverged);

        let (mut record, sources) = asked();
        record.ask_now(&sources).unwrap();
        assert_eq!(record.ask_random(&sources, 7).unwrap_err(), Failure::Diverged);

        for other in [
            get("b"),
            Question::Get {
                key: "a".into(),
                fresh: true,
            },
            Question::Delete {
                key: "a".into(),
                condition: Condition::Guard(1),
            },
        ] {
            let (mut record, sources) = asked();
            record.ask_now(&sources).unwrap();
            record.ask_random(&sources, 6).unwrap();
            assert_eq!(record.ask(&sources, other).unwrap_err(), Failure::Diverged);
            assert_eq!(record.failure(), Some(Failure::Diverged));
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
        let replace_as = |value: &str, expected, at| Question::Replace {
            key: "k".into(),
            value: value.into(),
            expected,
            at,
        };
        let replace = |value: &str, version, at| replace_as(value, Expected::Version(version), at);
        let mut prints: Vec<u64> = [
            replace("v", 1, at("o", 2)),
            replace("w", 1, at("o", 2)),
            replace("v", 2, at("o", 2)),
            replace("v", 1, at("p", 2)),
            replace("v", 1, at("o", 3)),
            replace_as("v", Expected::Guard(1), at("o", 2)),
        ]
        .iter()
        .map(Question::fingerprint)
        .collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), 6);
    }

    #[test]
    fn a_component_that_asks_too_much_is_stopped() {
        let (mut record, sources) = (Record::default(), sources());
        for _ in 0..MAXIMUM_QUESTIONS {
            record.ask(&sources, get("a")).unwrap();
        }
        assert_eq!(
            record.ask(&sources, get("a")).unwrap_err(),
            Failure::TooManyQuestions
        );
        assert_eq!(
            Record::default().ask_random(&sources, 65).unwrap_err(),
            Failure::TooManyBytes
        );
        assert!(Record::default().ask_random(&sources, 64).is_ok());
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
                matches!(Record::bounded(Answer::Entry(Ok(entry))), Answer::Entry(Ok(_))),
                fits
            );
        }
    }
}
