//! Clients that are asked once: what a client does next is known by the answers it was given, and remembered.
//!
//! A client with an engine of its own learns of the others by the store's answers and by its clock, and of nothing else. So
//! all runs in which it was answered alike find it in one place, and only the first of them has to ask the component. Whenever
//! a client is brought to such a place again, it is compared with what is remembered.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tessera::store::StoreReply;
use tessera::{Component, ConfigurationError};

use super::contents::digest_of;
use super::engines::Engines;
use super::plan::Plan;
use super::player::{Live, Player, Stand};
use super::run::{Start, digest};
use super::store::START_MS;

/// What brought a client from one place to the next.
struct Step {
    time: i64,
    leaves: bool,
    answer: StoreReply,
}

/// Where a client stands after some answers.
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

/// All places of a plan's clients that were seen.
pub struct Memory<'a> {
    plan: &'a Plan,
    start: &'a Start,
    engines: Engines,
    places: Vec<Place>,
    /// Each client as it was left, and where.
    lives: Vec<Option<(usize, Live)>>,
    /// A client was answered as before and did not do as before.
    pub differs: Option<String>,
}

impl<'a> Memory<'a> {
    /// Of a plan whose clients have engines of their own.
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
        // Each client's first place has its number.
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
        Live::start((self.plan, board), &sessions[which], which, program, Some(token))
    }

    /// Brings a client to a place, unless it is there.
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
                self.differs = Some(format!("client {which} did not do again what it did before"));
            }
        }
        live
    }

    /// Where a client comes to from a place.
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

/// A client that is remembered.
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
    /// A client at its beginning.
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
