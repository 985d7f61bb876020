//! A client from the view of one run: the player, and the scheduler's record of its calls.

use std::rc::Rc;

use tessera::store::StoreReply;

use super::calls::Call;
use super::linear::Observed;
use super::player::{Asked, Player};

/// The scheduler's record of a call, which its client does not know.
#[derive(Clone, Debug, Default)]
pub(super) struct CallNotes {
    pub(super) asked: bool,
    pub(super) key: Option<Rc<str>>,
    pub(super) began: Option<usize>,
    pub(super) ended: Option<usize>,
    pub(super) faulted: bool,
    pub(super) stale: bool,
    /// Whether it has requested a write.
    pub(super) wrote: bool,
    /// The client's clock before each later try, in milliseconds.
    pub(super) later: Vec<u64>,
}

/// A client, with the record of its store operations.
#[derive(Clone)]
pub(super) struct Seat<P> {
    pub(super) player: P,
    /// The record of each of its calls.
    pub(super) calls: Rc<Vec<CallNotes>>,
    /// The hash of all its operations and their replies.
    pub(super) heard: u64,
    pub(super) asked: u64,
    pub(super) asked_in_call: usize,
    /// Whether the call in progress has requested a write. It then runs to its end even without its caller.
    pub(super) has_written: bool,
}

impl<P: Player> Seat<P> {
    pub(super) fn new(player: P) -> Self {
        let calls = Rc::new(vec![CallNotes::default(); player.stand().log.calls.len()]);
        Self {
            player,
            calls,
            heard: 0,
            asked: 0,
            asked_in_call: 0,
            has_written: false,
        }
    }

    /// Its calls as observed from outside.
    pub(super) fn calls(&self) -> Vec<Observed> {
        let mut calls = self.player.stand().log.calls.clone();
        for (call, heard) in calls.iter_mut().zip(&*self.calls) {
            call.asked |= heard.asked;
            (call.began, call.ended) = (heard.began, heard.ended);
            (call.faulted, call.stale) = (heard.faulted, heard.stale);
            call.later.clone_from(&heard.later);
            if let (Call::Login { key, .. }, Some(stored)) = (&mut call.call, &heard.key) {
                *key = stored.to_string();
            }
        }
        calls
    }

    /// The first and last step of each call with a store operation, and its index. A call in progress has no last step.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, Option<usize>, usize)> {
        let last = self.calls.len().wrapping_sub(1);
        let calls = &self.player.stand().log.calls;
        self.calls.iter().enumerate().filter_map(move |(place, heard)| {
            let is_under_way = place == last && self.player.is_there() && calls[place].told.is_none();
            let ended = heard.ended.filter(|_| !is_under_way);
            heard.began.map(|began| (began, ended, place))
        })
    }

    /// The store operation that it waits for.
    pub(super) fn asked(&self) -> Option<&Asked> {
        let asked = self.player.stand().asked.as_ref();
        asked.filter(|_| self.player.is_there())
    }

    pub(super) fn answer(&mut self, time: i64, answer: StoreReply) {
        let calls = self.calls.len();
        self.player.answer(time, answer);
        let now = self.player.stand().log.calls.len();
        if now != calls {
            (self.asked_in_call, self.has_written) = (0, false);
        }
        Rc::make_mut(&mut self.calls).resize_with(now, CallNotes::default);
    }
}
