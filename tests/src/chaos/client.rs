//! One client: its random actions, and the responses that it must receive.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::caller::Caller;
use super::ledger::{Asked, Ended, Session, Told};
use super::world::World;
use crate::dice::Dice;

/// The maximum number of sessions of a client. At this number, the client logs one out.
const MOST_SESSIONS: usize = 12;
/// The range of the pause between two calls of a client, in milliseconds.
const THINKING: [u64; 2] = [1, 10];

/// The state of a client.
pub(super) struct LoadClient<'a> {
    pub(super) world: &'a World,
    pub(super) caller: Caller<'a>,
    pub(super) dice: Dice,
    pub(super) number: usize,
    /// Its subject, which no other client uses.
    pub(super) subject: String,
    /// The number of subjects that it has abandoned.
    pub(super) left: usize,
    /// The name of its field in the sessions that all clients write.
    pub(super) shared_field: String,
    pub(super) sessions: Vec<Session>,
    pub(super) ended: Vec<Ended>,
    /// The public ids of the subject's sessions that have ended.
    pub(super) gone: HashSet<String>,
    /// The maximum number of the subject's sessions whose tokens were lost.
    pub(super) strays: usize,
}

impl<'a> LoadClient<'a> {
    pub(super) fn new(world: &'a World, number: usize, seed: u64) -> Self {
        Self {
            world,
            caller: Caller::new(world),
            dice: Dice::new(seed, 1 + number as u64),
            number,
            subject: format!("user{number}"),
            left: 0,
            shared_field: format!("c{number}"),
            sessions: Vec::new(),
            ended: Vec::new(),
            gone: HashSet::new(),
            strays: 0,
        }
    }

    /// Performs random actions until the run is over or wrong.
    pub(super) fn load(&mut self) {
        let [least, most] = THINKING;
        while !self.world.is_over.load(Ordering::Relaxed) && !self.world.tally.is_wrong() {
            {
                let _open = self.world.gate.read().unwrap_or_else(PoisonError::into_inner);
                self.act();
            }
            std::thread::sleep(self.dice.pause(least, most));
        }
    }

    /// Performs one random action.
    fn act(&mut self) {
        if self.sessions.len() >= MOST_SESSIONS {
            return self.logout();
        }
        match self.dice.below(100) {
            0..25 => self.save_shared(),
            25..44 => self.save(),
            44..66 => self.open(),
            66..74 => self.show_an_ended_one(),
            74..83 => self.create(),
            83..86 => self.log_in(),
            86..91 => self.rotate(),
            91..96 => self.logout(),
            96..99 => drop(self.list()),
            _ => self.revoke_all(),
        }
    }

    pub(super) fn wrong(&self, what: &str) {
        let text = format!("client {}: {what}", self.number);
        self.world.tally.wrong(text);
    }

    pub(super) fn ask(&mut self) -> Asked {
        let at = self.dice.below(self.world.instances.len());
        self.caller.begin(at)
    }

    /// Returns the index of a random session.
    pub(super) fn any(&mut self) -> Option<usize> {
        (!self.sessions.is_empty()).then(|| self.dice.below(self.sessions.len()))
    }

    /// Handles a session that turned out to have ended, which is an error unless it is in doubt.
    pub(super) fn found_ended(&mut self, at: usize, told: Told, how: &str) {
        if self.sessions[at].is_in_doubt {
            self.end(at, told);
        } else {
            self.wrong(&format!("a live session, {how}: not logged in"));
        }
    }

    pub(super) fn end(&mut self, at: usize, told: Told) {
        let session = self.sessions.swap_remove(at);
        if session.subject.as_deref() == Some(self.subject.as_str()) {
            self.gone.insert(session.public_id);
        }
        self.ended.push(Ended {
            tokens: session.tokens,
            told,
            deeds: session.deeds,
        });
    }
}
