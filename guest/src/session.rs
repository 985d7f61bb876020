//! The calls on one session. Each takes a handle and returns the session after the call.

use std::cell::Cell;
use std::rc::Rc;

use crate::call::Call;
use crate::csrf;
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::generation::{Generations, TokenStatus};
use crate::handle::{Handle, Saved};
use crate::live::{Live, slid, token_status, touch_due};
use crate::mint::mint;
use crate::moments::Moments;
use crate::overlay::Overlay;
use crate::policy::{TokenFormat, check_subject};
use crate::snapshot::KeepFields;
use crate::subject;
use crate::termination;
use crate::view::{self, Grant, Opened, Written};
use crate::write::{Base, Intent, Write};
use crate::writer_id::WriterId;

/// The arguments of a call that writes; `writing` in `wit/sessions.wit`.
#[derive(Clone, Copy)]
pub struct Writing<'a> {
    /// The session's handle, or a draft's.
    pub handle: &'a str,
    /// The fields to set and to remove, as one JSON text; empty: none.
    pub changes: &'a str,
    /// The writer's 22 random bytes.
    pub writer: &'a [u8],
    /// The number of writes that this writer began before.
    pub attempt: u32,
    /// The fields as the caller saw them, if the record that is read first has another version.
    pub base: Option<&'a str>,
}

/// Returns the handle of a session that was never saved. All drafts of an engine have the same handle.
pub fn draft(engine: &Engine) -> String {
    Handle::Draft.write(engine.tag)
}

/// Parses the handle of a saved session; a draft's is an error.
fn saved(engine: &Engine, handle: &str) -> Result<Saved, Error> {
    match Handle::read(handle, engine.tag)? {
        Handle::Saved(saved) => Ok(saved),
        Handle::Draft => Err(Kind::Draft.into()),
    }
}

/// Reads the session of a handle, by the entry that the host saw last or, with `fresh`, by the stored entry.
fn resume(
    engine: &Engine,
    call: &Call<'_>,
    saved: Saved,
    fresh: bool,
    moments: &Moments,
) -> Result<Live, Error> {
    // A compact token expires with its session, whether the record still exists or not.
    let ends = engine.policy.token_format == TokenFormat::Compact && saved.shown.token_expires_at > 0;
    if ends && moments.is_past(saved.shown.token_expires_at) {
        return Err(Kind::Expired.into());
    }
    let found = engine
        .find(call, saved.id, fresh, moments)?
        .ok_or(Kind::Missing)?;
    Ok(Live::new(saved.shown, found))
}

/// Stores changes, and renews the token if that is due.
///
/// # Errors
/// `InvalidArgument`, `InvalidValue`, `Missing`, `Expired`, `Replaced`, `Conflict`, `Contended`, `LimitExceeded`,
/// `SubjectRequired`, and the store's.
pub fn save(engine: &Engine, call: &Call<'_>, writing: Writing<'_>) -> Result<Written, Error> {
    write(engine, call, writing, Intent::Save)
}

/// Saves and renews the token, unless the last renewal is unconfirmed or its grace period is not over.
///
/// # Errors
/// As [`save`].
pub fn rotate(engine: &Engine, call: &Call<'_>, writing: Writing<'_>) -> Result<Written, Error> {
    write(engine, call, writing, Intent::Rotate)
}

/// Logs a subject in, or authenticates it again (step-up).
///
/// # Errors
/// As [`save`], `TooManySessions`.
pub fn authenticate(
    engine: &Engine,
    call: &Call<'_>,
    writing: Writing<'_>,
    subject: &str,
    keep: &KeepFields,
) -> Result<Written, Error> {
    check_subject(subject, &engine.store)?;
    write(engine, call, writing, Intent::Authenticate { subject, keep })
}

fn write(
    engine: &Engine,
    call: &Call<'_>,
    writing: Writing<'_>,
    intent: Intent<'_>,
) -> Result<Written, Error> {
    let handle = Handle::read(writing.handle, engine.tag)?;
    let writer_id = WriterId::new(writing.writer, writing.attempt)?;
    let overlay = Overlay::read(writing.changes, &engine.policy.field_limits())
        .map_err(|(name, unfit)| Error::of_field(&name, unfit))?;
    let Handle::Saved(saved) = handle else {
        return write_over(engine, call, intent, &overlay, &writer_id, None, call.now()?);
    };
    let base = Base::new(saved.version, writing.base)?;
    let now = call.now()?;
    let live = resume(engine, call, saved, false, &Moments::at(now))?;
    write_over(
        engine,
        call,
        intent,
        &overlay,
        &writer_id,
        Some((&live, base)),
        now,
    )
}

/// Writes over the read record, or for the first time.
#[inline(never)]
fn write_over(
    engine: &Engine,
    call: &Call<'_>,
    intent: Intent<'_>,
    overlay: &Overlay,
    writer_id: &WriterId,
    over: Option<(&Live, Base<'_>)>,
    now: u64,
) -> Result<Written, Error> {
    let write = Write {
        engine,
        call,
        writer_id,
        intent,
        overlay,
        now: Cell::new(now),
    };
    let (ended, owner_before) = match over {
        None => (write.insert()?, None),
        Some((live, base)) => (write.replace(live, &base)?, live.snapshot.head.subject.as_deref()),
    };
    if let Intent::Authenticate { subject, .. } = intent
        && owner_before != Some(subject)
    {
        subject::enforce_cap(engine, call, subject, &ended.live, &Moments::at(now))?;
    }
    Ok(Written {
        grant: ended.grant,
        opened: view::opened(engine, &ended.live, &Moments::at(write.now.get())),
        wrote: ended.wrote,
    })
}

/// Reissues the session's token, without a write. The record is read fresh, so that no token is issued after a logout.
///
/// # Errors
/// `InvalidArgument`, `Draft`, `Missing`, `Expired`, `Replaced`, `SubjectRequired`, and the store's.
pub fn reissue(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<Written, Error> {
    let saved = saved(engine, handle)?;
    let now = call.now()?;
    let moments = Moments::at(now);
    let mut live = resume(engine, call, saved, true, &moments)?;
    let snapshot = Rc::clone(&live.snapshot);
    let head = &snapshot.head;
    if moments.is_past(head.ends_at) {
        return Err(Kind::Expired.into());
    }
    let status = token_status(engine, &live, &moments);
    if !status.is_served() {
        return Err(Kind::Replaced.into());
    }
    let mut token = None;
    // In the grace period after a renewal, the client has a newer token or receives it from a parallel request.
    if status != TokenStatus::PreviousInGrace {
        let minted = mint(engine, head.generations.current, head, &snapshot, now)?;
        (live.shown.issued_at, live.shown.token_expires_at) = (minted.issued_at, minted.expires_at);
        token = Some(minted.text);
    }
    let mut opened = view::opened(engine, &live, &moments);
    // The host may have unsaved changes that were made on the handle's version.
    opened.handle = view::handle(engine, &live, saved.version);
    Ok(Written {
        grant: Grant {
            token,
            expires_at: live.expires_at,
            ends_at: head.ends_at,
        },
        opened,
        wrote: false,
    })
}

/// Slides the idle expiry and confirms a renewed token, if that is due.
///
/// # Errors
/// `InvalidArgument`, `Draft`, `Missing`, `Expired`, `Replaced`, `Contended`, and the store's.
pub fn touch(
    engine: &Engine,
    call: &Call<'_>,
    handle: &str,
    writer: &[u8],
    attempt: u32,
) -> Result<Written, Error> {
    let (saved, writer_id) = (saved(engine, handle)?, WriterId::new(writer, attempt)?);
    let now = call.now()?;
    let moments = Moments::at(now);
    let live = resume(engine, call, saved, false, &moments)?;
    let head = &live.snapshot.head;
    if moments.is_past(head.ends_at) {
        return Err(Kind::Expired.into());
    }
    if live.shown.generation == head.generations.current && head.generations.confirmed_at.is_none() {
        let (nothing, base) = (Overlay::default(), Base::none());
        let over = Some((&live, base));
        return write_over(engine, call, Intent::Confirm, &nothing, &writer_id, over, now);
    }
    let (live, wrote) = if touch_due(&engine.policy, &live, &moments) {
        slide(engine, call, &live, now, &moments)?
    } else {
        (live, false)
    };
    Ok(Written {
        grant: Grant {
            token: None,
            expires_at: live.expires_at,
            ends_at: live.snapshot.head.ends_at,
        },
        // The validity depends on the newest record alone, and not on the one that was checked first.
        opened: view::opened(engine, &live, &Moments::at(now)),
        wrote,
    })
}

/// Slides the idle expiry by the newest record, and returns the session and whether its expiry was moved.
fn slide(
    engine: &Engine,
    call: &Call<'_>,
    live: &Live,
    now: u64,
    moments: &Moments,
) -> Result<(Live, bool), Error> {
    let found = engine.find(call, live.snapshot.id, true, moments)?;
    let mut newest = live.over(found.ok_or(Kind::Missing)?);
    let head = &newest.snapshot.head;
    if moments.is_past(head.ends_at) {
        return Err(Kind::Expired.into());
    }
    let stands = token_status(engine, &newest, moments).is_served();
    if !stands || head.subject != live.snapshot.head.subject {
        return Err(Kind::Replaced.into());
    }
    // A concurrent request may have moved it already.
    if !touch_due(&engine.policy, &newest, moments) {
        return Ok((newest, false));
    }
    let slid = slid(&engine.policy, &newest, now);
    let key = engine.key(newest.snapshot.id);
    if !call.touch(&key, head.subject.as_deref(), slid)? {
        return Err(Kind::Missing.into());
    }
    newest.expires_at = slid;
    Ok((newest, true))
}

/// Returns until when the session lives unless it is used, by the stored record.
///
/// The token of the handle may be long renewed. Only a login, or a history that the store has lost, separates it from the session.
///
/// # Errors
/// `InvalidArgument`, `Draft`, `Missing`, `Expired`, `Replaced`, and the store's.
pub fn standing(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<u64, Error> {
    let saved = saved(engine, handle)?;
    let moments = Moments::at(call.now()?);
    let found = engine.find(call, saved.id, true, &moments)?;
    let found = found.ok_or(Kind::Missing)?;
    let head = &found.snapshot.head;
    if moments.is_past(head.ends_at) {
        return Err(Kind::Expired.into());
    }
    let generation = saved.shown.generation;
    let grace = engine.policy.rotation_grace_ms;
    match head.generations.classify(generation, &moments, grace) {
        TokenStatus::Replaced => Err(Kind::Replaced.into()),
        TokenStatus::Newer => Err(engine.newer(generation, &moments)),
        _ => Ok(found.expires_at.min(head.ends_at)),
    }
}

/// Ends the session in the store.
///
/// The newest record is checked first, so that a request that began before a login ends nothing after it.
///
/// # Errors
/// `InvalidArgument`, `Replaced`, and the store's.
pub fn destroy(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<(), Error> {
    let Handle::Saved(saved) = Handle::read(handle, engine.tag)? else {
        return Ok(());
    };
    let now = call.now()?;
    let Some(found) = engine.find(call, saved.id, true, &Moments::at(now))? else {
        return Ok(());
    };
    let grace = engine.policy.rotation_grace_ms;
    let still = |generations: &Generations, moments: &Moments| {
        generations
            .classify(saved.shown.generation, moments, grace)
            .is_served()
    };
    if termination::end(engine, call, found, still, now)? {
        Ok(())
    } else {
        Err(Kind::Replaced.into())
    }
}

/// Reads the session of a handle, by the entry that the host saw last.
fn seen(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<(Live, Moments), Error> {
    let saved = saved(engine, handle)?;
    let moments = Moments::at(call.now()?);
    let live = resume(engine, call, saved, false, &moments)?;
    Ok((live, moments))
}

/// Returns the current state of the session, by the entry that the host saw last.
///
/// # Errors
/// `InvalidArgument`, `Draft`, `Missing`, `Expired`, and the store's.
pub fn inspect(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<Opened, Error> {
    let (live, moments) = seen(engine, call, handle)?;
    Ok(view::opened(engine, &live, &moments))
}

/// Returns a token against cross-site request forgery (CSRF).
///
/// # Errors
/// `InvalidArgument`, `Draft`, `Missing`, `Expired`, and the store's.
pub fn csrf_token(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<String, Error> {
    let (live, _) = seen(engine, call, handle)?;
    let login_generation = live.snapshot.head.generations.login_generation;
    csrf::make(&engine.ring, live.snapshot.id, login_generation, call.random()?)
}

/// Checks a CSRF token.
///
/// # Errors
/// `InvalidCsrfToken`, `InvalidArgument`, `Draft`, `Missing`, `Expired`, and the store's.
pub fn check_csrf_token(engine: &Engine, call: &Call<'_>, handle: &str, token: &str) -> Result<(), Error> {
    let (live, _) = seen(engine, call, handle)?;
    let login_generation = live.snapshot.head.generations.login_generation;
    csrf::check(&engine.ring, live.snapshot.id, login_generation, token)
}
