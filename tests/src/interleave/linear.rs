//! Whether what clients were told, and what is stored in the end, can have come of calls made one after the other.
//!
//! A call takes its steps somewhere between its first question and its last answer, and after every call that had ended before
//! it began. If no order of all steps gives each client what it was told and leaves what is stored, something was lost, came
//! back, or was served to the wrong one. (Herlihy and Wing, *Linearizability*, 1990; searched as Wing and Gong did, 1993.)

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::calls::{Call, Handle, Progress, Rules, Told, World};
use super::model;

/// A call as it was seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What was called.
    pub call: Call,
    /// The client's clock then, in milliseconds.
    pub now: u64,
    /// The client's clock before each later try of a write.
    pub later: Vec<u64>,
    /// Whether it asked the store anything.
    pub asked: bool,
    /// The step of its first question; none if it asked nothing.
    pub began: Option<usize>,
    /// The step of its last answer.
    pub ended: Option<usize>,
    /// What was told; nothing if the client was gone.
    pub told: Option<Told>,
    /// A question of it failed.
    pub faulted: bool,
    /// May have been told of the past, as far back as the store's staleness goes.
    pub stale: bool,
}

impl Observed {
    /// A call about to be made.
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

    /// Every time at which it may have judged what it found.
    pub fn times(&self) -> impl Iterator<Item = u64> {
        std::iter::once(self.now).chain(self.later.iter().copied())
    }

    /// Whether it may have stopped anywhere on its way.
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
    /// Which calls must have ended before each.
    after: Vec<Vec<usize>>,
    /// The calls by their last answers: that is where most take effect, so this order is tried first.
    order: Vec<usize>,
    seen: HashSet<u64>,
}

/// Looks for an order that explains everything.
pub fn is_explained(rules: &Rules, start: &World, calls: &[Observed], end: &World) -> bool {
    let before = |later: &Observed, earlier: &Observed| match (earlier.ended, later.began) {
        // One that was told of the past still comes after what was done on its own handle.
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
        // What was refused before anything was done has no steps.
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

    /// A call that changes nothing wherever it stands may as well be taken where it fits first: all others fare as without it.
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
            // A theft signal is given also where ending the session failed.
            let kept = closes && observed.faulted && matches!(progress, Progress::Ended(Told::Reused));
            let worlds = if kept {
                vec![world, state.world.clone()]
            } else {
                vec![world]
            };
            if let Some(handle) = handle {
                // Who was not told what a call has done stands where it stood.
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

/// Told of the past. Only an `open` may be: whatever writes asks afresh.
fn is_late(call: &Observed) -> bool {
    call.stale && matches!(call.call, Call::Open { .. })
}

fn same_handle(one: &Observed, other: &Observed) -> bool {
    one.call.handle().is_some() && one.call.handle() == other.call.handle()
}

/// Who wrote last is for the model alone.
fn same(model: &World, stored: &World) -> bool {
    model.len() == stored.len()
        && model.iter().zip(stored).all(|((key, mine), (other, theirs))| {
            let mut mine = mine.clone();
            mine.writer = None;
            key == other && mine == *theirs
        })
}
