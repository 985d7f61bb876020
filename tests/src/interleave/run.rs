//! One run: clients that wait for the store, and a scheduler that chooses the client to continue, and the fault.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use tessera::store::{Cause, StoreError, StoreOp, StoreReply};
use tessera::{Component, ConfigurationError};

use super::clients::Granted;
use super::contents::Contents;
use super::digest::{digest, digest_of};
use super::engines::{Engines, wire};
use super::linear::Observed;
use super::plan::{Act, Event, Fault, Plan};
use super::player::{Live, Player};
use super::seat::Seat;
use super::store::{Board, START_MS};

/// A choice of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Performs a client's store operation and continues the client.
    Step(usize),
    /// The same, with a fault.
    Fail(usize, Fault),
    /// An event that affects all.
    Happen(Event),
}

/// The start of every run of a plan.
#[derive(Clone, Debug)]
pub struct Start {
    /// A store with one session of alice.
    pub contents: Contents,
    /// Its token.
    pub token: Granted,
}

/// The state of a run.
#[derive(Clone)]
pub struct Run<'a, P> {
    plan: &'a Plan,
    contents: Rc<Contents>,
    /// The hash of the contents.
    stored: u64,
    clients: Vec<Seat<P>>,
    /// The time of clocks without an offset, in milliseconds.
    time: i64,
    /// The order of the clients' reads and deletions, if clients share the memory of opens.
    looks: Vec<usize>,
    step: usize,
    /// The contents before each write, if the plan has failovers.
    earlier: Vec<Rc<Contents>>,
    failed: usize,
    /// The maximum number of store operations of one call.
    pub most_asked: usize,
}

impl<'a> Run<'a, Live> {
    /// Creates the clients and runs each to its first store operation.
    pub fn live(plan: &'a Plan, engines: &mut Engines, start: &Start) -> Self {
        engines.begin(plan);
        let players = plan.programs.iter().enumerate().map(|(number, program)| {
            let sessions = &engines.sessions[number % engines.sessions.len()];
            let token = Some(start.token.token.clone());
            Live::start(
                (plan, &engines.board),
                (sessions, None),
                number,
                program.clone(),
                token,
            )
        });
        Self::new(plan, start.contents.clone(), players.collect())
    }
}

impl<'a, P: Player> Run<'a, P> {
    /// Creates a run with these clients.
    pub fn of(plan: &'a Plan, start: &Start, players: Vec<P>) -> Self {
        Self::new(plan, start.contents.clone(), players)
    }

    pub(super) fn new(plan: &'a Plan, mut contents: Contents, players: Vec<P>) -> Self {
        contents.remembers = plan.is_stale();
        let (clients, earlier) = (players.into_iter().map(Seat::new).collect(), Vec::new());
        Self {
            plan,
            stored: digest(&contents),
            contents: Rc::new(contents),
            clients,
            time: START_MS,
            looks: Vec::new(),
            step: 0,
            earlier,
            failed: 0,
            most_asked: 0,
        }
    }

    /// Returns the possible choices. The list is empty when all clients except an adversary have ended.
    pub fn choices(&self) -> Vec<Choice> {
        let waits = |which: &usize| self.clients[*which].asked().is_some();
        let adversary = self.plan.has_adversary.then(|| self.clients.len() - 1);
        let mut waiting: Vec<usize> = (0..self.clients.len()).filter(waits).collect();
        if waiting.iter().all(|which| Some(*which) == adversary) {
            waiting.clear();
        }
        let mut choices: Vec<Choice> = waiting.iter().map(|which| Choice::Step(*which)).collect();
        if self.failed < self.plan.most_faults && !waiting.is_empty() {
            for which in waiting {
                let fits = |fault: &&Fault| Some(which) != adversary && self.fits(which, **fault);
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
        let client = &self.clients[which];
        let Some((_, question)) = client.asked() else {
            return false;
        };
        match fault {
            Fault::Lost | Fault::ProcessGoneAfter | Fault::TrapAfter => question.writes(),
            Fault::StaleRead => match question {
                StoreOp::Get { key, fresh: false } => self.contents.stale(key).is_some(),
                _ => false,
            },
            Fault::CallerGone => !client.player.leaves(),
            Fault::Unavailable | Fault::Trap | Fault::ProcessGone => true,
        }
    }

    /// Takes a choice.
    pub fn take(&mut self, choice: Choice) {
        self.step += 1;
        if self.plan.rolls_back() || self.plan.ticks {
            self.time += 1;
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
                    Event::ClockJumps(by) => self.time += by,
                    Event::RolledBack(writes) => {
                        self.time += self.plan.clock_spread();
                        let place = self.earlier.len() - writes;
                        self.contents = self.earlier.swap_remove(place);
                        self.earlier.truncate(place);
                        self.stored = digest(&*self.contents);
                    }
                }
            }
        }
    }

    fn go_on(&mut self, which: usize, fault: Option<Fault>) {
        let stand = Rc::clone(self.clients[which].player.stand());
        let Some((now, question)) = stand
            .asked
            .as_ref()
            .filter(|_| self.clients[which].asked().is_some())
        else {
            return;
        };
        self.note(which, question, fault);
        let client = &mut self.clients[which];
        client.player.hear();
        client.has_written |= question.writes();
        // A call that has not requested a write ends with its caller.
        let is_dropped = fault == Some(Fault::CallerGone) && !client.has_written;
        if is_dropped || fault == Some(Fault::ProcessGone) {
            client.player.stop();
            return;
        }
        if fault == Some(Fault::CallerGone) {
            client.player.leave();
        }
        let done = !matches!(fault, Some(Fault::Unavailable | Fault::Trap | Fault::StaleRead));
        let mut answer = question.failed(StoreError::Unavailable(Cause::new("a fault of the plan")));
        if done {
            answer = self.apply(which, question, *now);
        }
        match (fault, question) {
            (Some(Fault::Unavailable), _) | (None | Some(Fault::CallerGone | Fault::ProcessGone), _) => {}
            (Some(Fault::Lost), _) => {
                answer = question.failed(StoreError::Unavailable(Cause::new("a fault of the plan")))
            }
            (Some(Fault::Trap | Fault::TrapAfter), _) => {
                answer = question.failed(StoreError::Other(Cause::new("trap")))
            }
            (Some(Fault::StaleRead), StoreOp::Get { key, .. }) => {
                answer = self.contents.stale(key).unwrap_or(answer);
            }
            (Some(Fault::StaleRead), _) => {}
            (Some(Fault::ProcessGoneAfter), _) => {
                self.clients[which].player.stop();
                return;
            }
        }
        let client = &mut self.clients[which];
        client.heard = digest(&(client.heard, stand.question, fault, digest_of(&answer)));
        client.answer(self.time, answer);
    }

    /// Records a store operation of a call.
    fn note(&mut self, which: usize, question: &StoreOp, fault: Option<Fault>) {
        let off_by = self.plan.clocks.get(which).copied().unwrap_or(0);
        let clock = (self.time + off_by).unsigned_abs();
        let client = &mut self.clients[which];
        client.asked_in_call += 1;
        self.most_asked = self.most_asked.max(client.asked_in_call);
        let Some(call) = Rc::make_mut(&mut client.calls).last_mut() else {
            return;
        };
        call.asked = true;
        call.began = call.began.or(Some(self.step));
        call.ended = Some(self.step);
        call.faulted |= fault.is_some();
        call.stale |= fault == Some(Fault::StaleRead);
        // Before a write is tried again, the record is read, and then the clock.
        let reads_again = call.wrote && matches!(question, StoreOp::Get { fresh: true, .. });
        if reads_again && call.later.last() != Some(&clock) {
            call.later.push(clock);
        }
        call.wrote |= question.writes();
        // A draft has a key only when it is stored.
        if let StoreOp::Insert { key, .. } = question {
            call.key = Some(key.as_str().into());
        }
    }

    fn apply(&mut self, which: usize, question: &StoreOp, now: tessera::Timestamp) -> StoreReply {
        let client = &mut self.clients[which];
        client.asked += 1;
        let is_look = matches!(
            question,
            StoreOp::Get { fresh: false, .. } | StoreOp::Delete { .. }
        );
        if self.plan.shared && is_look {
            self.looks.push(which);
        }
        if let Some(read) = self.contents.read(question, now) {
            return read;
        }
        // Versions are unique, and the same write has the same version in every run.
        let version = digest(&(which, client.asked, question));
        if self.plan.rolls_back() {
            self.earlier.push(Rc::clone(&self.contents));
        }
        let answer = Rc::make_mut(&mut self.contents).apply(question, now, version);
        self.stored = digest(&*self.contents);
        answer
    }

    /// The present contents of the store.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The time of clocks without an offset, in milliseconds.
    pub fn now(&self) -> i64 {
        self.time
    }

    /// All calls of all clients with a store operation. A call in progress has no end.
    pub fn calls(&self) -> Vec<Observed> {
        let calls = |client: &Seat<P>| {
            let mut calls = client.calls();
            if let (Some(last), true) = (calls.last_mut(), client.player.is_there())
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

    /// All calls of all clients, including those without a store operation.
    pub fn all_calls(&self) -> Vec<Observed> {
        self.clients.iter().flat_map(Seat::calls).collect()
    }

    /// Whether a client has not ended, which after the last choice means that it waits for something else than the store.
    pub fn hangs(&self) -> bool {
        let is_adversary = |which: usize| self.plan.has_adversary && which + 1 == self.clients.len();
        let mut clients = self.clients.iter().enumerate();
        clients.any(|(which, client)| client.player.is_there() && !is_adversary(which))
    }

    /// All issued tokens.
    pub fn tokens(&self) -> Vec<Granted> {
        let tokens = |client: &Seat<P>| client.player.stand().log.tokens.clone();
        self.clients.iter().flat_map(tokens).collect()
    }

    /// The hash of the state. Two runs in the same state have the same continuations and judgements.
    pub fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.stored, self.failed, self.now()).hash(&mut hasher);
        (&self.earlier, &self.looks).hash(&mut hasher);
        for client in &self.clients {
            let player = &client.player;
            (client.heard, player.is_there(), player.leaves()).hash(&mut hasher);
            player.stand().question.hash(&mut hasher);
            for (_, _, place) in client.spans() {
                // A call reads its clock once, when it begins.
                player.stand().told[place].hash(&mut hasher);
            }
        }
        self.order(&mut hasher);
        hasher.finish()
    }

    /// The hash of everything that a judgement of an ended run depends on.
    pub fn end(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.stored, self.now()).hash(&mut hasher);
        for client in &self.clients {
            client.player.stand().past.hash(&mut hasher);
            for heard in &*client.calls {
                (heard.asked, &heard.key, heard.faulted, heard.stale).hash(&mut hasher);
                (heard.began.is_some(), heard.ended.is_some(), &heard.later).hash(&mut hasher);
            }
        }
        self.order(&mut hasher);
        hasher.finish()
    }

    fn order(&self, hasher: &mut DefaultHasher) {
        let spans = self.clients.iter().flat_map(Seat::spans);
        let spans: Vec<_> = spans.map(|(began, ended, _)| (began, ended)).collect();
        // Only the order of past calls matters; a call that begins later comes after all that have ended.
        for (began, _) in &spans {
            for (_, ended) in &spans {
                ended.is_some_and(|ended| ended < *began).hash(hasher);
            }
        }
    }
}

/// Runs one client alone. Returns the contents of the store and the tokens that the client received.
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
    // A different seed, so that its ids differ from those of others.
    let sessions = wire(plan, component, &board, 1)?;
    let player = Live::start((plan, &board), (&sessions, None), 0, program, None);
    let mut run = Run::new(plan, contents, vec![player]);
    while let Some(choice) = run.choices().first().copied() {
        run.take(choice);
    }
    let tokens = run.tokens();
    Ok((Rc::unwrap_or_clone(run.contents), tokens))
}
