//! Linearizability: whether a sequential order of the calls explains all results and the stored records.
//!
//! A call takes its steps between its first store operation and its last reply, and after every call that had ended before
//! it began. If no order of all steps leads to the results and the stored records, something was lost, resurrected, or
//! served to the wrong client. (Herlihy and Wing, *Linearizability*, 1990; the search is that of Wing and Gong, 1993.)

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::calls::{Call, Handle, Progress, Rules, Told, World};
use super::model;

/// A call as observed from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The call.
    pub call: Call,
    /// The client's clock at its beginning, in milliseconds.
    pub now: u64,
    /// The client's clock before each later try of a write, in milliseconds.
    pub later: Vec<u64>,
    /// Whether it performed a store operation.
    pub asked: bool,
    /// The step of its first store operation, if there was one.
    pub began: Option<usize>,
    /// The step of its last reply.
    pub ended: Option<usize>,
    /// Its result, unless the client was gone.
    pub told: Option<Told>,
    /// Whether one of its store operations failed.
    pub faulted: bool,
    /// Whether it received a stale reply.
    pub stale: bool,
}

impl Observed {
    /// Creates a call that is about to begin.
    pub fn new(call: Call, now: u64) -> Self {
        Self {
            call,
            now,
            later: Vec::new(),
            asked: false,
            began: None,
            ended: None,
            told: None,
            faulted: false,
            stale: false,
        }
    }

    /// All times at which it may have decided.
    pub fn times(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.now).chain(self.later.iter().copied())
    }

    /// Whether it may have stopped after any of its steps.
    fn may_stop(&self) -> bool {
        matches!(self.told, None | Some(Told::Unknown))
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    world: World,
    handles: Vec<Handle>,
    progress: Vec<Progress>,
    closed: Vec<bool>,
}

struct Search<'a> {
    rules: &'a Rules,
    calls: &'a [Observed],
    end: &'a World,
    /// The calls that must have ended before each call.
    after: Vec<Vec<usize>>,
    /// The calls by their last replies. Most take effect there, so this order is tried first.
    order: Vec<usize>,
    seen: HashSet<u64>,
}

/// Searches for an order of the calls that leads from `start` to their results and to `end`.
pub fn is_explained(rules: &Rules, start: &World, calls: &[Observed], end: &World) -> bool {
    let before = |later: &Observed, earlier: &Observed| match (earlier.ended, later.began) {
        // A call with a stale reply still comes after earlier calls on its own handle.
        (Some(ended), Some(began)) => ended < began && (!is_late(later) || same_handle(later, earlier)),
        _ => false,
    };
    let after = calls
        .iter()
        .map(|later| {
            (0..calls.len())
                .filter(|earlier| before(later, &calls[*earlier]))
                .collect()
        })
        .collect();
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|which| calls[*which].ended.unwrap_or(usize::MAX));
    let handles = calls
        .iter()
        .filter_map(|call| call.call.handle())
        .max()
        .map_or(0, |most| most + 1);
    let state = State {
        world: start.clone(),
        handles: vec![Handle::default(); handles],
        progress: vec![Progress::Begun; calls.len()],
        // A call that was refused before it took effect has no steps.
        closed: calls
            .iter()
            .map(|call| {
                let told = call.told.as_ref();
                told.is_some_and(|told| {
                    matches!(told, Told::Unavailable | Told::InstanceLost | Told::Contended)
                })
            })
            .collect(),
    };
    Search {
        rules,
        calls,
        end,
        after,
        order,
        seen: HashSet::new(),
    }
    .explains(&state)
}

impl Search<'_> {
    fn explains(&mut self, state: &State) -> bool {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            return false;
        }
        if state.closed.iter().all(|closed| *closed) && same(&state.world, self.end) {
            return true;
        }
        let is_free = |which: &usize| {
            !state.closed[*which] && self.after[*which].iter().all(|earlier| state.closed[*earlier])
        };
        let free: Vec<usize> = self.order.iter().copied().filter(is_free).collect();
        if let Some(next) = free.iter().find_map(|which| self.unnoticed(state, *which)) {
            return self.explains(&next);
        }
        free.into_iter().any(|which| self.go_on(state, which))
    }

    /// Takes a call that changes nothing at the first position where it fits, because it does not affect the others.
    fn unnoticed(&self, state: &State, which: usize) -> Option<State> {
        let observed = &self.calls[which];
        let changes_nothing =
            |told: &&Told| matches!(told, Told::Opened { .. } | Told::Missing | Told::Replaced);
        let told = observed.told.as_ref().filter(changes_nothing)?;
        let (handle, at) = (observed.call.handle()?, &state.progress[which]);
        let held = &state.handles[handle];
        let ended = Progress::Ended(told.clone());
        let at_time = |now| model::next(self.rules, &state.world, held, &observed.call, at, now);
        let mut steps = observed.times().flat_map(at_time);
        let (_, held, progress) = steps.find(|(_, _, progress)| *progress == ended)?;
        let mut next = state.clone();
        next.handles[handle] = held;
        next.progress[which] = progress;
        next.closed[which] = true;
        Some(next)
    }

    fn go_on(&mut self, state: &State, which: usize) -> bool {
        let (observed, at) = (&self.calls[which], &state.progress[which]);
        let handle = observed.call.handle();
        let held = handle.map_or_else(Handle::default, |handle| state.handles[handle].clone());
        let at_time = |now| model::next(self.rules, &state.world, &held, &observed.call, at, now);
        let steps: Vec<model::Next> = observed.times().flat_map(at_time).collect();
        for (world, held, progress) in steps {
            let closes = match &progress {
                Progress::Ended(told) if observed.may_stop() || observed.told.as_ref() == Some(told) => true,
                Progress::Ended(_) => continue,
                _ => false,
            };
            let mut next = state.clone();
            // A theft signal is returned even if the session could not be ended.
            let kept = closes && observed.faulted && matches!(progress, Progress::Ended(Told::Reused));
            let worlds = if kept {
                vec![world, state.world.clone()]
            } else {
                vec![world]
            };
            if let Some(handle) = handle {
                // A client that received no result keeps its handle.
                let heard = observed.told.as_ref().is_some_and(|told| *told != Told::Unknown);
                let kept = Handle {
                    tried: true,
                    ..state.handles[handle].clone()
                };
                next.handles[handle] = if heard { held } else { kept };
            }
            next.progress[which] = progress;
            next.closed[which] = closes;
            for world in worlds {
                next.world = world;
                if self.explains(&next) {
                    return true;
                }
            }
        }
        let mut stopped = state.clone();
        stopped.closed[which] = true;
        observed.may_stop() && self.explains(&stopped)
    }
}

/// Whether a call may have used stale data. Only an `open` may, because calls that write read fresh data.
fn is_late(call: &Observed) -> bool {
    call.stale && matches!(call.call, Call::Open { .. })
}

fn same_handle(one: &Observed, other: &Observed) -> bool {
    one.call.handle().is_some() && one.call.handle() == other.call.handle()
}

/// Whether the worlds are equal, apart from the last writer, which only the model has.
fn same(model: &World, stored: &World) -> bool {
    model.len() == stored.len()
        && model.iter().zip(stored).all(|((key, mine), (other, theirs))| {
            let mut mine = mine.clone();
            mine.writer = None;
            key == other && mine == *theirs
        })
}
