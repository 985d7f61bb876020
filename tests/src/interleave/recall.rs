//! Memoised clients: the next operation of a client is determined by its replies so far, and is remembered.
//!
//! A client with an engine of its own depends on the others only through the store's replies and its clock.
//! So in all runs with the same replies it is in the same state, and only the first of these runs calls the component.
//! Whenever a client is brought to a known state again, the two are compared.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tessera::store::StoreReply;
use tessera::{Component, ConfigurationError};

use super::digest::{digest, digest_of};
use super::engines::Engines;
use super::plan::Plan;
use super::player::{Live, Player, Stand};
use super::run::{Run, Start};
use super::store::START_MS;

/// The transition of a client from one place to the next.
struct Step {
    time: i64,
    leaves: bool,
    answer: StoreReply,
}

/// A client's state after a sequence of replies.
struct Place {
    from: Option<(usize, Step)>,
    stand: Rc<Stand>,
    next: HashMap<u64, usize>,
}

impl Place {
    fn of(live: &Live, from: Option<(usize, Step)>) -> Self {
        Self {
            from,
            stand: Rc::clone(live.stand()),
            next: HashMap::new(),
        }
    }
}

/// All known places of a plan's clients.
pub struct Memory<'a> {
    plan: &'a Plan,
    start: &'a Start,
    engines: Engines,
    places: Vec<Place>,
    /// Each running client, with its place.
    lives: Vec<Option<(usize, Live)>>,
    /// Describes a client that behaved differently after the same replies.
    pub differs: Option<String>,
}

impl<'a> Memory<'a> {
    /// Creates a memory for a plan whose clients have engines of their own.
    ///
    /// # Errors
    /// If the component refuses the plan's policy.
    pub fn new(plan: &'a Plan, component: &Component, start: &'a Start) -> Result<Self, ConfigurationError> {
        let (engines, clients) = (Engines::new(plan, component)?, plan.programs.len());
        let mut memory = Self {
            plan,
            start,
            engines,
            places: Vec::new(),
            lives: (0..clients).map(|_| None).collect(),
            differs: None,
        };
        // The first place of each client has the client's number.
        for which in 0..clients {
            let live = memory.begin(which);
            memory.places.push(Place::of(&live, None));
        }
        Ok(memory)
    }

    fn begin(&self, which: usize) -> Live {
        let Engines { sessions, board, .. } = &self.engines;
        *board.port(which) = Default::default();
        board.set_time(START_MS);
        let (program, token) = (self.plan.programs[which].clone(), self.start.token.token.clone());
        Live::start(
            (self.plan, board),
            (&sessions[which], None),
            which,
            program,
            Some(token),
        )
    }

    /// Brings a client to a place. Replays the replies unless it is there already.
    fn bring(&mut self, which: usize, to: usize) -> Live {
        if let Some((at, live)) = self.lives[which].take()
            && at == to
        {
            return live;
        }
        let mut way = vec![to];
        while let Some((from, _)) = way.last().and_then(|place| self.places[*place].from.as_ref()) {
            way.push(*from);
        }
        let mut live = self.begin(which);
        for place in way.into_iter().rev() {
            if let Some((_, step)) = &self.places[place].from {
                go_on(&mut live, step);
            }
            if self.places[place].stand != *live.stand() {
                self.differs = Some(format!("client {which} behaved differently when it was repeated"));
            }
        }
        live
    }

    /// Returns the place that a client reaches from another one.
    fn after(&mut self, which: usize, place: usize, step: Step) -> usize {
        let key = digest(&(step.time, step.leaves, digest_of(&step.answer)));
        if let Some(next) = self.places[place].next.get(&key) {
            return *next;
        }
        let mut live = self.bring(which, place);
        go_on(&mut live, &step);
        let next = self.places.len();
        self.places.push(Place::of(&live, Some((place, step))));
        self.places[place].next.insert(key, next);
        self.lives[which] = Some((next, live));
        next
    }
}

fn go_on(live: &mut Live, step: &Step) {
    live.hear();
    if step.leaves {
        live.leave();
    }
    live.answer(step.time, step.answer.clone());
}

/// A memoised client.
#[derive(Clone)]
pub struct Recalled<'a> {
    memory: Rc<RefCell<Memory<'a>>>,
    which: usize,
    place: usize,
    stand: Rc<Stand>,
    is_stopped: bool,
    leaves: bool,
}

impl<'a> Recalled<'a> {
    /// Creates a client at its first place.
    pub fn new(memory: &Rc<RefCell<Memory<'a>>>, which: usize) -> Self {
        Self {
            memory: Rc::clone(memory),
            which,
            place: which,
            stand: Rc::clone(&memory.borrow().places[which].stand),
            is_stopped: false,
            leaves: false,
        }
    }
}

impl Player for Recalled<'_> {
    fn stand(&self) -> &Rc<Stand> {
        &self.stand
    }

    fn is_there(&self) -> bool {
        !self.is_stopped && self.stand.is_there
    }

    fn leaves(&self) -> bool {
        self.leaves
    }

    fn hear(&mut self) {}

    fn leave(&mut self) {
        self.leaves = true;
    }

    fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn answer(&mut self, time: i64, answer: StoreReply) {
        let mut memory = self.memory.borrow_mut();
        let step = Step {
            time,
            leaves: self.leaves,
            answer,
        };
        self.place = memory.after(self.which, self.place, step);
        self.stand = Rc::clone(&memory.places[self.place].stand);
    }
}

impl<'a, 'm> Run<'a, Recalled<'m>> {
    /// Creates a run of memoised clients.
    pub fn recalled(plan: &'a Plan, memory: &Rc<RefCell<Memory<'m>>>, start: &Start) -> Self {
        let players = (0..plan.programs.len()).map(|which| Recalled::new(memory, which));
        Self::new(plan, start.contents.clone(), players.collect())
    }
}
