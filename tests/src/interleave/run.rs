//! One run: clients that wait for the store, and a scheduler that says which of them goes on, and how.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tessera::store::{Capabilities, Cause, StoreError};
use tessera::{CapRule, Component, ConfigurationError, ReuseRule, Sessions};

use super::calls::{Call, Told};
use super::clients::{Client, Granted, Log, refused, seen};
use super::contents::{Answer, Contents, Question};
use super::linear::Observed;
use super::plan::{Act, Event, Fault, Plan};
use super::store::{Board, BoardClock, BoardRandom, SteppedStore, lock};

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

/// What a store promises in a plan.
fn capabilities(plan: &Plan) -> Capabilities {
    let staleness = if plan.is_stale() {
        Duration::from_secs(5)
    } else {
        Duration::ZERO
    };
    Capabilities {
        compare_and_swap: true,
        list_by_owner: true,
        acknowledged_writes_survive_failover: !plan.rolls_back(),
        maximum_staleness: staleness,
        index_staleness: Duration::ZERO,
        minimum_ttl: Duration::ZERO,
        expiry_resolution: Duration::from_millis(1),
        minimum_write_interval: Duration::ZERO,
        maximum_key_bytes: 512,
        maximum_owner_bytes: 512,
        maximum_value_bytes: 1 << 20,
    }
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
}

fn wire(
    plan: &Plan,
    component: &Component,
    board: &Arc<Board>,
    seed: u64,
) -> Result<Sessions, ConfigurationError> {
    Sessions::builder_with(component.clone())?
        .signing_key("plan", [7; 32])
        .instances(1)
        .clock(BoardClock(Arc::clone(board)))
        .random(BoardRandom {
            board: Arc::clone(board),
            seed,
        })
        .policy(|policy| {
            policy.key_prefix = String::new();
            // More than any clock here is off or jumps: beyond it a token is refused as not valid yet, as it should be.
            policy.clock_skew = Duration::from_secs(60);
            policy.rotation_grace = Duration::from_millis(plan.rules.grace);
            policy.sessions_per_owner = plan.rules.cap.map(|cap| cap as u32);
            policy.cap_rule = if plan.rules.evicts {
                CapRule::EvictOldest
            } else {
                CapRule::Refuse
            };
            policy.reuse_rule = if plan.rules.reuse_ends {
                ReuseRule::EndSession
            } else {
                ReuseRule::Report
            };
        })
        .build(SteppedStore::new(Arc::clone(board), capabilities(plan)))
}

/// The engines of a plan's clients: one for each, or one for all.
///
/// They are used for run after run: what an engine remembers of one is which text belongs to which version, and that is the
/// same in all runs, because a version is made of the text. Clients that share an engine find it cold in each run: there the
/// number of the run is part of a version.
pub struct Engines {
    sessions: Vec<Sessions>,
    board: Arc<Board>,
    runs: u64,
}

impl Engines {
    /// For all clients of a plan.
    ///
    /// # Errors
    /// If the component refuses the plan's policy.
    pub fn new(plan: &Plan, component: &Component) -> Result<Self, ConfigurationError> {
        let clients = plan.programs.len();
        let board = Arc::new(Board::new(clients, &plan.clocks));
        let engines = if plan.shared { 1 } else { clients };
        let sessions = (0..engines)
            .map(|_| wire(plan, component, &board, 0))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sessions,
            board,
            runs: 0,
        })
    }
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
            client.asked_in_call = 0;
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
            Fault::Lost | Fault::ProcessGoneAfter => question.writes(),
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
        if self.plan.rolls_back() {
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
        if fault == Some(Fault::ProcessGone) {
            self.clients[which].future = None;
            return;
        }
        if fault == Some(Fault::CallerGone) {
            self.clients[which].leaves.store(true, Ordering::Relaxed);
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
            (Some(Fault::Trap), _) => answer = Answer::Failed(StoreError::Other(Cause::new("trap"))),
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

fn digest(of: &impl Hash) -> u64 {
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

/// An engine that has seen nothing of a run, and is shown its tokens at the end.
pub struct Witness {
    sessions: Sessions,
    board: Arc<Board>,
}

impl Witness {
    /// For the runs of a plan.
    ///
    /// # Errors
    /// If the component refuses the plan's policy.
    pub fn new(plan: &Plan, component: &Component) -> Result<Self, ConfigurationError> {
        let board = Arc::new(Board::new(1, &[]));
        Ok(Self {
            sessions: wire(plan, component, &board, 2)?,
            board,
        })
    }

    /// Opens a session with nobody else about.
    pub fn open(&self, contents: &mut Contents, token: &str, now: i64) -> Told {
        self.board.set_time(now);
        let mut opening = Box::pin(async {
            let opened = self.sessions.open(token).await;
            opened.map_or_else(|error| refused(&error), |session| seen(&session))
        });
        loop {
            if let Poll::Ready(told) = opening.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return told;
            }
            let mut port = self.board.port(0);
            let Some((now, question)) = port.asked.take() else {
                return Told::Odd("it waits for nothing".into());
            };
            port.answer = Some(contents.apply(&question, now, digest(&question)));
        }
    }
}
