//! One client: what it does, drawn by chance, and what it must be told.

use std::collections::HashSet;

use super::World;
use super::caller::Caller;
use super::dice::Dice;
use super::ledger::{Asked, Ended, Session, Told};

/// Beyond, one is logged out before another is made.
const MOST_SESSIONS: usize = 12;

/// What a client knows.
pub(super) struct LoadClient<'a> {
    pub(super) world: &'a World,
    pub(super) caller: Caller<'a>,
    pub(super) dice: Dice,
    pub(super) number: usize,
    /// Its own; nobody else has any of it.
    pub(super) subject: String,
    /// How many subjects it has left behind.
    pub(super) left: usize,
    /// Its field in the sessions that all clients write.
    pub(super) shared_field: String,
    pub(super) sessions: Vec<Session>,
    pub(super) ended: Vec<Ended>,
    /// References of the subject's sessions that have ended.
    pub(super) gone: HashSet<String>,
    /// How many sessions of the subject there may be of which nobody has a token.
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

    /// Does one thing.
    pub(super) fn act(&mut self) {
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

    /// Any of its sessions.
    pub(super) fn any(&mut self) -> Option<usize> {
        (!self.sessions.is_empty()).then(|| self.dice.below(self.sessions.len()))
    }

    /// Only what may have been ended may be found ended.
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
