//! One run: clients that wait for the store, and a scheduler that says which of them goes on, and how.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use tessera::store::{Cause, StoreError};
use tessera::{Component, ConfigurationError, Sessions};

use super::calls::Call;
use super::clients::{Client, Granted, Log};
use super::contents::{Answer, Contents, Question};
use super::engines::{Engines, wire};
use super::linear::Observed;
use super::plan::{Act, Event, Fault, Plan};
use super::store::{Board, BoardClock, lock};

/// What the scheduler can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Answers a client's question and lets it go on.
    Step(usize),
    /// The same, and something goes wrong.
    Fail(usize, Fault),
    /// Something happens to all.
    Happen(Event),
}

/// Where every run of a plan starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// One session of alice's.
    pub contents: Contents,
    /// Its token.
    pub token: Granted,
}

/// One client as the scheduler sees it.
struct Live {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    log: Arc<Mutex<Log>>,
    leaves: Arc<AtomicBool>,
    /// All that it has asked and been answered.
    heard: u64,
    asked: u64,
    asked_in_call: usize,
    /// The call under way has asked for a write: whoever waits for it, it goes on to its end.
    has_written: bool,
}

/// What a run has come to.
pub struct Run<'a> {
    plan: &'a Plan,
    contents: Contents,
    clients: Vec<Live>,
    board: Arc<Board>,
    /// Part of every version, where engines must not remember another run's.
    salt: u64,
    step: usize,
    /// Contents before each write, if the plan rolls back.
    earlier: Vec<Contents>,
    failed: usize,
    /// The most questions that one call asked.
    pub most_asked: usize,
}

impl<'a> Run<'a> {
    /// Makes the clients and lets each go as far as its first question.
    pub fn new(plan: &'a Plan, engines: &mut Engines, start: &Start) -> Self {
        engines.board.reset();
        engines.runs += 1;
        let salt = if plan.shared { engines.runs } else { 0 };
        let mut contents = start.contents.clone();
        contents
            .records
            .values_mut()
            .for_each(|stored| stored.version ^= salt);
        let mut run = Self::bare(plan, contents, Arc::clone(&engines.board), salt);
        for (number, program) in plan.programs.iter().enumerate() {
            let sessions = &engines.sessions[number % engines.sessions.len()];
            run.add(sessions, number, program.clone(), Some(start.token.token.clone()));
        }
        run
    }

    fn bare(plan: &'a Plan, contents: Contents, board: Arc<Board>, salt: u64) -> Self {
        let (clients, earlier) = (Vec::new(), Vec::new());
        Self {
            plan,
            contents,
            clients,
            board,
            salt,
            step: 0,
            earlier,
            failed: 0,
            most_asked: 0,
        }
    }

    fn add(&mut self, sessions: &Sessions, number: usize, program: Vec<Act>, token: Option<String>) {
        let (log, leaves) = (Arc::<Mutex<Log>>::default(), Arc::<AtomicBool>::default());
        let client = Client {
            number,
            sessions: sessions.clone(),
            program,
            token,
            log: Arc::clone(&log),
            clock: BoardClock(Arc::clone(&self.board)),
            leaves: Arc::clone(&leaves),
            repeats: self.plan.repeats,
        };
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(client.run());
        self.clients.push(Live {
            future: Some(future),
            log,
            leaves,
            heard: 0,
            asked: 0,
            asked_in_call: 0,
            has_written: false,
        });
        let last = self.clients.len() - 1;
        self.poll(last);
    }

    /// Lets a client go on as far as its next question.
    fn poll(&mut self, which: usize) {
        self.board.turn_to(which);
        let client = &mut self.clients[which];
        let calls = lock(&client.log).calls.len();
        if let Some(future) = &mut client.future
            && future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        {
            client.future = None;
        }
        if lock(&client.log).calls.len() != calls {
            (client.asked_in_call, client.has_written) = (0, false);
        }
    }

    /// What can be done next; nothing when all clients have ended.
    pub fn choices(&self) -> Vec<Choice> {
        let waits =
            |which: &usize| self.clients[*which].future.is_some() && self.board.port(*which).asked.is_some();
        let waiting: Vec<usize> = (0..self.clients.len()).filter(waits).collect();
        let mut choices: Vec<Choice> = waiting.iter().map(|which| Choice::Step(*which)).collect();
        if self.failed < self.plan.most_faults && !waiting.is_empty() {
            for which in waiting {
                let fits = |fault: &&Fault| self.fits(which, **fault);
                choices.extend(
                    self.plan
                        .faults
                        .iter()
                        .filter(fits)
                        .map(|fault| Choice::Fail(which, *fault)),
                );
            }
            let fits = |event: &&Event| match event {
                Event::ClockJumps(_) => true,
                Event::RolledBack(writes) => self.earlier.len() >= *writes,
            };
            choices.extend(
                self.plan
                    .events
                    .iter()
                    .filter(fits)
                    .map(|event| Choice::Happen(*event)),
            );
        }
        choices
    }

    fn fits(&self, which: usize, fault: Fault) -> bool {
        let port = self.board.port(which);
        let Some((_, question)) = &port.asked else {
            return false;
        };
        match fault {
            Fault::Lost | Fault::ProcessGoneAfter | Fault::TrapAfter => question.writes(),
            Fault::StaleRead => match question {
                Question::Get { key, fresh: false } => self.contents.stale(key).is_some(),
                _ => false,
            },
            Fault::CallerGone => !self.clients[which].leaves.load(Ordering::Relaxed),
            Fault::Unavailable | Fault::Trap | Fault::ProcessGone => true,
        }
    }

    /// Does it.
    pub fn take(&mut self, choice: Choice) {
        self.step += 1;
        if self.plan.rolls_back() || self.plan.ticks {
            self.board.set_time(self.board.time() + 1);
        }
        match choice {
            Choice::Step(which) => self.go_on(which, None),
            Choice::Fail(which, fault) => {
                self.failed += 1;
                self.go_on(which, Some(fault));
            }
            Choice::Happen(event) => {
                self.failed += 1;
                match event {
                    Event::ClockJumps(by) => self.board.set_time(self.board.time() + by),
                    Event::RolledBack(writes) => {
                        self.board.set_time(self.board.time() + self.plan.clock_spread());
                        let place = self.earlier.len() - writes;
                        self.contents = self.earlier.swap_remove(place);
                        self.earlier.truncate(place);
                    }
                }
            }
        }
    }

    fn go_on(&mut self, which: usize, fault: Option<Fault>) {
        let Some((now, question)) = self.board.port(which).asked.take() else {
            return;
        };
        self.note(which, &question, fault);
        let client = &mut self.clients[which];
        client.has_written |= question.writes();
        // A call that only reads ends with its caller.
        let is_dropped = fault == Some(Fault::CallerGone) && !client.has_written;
        if is_dropped || fault == Some(Fault::ProcessGone) {
            client.future = None;
            return;
        }
        if fault == Some(Fault::CallerGone) {
            client.leaves.store(true, Ordering::Relaxed);
        }
        let done = !matches!(fault, Some(Fault::Unavailable | Fault::Trap | Fault::StaleRead));
        let mut answer = Answer::Failed(StoreError::Unavailable(Cause::new("as the plan asks")));
        if done {
            answer = self.apply(which, &question, now);
        }
        match (fault, &question) {
            (Some(Fault::Unavailable), _) | (None | Some(Fault::CallerGone | Fault::ProcessGone), _) => {}
            (Some(Fault::Lost), _) => {
                answer = Answer::Failed(StoreError::Unavailable(Cause::new("as the plan asks")))
            }
            (Some(Fault::Trap | Fault::TrapAfter), _) => {
                answer = Answer::Failed(StoreError::Other(Cause::new("trap")))
            }
            (Some(Fault::StaleRead), Question::Get { key, .. }) => {
                answer = self.contents.stale(key).unwrap_or(answer);
            }
            (Some(Fault::StaleRead), _) => {}
            (Some(Fault::ProcessGoneAfter), _) => {
                self.clients[which].future = None;
                return;
            }
        }
        let client = &mut self.clients[which];
        client.heard = digest(&(client.heard, &question, fault, answer.digest()));
        self.board.port(which).answer = Some(answer);
        self.poll(which);
    }

    /// Writes down that a call's question was heard.
    fn note(&mut self, which: usize, question: &Question, fault: Option<Fault>) {
        let client = &mut self.clients[which];
        client.asked_in_call += 1;
        self.most_asked = self.most_asked.max(client.asked_in_call);
        let mut log = lock(&client.log);
        let Some(call) = log.calls.last_mut() else { return };
        call.asked = true;
        call.began = call.began.or(Some(self.step));
        call.ended = Some(self.step);
        call.faulted |= fault.is_some();
        call.stale |= fault == Some(Fault::StaleRead);
        // A draft gets its key when it is first stored.
        if let (Call::Login { key, .. }, Question::Insert { key: stored, .. }) = (&mut call.call, question) {
            key.clone_from(stored);
        }
    }

    fn apply(&mut self, which: usize, question: &Question, now: tessera::Timestamp) -> Answer {
        let client = &mut self.clients[which];
        client.asked += 1;
        // No two writes have one name, and in every run the same write has the same.
        let version = digest(&(which, client.asked, question)) ^ self.salt;
        if self.plan.rolls_back() && question.writes() {
            self.earlier.push(self.contents.clone());
        }
        self.contents.apply(question, now, version)
    }

    /// What is stored now.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The time of all clocks that are right, in milliseconds.
    pub fn now(&self) -> i64 {
        self.board.time()
    }

    /// All calls of all clients that asked anything. One that is under way has not ended.
    pub fn calls(&self) -> Vec<Observed> {
        let calls = |client: &Live| {
            let mut calls = lock(&client.log).calls.clone();
            if let (Some(last), true) = (calls.last_mut(), client.future.is_some())
                && last.told.is_none()
            {
                last.ended = None;
            }
            calls
        };
        self.clients
            .iter()
            .flat_map(calls)
            .filter(|call| call.began.is_some())
            .collect()
    }

    /// Every call of all clients, those that asked nothing too.
    pub fn all_calls(&self) -> Vec<Observed> {
        let calls = |client: &Live| lock(&client.log).calls.clone();
        self.clients.iter().flat_map(calls).collect()
    }

    /// Whether a client waits for something else than the store.
    pub fn hangs(&self) -> bool {
        self.clients.iter().any(|client| client.future.is_some())
    }

    /// All tokens that were handed out.
    pub fn tokens(&self) -> Vec<Granted> {
        self.clients
            .iter()
            .flat_map(|client| lock(&client.log).tokens.clone())
            .collect()
    }

    /// Tells states apart: two runs that come to one state go on alike, and are judged alike.
    pub fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (
            &self.contents.records,
            &self.contents.index,
            self.failed,
            self.now(),
        )
            .hash(&mut hasher);
        if self.plan.is_stale() {
            self.contents.before.hash(&mut hasher);
        }
        self.earlier.hash(&mut hasher);
        for (which, client) in self.clients.iter().enumerate() {
            let leaves = client.leaves.load(Ordering::Relaxed);
            (client.heard, client.future.is_some(), leaves).hash(&mut hasher);
            self.board.port(which).asked.hash(&mut hasher);
        }
        // Of the past, only which calls came after which matters; a call that began later comes after all that have ended.
        let calls = self.calls();
        for later in &calls {
            // When a call began it read its clock, for good.
            (later.now, &later.told).hash(&mut hasher);
            for earlier in &calls {
                earlier
                    .ended
                    .is_some_and(|ended| later.began.is_some_and(|began| ended < began))
                    .hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// A number that stands for a value.
pub(super) fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Runs one client alone, and answers what is stored then and the tokens it got.
///
/// # Errors
/// If the component refuses the plan's policy.
pub fn alone(
    plan: &Plan,
    component: &Component,
    contents: Contents,
    program: Vec<Act>,
) -> Result<(Contents, Vec<Granted>), ConfigurationError> {
    let board = Arc::new(Board::new(1, &[]));
    // A seed of its own, so that its ids are nobody else's.
    let sessions = wire(plan, component, &board, 1)?;
    let mut run = Run::bare(plan, contents, board, 0);
    run.add(&sessions, 0, program, None);
    while let Some(choice) = run.choices().first().copied() {
        run.take(choice);
    }
    Ok((run.contents.clone(), run.tokens()))
}
