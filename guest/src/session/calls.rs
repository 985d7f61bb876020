//! The calls that ask the store, and those that make tokens.

use std::cell::{Cell, OnceCell};

use super::{Grant, Live, Phase, Session, State};
use crate::author::Author;
use crate::call::Call;
use crate::csrf;
use crate::ending;
use crate::error::{Error, Kind};
use crate::generation::{Generations, Standing};
use crate::overlay::Overlay;
use crate::owner;
use crate::policy::check_subject;
use crate::snapshot::Survivors;
use crate::write::{self, Intent, Write, Written};

impl Session {
    /// Stores the changes, and renews the token where that is due.
    ///
    /// # Errors
    /// `Closed`, `Missing`, `Expired`, `Replaced`, `Conflict`, `Contended`, `LimitExceeded`, `SubjectRequired`, and the store's.
    pub fn save(&self, call: &Call<'_>) -> Result<Grant, Error> {
        self.write(call, Intent::Save, None).map(|(grant, _)| grant)
    }

    /// Stores the changes over what was seen at this version.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub fn save_since(&self, call: &Call<'_>, version: u64) -> Result<Grant, Error> {
        self.write(call, Intent::Save, Some(version))
            .map(|(grant, _)| grant)
    }

    /// Saves and renews the token, unless the last renewal is unconfirmed or its grace still runs.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub fn rotate(&self, call: &Call<'_>) -> Result<Grant, Error> {
        self.write(call, Intent::Rotate, None).map(|(grant, _)| grant)
    }

    /// Logs a subject in, or confirms who it is.
    ///
    /// # Errors
    /// As [`Session::save`], `InvalidArgument`, `TooManySessions`.
    pub fn authenticate(
        &self,
        call: &Call<'_>,
        subject: &str,
        survivors: &Survivors,
    ) -> Result<Grant, Error> {
        check_subject(subject, &self.engine.store)?;
        self.write(call, Intent::Authenticate { subject, survivors }, None)
            .map(|(grant, _)| grant)
    }

    /// Writes, and changes the handle as the write ended; one that ended as pending changes nothing.
    fn write(&self, call: &Call<'_>, intent: Intent<'_>, seen: Option<u64>) -> Result<(Grant, bool), Error> {
        let author = OnceCell::new();
        let ended = {
            let state = self.state.borrow();
            if let Some(known) = &state.author {
                // The cell is new, so it takes it.
                let _ = author.set(known.clone());
            }
            self.try_write(call, &state, &author, intent, seen)
        };
        if ended.as_ref().is_err_and(|error| error.is(Kind::Pending)) {
            return Err(Kind::Pending.into());
        }
        let mut state = self.state.borrow_mut();
        state.author = author.into_inner().map(|author| Author {
            writes: author.writes + 1,
            ..author
        });
        match ended {
            Ok(Written { live, grant, wrote }) => {
                let waits = intent.is_confirmation() && !state.overlay.is_empty();
                match &mut state.phase {
                    // Changes that wait to be saved go on waiting, over the snapshot that they were made on.
                    Phase::Live(waiting) if waits => waiting.expires_at = live.expires_at,
                    phase => {
                        *phase = Phase::Live(live);
                        state.overlay = Overlay::default();
                    }
                }
                Ok((grant, wrote))
            }
            Err(error) => {
                if matches!(
                    error.kind(),
                    Kind::Missing | Kind::Expired | Kind::TooManySessions
                ) {
                    state.phase = Phase::Closed;
                }
                if error.is(Kind::OutcomeUnknown) && !intent.is_confirmation() {
                    state.overlay.note_try();
                }
                Err(error)
            }
        }
    }

    fn try_write(
        &self,
        call: &Call<'_>,
        state: &State,
        author: &OnceCell<Author>,
        intent: Intent<'_>,
        seen: Option<u64>,
    ) -> Result<Written, Error> {
        state.snapshot()?;
        let now = call.now()?;
        let nothing = Overlay::default();
        let overlay = if intent.is_confirmation() {
            &nothing
        } else {
            &state.overlay
        };
        let write = Write {
            engine: &self.engine,
            call,
            author,
            intent,
            overlay,
            seen,
            now: Cell::new(now),
        };
        let (written, owner_before) = match &state.phase {
            Phase::Draft => (write.insert()?, None),
            Phase::Live(live) => (write.replace(live)?, live.snapshot.head.subject.as_deref()),
            Phase::Closed => return Err(Kind::Closed.into()),
        };
        if let Intent::Authenticate { subject, .. } = intent
            && owner_before != Some(subject)
        {
            owner::enforce_cap(&self.engine, call, subject, &written.live, now)?;
        }
        Ok(written)
    }

    /// Makes the session's token anew, without the store.
    ///
    /// # Errors
    /// `Closed`, `Draft`, `Expired`, `Missing`, `SubjectRequired`.
    pub fn reissue(&self, call: &Call<'_>) -> Result<Grant, Error> {
        let now = call.now()?;
        let mut state = self.state.borrow_mut();
        let live = state.live()?;
        let head = &live.snapshot.head;
        if head.ends_at <= now {
            return Err(Kind::Expired.into());
        }
        // Idle too long, as far as this handle knows: who is gone needs no new token.
        if live.expires_at <= now {
            return Err(Kind::Missing.into());
        }
        let mut grant = Grant {
            token: None,
            expires_at: live.expires_at,
            ends_at: head.ends_at,
        };
        if !matches!(
            self.stand(live, now),
            Standing::Current | Standing::PreviousUnconfirmed
        ) {
            return Ok(grant);
        }
        let current = head.generations.current;
        let minted = write::mint(&self.engine, current, head, &live.snapshot, now)?;
        if let Phase::Live(live) = &mut state.phase {
            (live.issued_at, live.token_expires_at) = (minted.issued_at, minted.expires_at);
        }
        grant.token = Some(minted.text);
        Ok(grant)
    }

    /// Slides the idle expiry and confirms a renewed token, where that is due; answers whether it wrote.
    ///
    /// # Errors
    /// `Closed`, `Draft`, `Missing`, `Expired`, `Replaced`, `Contended`, and the store's.
    pub fn touch(&self, call: &Call<'_>) -> Result<bool, Error> {
        let now = call.now()?;
        let (slid, unconfirmed) = {
            let state = self.state.borrow();
            let live = state.live()?;
            if live.snapshot.head.ends_at <= now {
                return Err(Kind::Expired.into());
            }
            let generations = &live.snapshot.head.generations;
            (
                self.slides(live, now),
                live.generation == generations.current && generations.confirmed_at.is_none(),
            )
        };
        if unconfirmed {
            return self.write(call, Intent::Confirm, None).map(|(_, wrote)| wrote);
        }
        if slid.is_none() {
            return Ok(false);
        }
        let ended = self.slide(call, now);
        let mut state = self.state.borrow_mut();
        match (&mut state.phase, &ended) {
            (Phase::Live(live), Ok((expires_at, _))) => live.expires_at = *expires_at,
            (phase, Err(error)) if matches!(error.kind(), Kind::Missing | Kind::Expired) => {
                *phase = Phase::Closed
            }
            _ => {}
        }
        ended.map(|(_, wrote)| wrote)
    }

    /// Slides the idle expiry of what the newest record says; answers the expiry, and whether it had to be moved.
    fn slide(&self, call: &Call<'_>, now: u64) -> Result<(u64, bool), Error> {
        let state = self.state.borrow();
        let live = state.live()?;
        let found = self.engine.find(call, live.snapshot.id, true, now)?;
        let newest = live.over(found.ok_or(Kind::Missing)?);
        let head = &newest.snapshot.head;
        if head.ends_at <= now {
            return Err(Kind::Expired.into());
        }
        if !self.stand(&newest, now).is_served() || head.subject != live.snapshot.head.subject {
            return Err(Kind::Replaced.into());
        }
        // Another request may have moved it already.
        let Some(slid) = self.slides(&newest, now) else {
            return Ok((newest.expires_at, false));
        };
        if call.touch(
            &self.engine.key(newest.snapshot.id),
            head.subject.as_deref(),
            slid,
        )? {
            Ok((slid, true))
        } else {
            Err(Kind::Missing.into())
        }
    }

    /// Ends the session in the store and closes the handle.
    ///
    /// # Errors
    /// `Closed`, `Replaced`, and the store's.
    pub fn destroy(&self, call: &Call<'_>) -> Result<(), Error> {
        let now = call.now()?;
        {
            let state = self.state.borrow();
            match &state.phase {
                Phase::Closed => return Err(Kind::Closed.into()),
                Phase::Draft => {}
                Phase::Live(live) => self.delete(call, live, now)?,
            }
        }
        let mut state = self.state.borrow_mut();
        state.phase = Phase::Closed;
        state.overlay = Overlay::default();
        Ok(())
    }

    /// A request that began before a login ends nothing after it: the newest record is judged first.
    fn delete(&self, call: &Call<'_>, live: &Live, now: u64) -> Result<(), Error> {
        let Some(found) = self.engine.find(call, live.snapshot.id, true, now)? else {
            return Ok(());
        };
        let grace = self.engine.policy.rotation_grace_ms;
        let still =
            |generations: &Generations, now| generations.judge(live.generation, now, grace).is_served();
        if ending::end(&self.engine, call, found, still, now)? {
            Ok(())
        } else {
            Err(Kind::Replaced.into())
        }
    }

    /// Makes a token against cross-site request forgery.
    ///
    /// # Errors
    /// `Closed`, `Draft`.
    pub fn csrf_token(&self, call: &Call<'_>) -> Result<String, Error> {
        let state = self.state.borrow();
        let live = state.live()?;
        csrf::make(
            &self.engine.ring,
            live.snapshot.id,
            live.snapshot.head.generations.floor,
            call.random()?,
        )
    }

    /// Checks one.
    ///
    /// # Errors
    /// `InvalidCsrfToken`, `Closed`, `Draft`.
    pub fn check_csrf_token(&self, token: &str) -> Result<(), Error> {
        let state = self.state.borrow();
        let live = state.live()?;
        csrf::check(
            &self.engine.ring,
            live.snapshot.id,
            live.snapshot.head.generations.floor,
            token,
        )
    }
}
