//! The record of one logical call: what was asked and answered so far, in order.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::answer::{Answer, AnyStore, Pending, Question};
use crate::clock::{Clock, Random};
use crate::store::StoreError;
use crate::time::Timestamp;

/// The most questions one logical call may ask; the engine keeps to it, the driver makes sure.
const MAXIMUM_QUESTIONS: usize = 32;
/// The most bytes that the engine may ask of the random source at once.
const MAXIMUM_RANDOM_BYTES: u32 = 64;
/// The longest pause before a record is read again that others keep changing.
const MAXIMUM_PAUSE: Duration = Duration::from_millis(50);

/// Why the driver gave a pass up: the component broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
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
}

impl Record {
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
        self.push(fingerprint, answer);
    }

    /// The last error of the store that names a cause.
    pub(crate) fn store_error(&self) -> Option<&StoreError> {
        let mut failures = self.answers.iter().rev().filter_map(|(_, answer)| answer.failure());
        failures.find(|error| !matches!(error, StoreError::Missing | StoreError::Stale))
    }

    fn push(&mut self, fingerprint: u64, answer: Answer) {
        match &answer {
            Answer::Version(Err(StoreError::Stale)) => self.stale += 1,
            Answer::Entry(Ok(entry)) => self.record_bytes = entry.value.len(),
            _ => {}
        }
        self.answers.push((fingerprint, answer));
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
                let answered = if sources.random.fill(&mut bytes).is_ok() { bytes } else { Vec::new() };
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
        self.wrote |= question.writes();
        if let Question::Insert { value, .. } | Question::Replace { value, .. } = &question {
            self.record_bytes = value.len();
        }
        let now = self.clock(sources);
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
            Poll::Ready(answer) => Ok(Some(self.answer(fingerprint, answer))),
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
