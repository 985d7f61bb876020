//! The only code that writes a session's record: check, compose, compare and swap, and retry after a concurrent write.

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

/// The maximum number of attempts of a write before it fails as contended.
const ATTEMPTS: usize = 8;
/// The maximum number of attempts of a login. Fewer, because the session cap needs some of the call's import calls.
const LOGIN_ATTEMPTS: usize = 6;
/// The maximum number of attempts to move a session. Fewer, because each attempt needs more import calls.
const RELOCATION_ATTEMPTS: usize = 4;
/// The time within which a write is retried, in milliseconds.
const RETRY_WINDOW_MS: u64 = 25_000;

/// The inputs of a write. Only the time changes during the write.
pub(crate) struct Write<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) call: &'a Call<'a>,
    pub(crate) writer_id: &'a WriterId,
    pub(crate) intent: Intent<'a>,
    pub(crate) overlay: &'a Overlay,
    /// The time of this attempt. The clock is read before each attempt, so that nothing is written after its grace period.
    pub(crate) now: Cell<u64>,
}

/// The result of a write.
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
                "the store returned missing on an insert",
            )),
            Swap::Stale => {
                // The id is 128 random bits: only an earlier attempt of this handle can have written the existing record.
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
                // No other caller has this record, because no token of it was handed out.
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
                // Its token was never handed out.
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
                // The guard changes with the generations, and with nothing else that is written.
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
                // No client holds a token of the record under the new id, but concurrent renewals may lead to it.
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

    /// Reads the newest record after an error in the first attempt, if that attempt used another version than the caller saw.
    ///
    /// The first attempt uses the entry that the host saw last, which may be outdated. Without another read, the same refusal
    /// would be returned for as long as the host begins with that entry. Any other error is returned.
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

    /// Whether the newest generation is from a login of this session whose reply was lost. The session then continues from it.
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

    /// Checks for conflicts under the field rule `conflict`.
    fn check_conflict(&self, base: &Base<'_>, first: &Snapshot, newest: &Snapshot) -> Result<(), Error> {
        // A write that keeps no stored field conflicts with none.
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

    /// Composes the next record and the token to hand out. Both are made before the write, so that a size limit fails early.
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

    /// The idle expiry of the next record. It never moves earlier, except by an authentication, which restarts it.
    fn expires_at(&self, head: &Head, before: u64) -> u64 {
        let slid = self.now.get() + self.engine.policy.idle_timeout_ms;
        let expires_at = match self.intent {
            Intent::Authenticate { .. } => slid,
            _ => slid.max(before),
        };
        expires_at.min(head.ends_at)
    }

    /// The result of a write whose record is stored, by the store's reply or found by a later read.
    #[inline(never)]
    fn adopt(&self, plan: &Plan, mut live: Live, minted: Option<Minted>) -> Ended {
        live.shown.generation = plan.stand_on;
        // After an authentication the session continues with the new token. After a renewal the new token may never arrive.
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
