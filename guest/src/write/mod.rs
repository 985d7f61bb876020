//! The one way in which a session's record is written: judge, compose, compare and swap, and again if others came first.

mod base;
mod intent;
mod plan;
mod relocate;

use std::cell::Cell;
use std::rc::Rc;

pub(crate) use base::Base;
pub(crate) use intent::Intent;

use self::plan::Plan;
use self::relocate::{next_id, relocate};
use crate::call::{Call, Swap};
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::Generations;
use crate::id::SessionId;
use crate::live::Live;
use crate::mint::mint;
use crate::moments::Moments;
use crate::overlay::Overlay;
use crate::policy::FieldRule;
use crate::ports::{Condition, Expected, Placement};
use crate::record::Head;
use crate::snapshot::Snapshot;
use crate::token::Minted;
use crate::view::Grant;
use crate::writer_id::WriterId;

/// How often a write is tried before it is given up as contended.
const ATTEMPTS: usize = 8;
/// How often a login is: its cap asks questions as well, and a call has only so many.
const LOGIN_ATTEMPTS: usize = 6;
/// How often a session is to move: each time takes more questions.
const RELOCATION_ATTEMPTS: usize = 4;
/// For how long a write is tried again, in milliseconds.
const RETRY_WINDOW_MS: u64 = 25_000;

/// What a write is made from; nothing of it but the time changes while it goes on.
pub(crate) struct Write<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) call: &'a Call<'a>,
    pub(crate) writer_id: &'a WriterId,
    pub(crate) intent: Intent<'a>,
    pub(crate) overlay: &'a Overlay,
    /// The time of this try: the clock is read again before each, so that nothing is written after its grace.
    pub(crate) now: Cell<u64>,
}

/// How a write ended.
pub(crate) struct Ended {
    pub(crate) live: Live,
    pub(crate) grant: Grant,
    pub(crate) wrote: bool,
}

impl<'a> Write<'a> {
    fn moments(&self) -> Moments {
        Moments::at(self.now.get())
    }

    /// Stores a draft for the first time.
    #[inline(never)]
    pub(crate) fn insert(&self) -> Result<Ended, Error> {
        let (plan, writer_id) = (
            Plan::first(&self.engine.policy, self.intent, self.now.get()),
            self.writer_id,
        );
        let id = writer_id.id();
        let (next, minted) = self.compose(id, &plan, None)?;
        let expires_at = self.expires_at(&plan.head, 0);
        let key = self.engine.key(id);
        let owner = plan.head.subject.as_deref();
        let guard = writer_id.guard(0);
        let at = Placement {
            owner,
            previous_owner: None,
            guard: Some(guard),
            expires_at,
            ends_at: plan.head.ends_at,
        };
        match self.call.insert(&key, next.text(), &at)? {
            Swap::Done(version) => {
                let live = Live::found(plan.stand_on, written(next, version, guard, expires_at));
                Ok(self.adopt(&plan, live, minted))
            }
            Swap::Missing => Err(Error::because(
                Kind::Other,
                "the store answered missing to an insert",
            )),
            Swap::Stale => {
                // The id is 128 random bits: what is there can only be what an earlier try of this handle wrote.
                let found = self
                    .engine
                    .find(self.call, id, true, &self.moments())?
                    .ok_or(Kind::Missing)?;
                if !writer_id.wrote(&found.snapshot.head) {
                    return Err(Error::because(
                        Kind::Other,
                        "the random source repeated a session id",
                    ));
                }
                let live = Live::found(found.snapshot.head.generations.current, found);
                if live.snapshot.head.writes.contains(writer_id.write_id()) {
                    return Ok(self.adopt(&plan, live, minted));
                }
                // It is ours alone: no token of it was ever handed out.
                self.replace_with(&live, &Base::none(), true)
            }
        }
    }

    /// Stores changes over a record that was read.
    pub(crate) fn replace(&self, live: &Live, base: &Base<'_>) -> Result<Ended, Error> {
        self.replace_with(live, base, false)
    }

    #[inline(never)]
    fn replace_with(&self, live: &Live, base: &Base<'_>, hand_out: bool) -> Result<Ended, Error> {
        let (mut own, mut hand_out) = (live.clone(), hand_out);
        let mut found = Found {
            snapshot: Rc::clone(&live.snapshot),
            guard: live.guard,
            expires_at: live.expires_at,
        };
        let (began, attempts) = (self.now.get(), self.attempts());
        for attempt in 1..=attempts {
            let newest = &found.snapshot;
            if self.is_own_login(&own, &newest.head) {
                own.shown.generation = newest.head.generations.current;
                own.snapshot = Rc::clone(newest);
                // Nobody holds its token yet.
                hand_out = true;
            }
            let mut plan = Plan::next(
                &self.engine.policy,
                self.intent,
                &own,
                &newest.head,
                self.now.get(),
            )?;
            if hand_out && plan.hand_out.is_none() {
                plan.hand_out = Some(plan.head.generations.current);
            }
            if let Err(error) = self.check_conflict(base, &live.snapshot, newest) {
                found = self.look_again(error, attempt, base, newest)?;
                continue;
            }
            if !plan.changed && self.overlay.is_empty() {
                let minted = self.mint(&plan, newest)?;
                return Ok(Ended {
                    wrote: false,
                    ..self.adopt(&plan, own.over(found), minted)
                });
            }
            let writer_id = self.writer_id;
            let id = next_id(self.engine, self.call, &plan, newest)?;
            let (next, minted) = match self.compose(id, &plan, Some(newest)) {
                Ok(composed) => composed,
                Err(error) => {
                    found = self.look_again(error, attempt, base, newest)?;
                    continue;
                }
            };
            let at = Placement {
                owner: plan.head.subject.as_deref(),
                previous_owner: newest.head.subject.as_deref(),
                // Whatever else is written, the guard says whether the generations are still the same.
                guard: plan.changed.then(|| writer_id.guard(attempt)),
                expires_at: self.expires_at(&plan.head, found.expires_at),
                ends_at: plan.head.ends_at,
            };
            let swap = if id == newest.id {
                let expected = if self.intent.drops_all() {
                    Expected::Guard(found.guard)
                } else {
                    Expected::Version(newest.version)
                };
                self.call
                    .replace(&self.engine.key(id), next.text(), expected, &at)?
            } else {
                relocate(self.engine, self.call, &plan, &next, &at, newest)?
            };
            let again = match swap {
                Swap::Done(version) => {
                    let guard = at.guard.unwrap_or(found.guard);
                    let found = written(next, version, guard, at.expires_at);
                    return Ok(self.adopt(&plan, own.over(found), minted));
                }
                Swap::Missing => None,
                Swap::Stale => self.engine.find(self.call, newest.id, true, &self.moments())?,
            };
            if let Some(found) = &again
                && found.snapshot.head.writes.contains(writer_id.write_id())
            {
                return Ok(self.adopt(&plan, own.over(found.clone()), minted));
            }
            if id != newest.id {
                // Nobody holds a token of what was written under the new id. But others may have renewed to it.
                if let (true, Some(guard)) = (again.is_none() || plan.logs_in(newest), at.guard) {
                    self.call.delete(&self.engine.key(id), Condition::Guard(guard))?;
                }
                if attempt == RELOCATION_ATTEMPTS {
                    break;
                }
            }
            found = again.ok_or(Kind::Missing)?;
            if attempt == attempts {
                break;
            }
            self.now.set(self.call.now()?);
            if self.now.get().saturating_sub(began) > RETRY_WINDOW_MS {
                break;
            }
        }
        Err(Kind::Contended.into())
    }

    /// The newest record, where a first try was judged on another than the caller saw: that was what the host has seen last, and
    /// what others have stored there may be gone. A refusal because of it would be told for as long as the host begins with it.
    fn look_again(
        &self,
        error: Error,
        attempt: usize,
        base: &Base<'_>,
        judged: &Snapshot,
    ) -> Result<Found, Error> {
        let is_of_fields = matches!(error.kind(), Kind::Conflict | Kind::LimitExceeded);
        let is_seen = base.version.is_none_or(|seen| seen == judged.version);
        if attempt > 1 || !is_of_fields || is_seen {
            return Err(error);
        }
        let newest = self.engine.find(self.call, judged.id, true, &self.moments())?;
        let newest = newest.ok_or(Kind::Missing)?;
        if newest.snapshot.version == judged.version {
            return Err(error);
        }
        self.now.set(self.call.now()?);
        Ok(newest)
    }

    /// Whether the newest generation comes from a login of this session whose answer was lost: it is what the session stands on.
    fn is_own_login(&self, own: &Live, newest: &Head) -> bool {
        let Generations {
            current,
            previous,
            login_generation,
            ..
        } = newest.generations;
        previous.is_none()
            && login_generation == current
            && current.counter > own.shown.generation.counter
            && self.writer_id.wrote_last(newest)
    }

    /// Under the field rule `conflict`, fields that we and others have changed differently are an error.
    fn check_conflict(&self, base: &Base<'_>, first: &Snapshot, newest: &Snapshot) -> Result<(), Error> {
        // Where nothing stored survives there is nothing to conflict with.
        if self.engine.policy.field_rule == FieldRule::LaterWins || self.intent.drops_all() {
            return Ok(());
        }
        base.check_conflict(self.overlay, first, newest)
    }

    fn attempts(&self) -> usize {
        match self.intent {
            Intent::Authenticate { .. } => LOGIN_ATTEMPTS,
            _ => ATTEMPTS,
        }
    }

    /// Makes the next record and the token to hand out, so that what could fail for their size fails before the write.
    #[inline(never)]
    fn compose(
        &self,
        id: SessionId,
        plan: &Plan,
        base: Option<&Snapshot>,
    ) -> Result<(Snapshot, Option<Minted>), Error> {
        let policy = &self.engine.policy;
        let mut head = plan.head.clone();
        head.format = policy.record_format;
        head.writes.push(self.writer_id.write_id());
        let (fields, bytes) = (policy.maximum_fields, policy.maximum_record_bytes);
        let next = Snapshot::compose(id, head, base, self.intent.keep(), self.overlay, fields, bytes)?;
        let minted = self.mint(plan, &next)?;
        Ok((next, minted))
    }

    fn mint(&self, plan: &Plan, fields: &Snapshot) -> Result<Option<Minted>, Error> {
        let Some(generation) = plan.hand_out else {
            return Ok(None);
        };
        mint(self.engine, generation, &plan.head, fields, self.now.get()).map(Some)
    }

    /// An expiry never moves earlier, but for an authentication, which starts anew.
    fn expires_at(&self, head: &Head, before: u64) -> u64 {
        let slid = self.now.get() + self.engine.policy.idle_timeout_ms;
        let expires_at = match self.intent {
            Intent::Authenticate { .. } => slid,
            _ => slid.max(before),
        };
        expires_at.min(head.ends_at)
    }

    /// The record is written, whether we were told so or found it out.
    #[inline(never)]
    fn adopt(&self, plan: &Plan, mut live: Live, minted: Option<Minted>) -> Ended {
        live.shown.generation = plan.stand_on;
        // A client that authenticated has a new token for certain; a renewed one may never arrive.
        if let Some(minted) = &minted
            && plan.hand_out == Some(plan.stand_on)
        {
            (live.shown.issued_at, live.shown.token_expires_at) = (minted.issued_at, minted.expires_at);
        }
        let grant = Grant {
            token: minted.map(|minted| minted.text),
            expires_at: live.expires_at,
            ends_at: live.snapshot.head.ends_at,
        };
        Ended {
            live,
            grant,
            wrote: true,
        }
    }
}

fn written(mut next: Snapshot, version: u64, guard: u64, expires_at: u64) -> Found {
    next.version = version;
    Found {
        snapshot: Rc::new(next),
        guard,
        expires_at,
    }
}
