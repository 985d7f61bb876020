//! The calls on one session. Each takes a handle, asks what it needs, and answers the session as it then stands.

use std::cell::Cell;
use std::rc::Rc;

use crate::author::Author;
use crate::call::Call;
use crate::csrf;
use crate::ending;
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::{Generation, Generations, Standing};
use crate::handle::{Handle, Saved, Shown};
use crate::moments::Moments;
use crate::overlay::Overlay;
use crate::owner;
use crate::policy::{TokenFormat, check_subject};
use crate::snapshot::{Snapshot, Survivors};
use crate::view;
use crate::write::{self, Base, Intent, Write};

/// What a write hands back for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token to hand out, if the client needs another than it has.
    pub token: Option<String>,
    /// When the session ends unless it is used.
    pub expires_at: u64,
    /// When it ends however much it is used.
    pub ends_at: u64,
}

/// What is known of a session without asking the store; each field is described in `wit/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/policy.wit")]
pub struct Details {
    pub reference: String,
    pub subject: Option<String>,
    pub created_at: u64,
    pub authenticated_at: Option<u64>,
    pub expires_at: u64,
    pub ends_at: u64,
    pub generation: u32,
    pub touch_due: bool,
    pub renew_due: bool,
    pub reissue_due: bool,
}

/// An open session; each field is described in `wit/sessions.wit`.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/sessions.wit")]
pub struct Opened {
    pub handle: String,
    pub key: String,
    pub version: u64,
    pub details: Details,
    pub fields_at: u32,
    pub holds_until: u64,
}

// A handle and a key name the session.
impl core::fmt::Debug for Opened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opened")
            .field("details", &self.details)
            .field("holds_until", &self.holds_until)
            .finish_non_exhaustive()
    }
}

/// How a call that writes has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What to hand out.
    pub grant: Grant,
    /// The session as it stands now.
    pub opened: Opened,
    /// Whether anything had to be written.
    pub wrote: bool,
}

/// What a call that writes is made with.
#[derive(Clone, Copy)]
pub struct Writing<'a> {
    /// The session's handle, or a draft's.
    pub handle: &'a str,
    /// Fields to set and to remove, as one JSON text; empty: none.
    pub changes: &'a str,
    /// 22 random bytes.
    pub writer: &'a [u8],
    /// How many writes this writer has begun before.
    pub attempt: u32,
    /// The fields as the caller saw them, where the record that is read first has another version.
    pub base: Option<&'a str>,
}

/// A stored session as one call sees it.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) guard: u64,
    pub(crate) expires_at: u64,
    pub(crate) shown: Shown,
}

impl Live {
    /// That of a token, or of a handle, which says the same of the token that was shown.
    pub(crate) fn new(shown: Shown, found: Found) -> Self {
        let Found {
            snapshot,
            guard,
            expires_at,
        } = found;
        Self {
            snapshot,
            guard,
            expires_at,
            shown,
        }
    }

    /// That of a generation of which no token was shown.
    pub(crate) fn found(generation: Generation, found: Found) -> Self {
        let shown = Shown {
            generation,
            issued_at: 0,
            token_expires_at: 0,
            reference: found.snapshot.id.reference(),
        };
        Self::new(shown, found)
    }

    /// The same token's, over another state of the record.
    pub(crate) fn over(&self, found: Found) -> Self {
        let mut shown = self.shown;
        if found.snapshot.id.steady() != self.snapshot.id.steady() {
            shown.reference = found.snapshot.id.reference();
        }
        Self::new(shown, found)
    }
}

/// The handle of a session that was never saved. Every draft has the same.
pub fn draft(engine: &Engine) -> String {
    Handle::Draft.write(engine.tag)
}

/// What a handle of a saved session says.
fn saved(engine: &Engine, handle: &str) -> Result<Saved, Error> {
    match Handle::read(handle, engine.tag)? {
        Handle::Saved(saved) => Ok(saved),
        Handle::Draft => Err(Kind::Draft.into()),
    }
}

/// The session that a handle names, by the record that the host has seen last, or as the store has it.
fn resume(
    engine: &Engine,
    call: &Call<'_>,
    saved: Saved,
    fresh: bool,
    moments: &Moments,
) -> Result<Live, Error> {
    // A compact token ends with its session, whether that is still there or not.
    let ends = engine.policy.token_format == TokenFormat::Compact && saved.shown.token_expires_at > 0;
    if ends && moments.is_past(saved.shown.token_expires_at) {
        return Err(Kind::Expired.into());
    }
    let found = engine
        .find(call, saved.id, fresh, moments)?
        .ok_or(Kind::Missing)?;
    Ok(Live::new(saved.shown, found))
}

/// Stores changes, and renews the token where that is due.
///
/// # Errors
/// `InvalidArgument`, `InvalidValue`, `Missing`, `Expired`, `Replaced`, `Conflict`, `Contended`, `LimitExceeded`,
/// `SubjectRequired`, and the store's.
pub fn save(engine: &Engine, call: &Call<'_>, writing: Writing<'_>) -> Result<Written, Error> {
    write(engine, call, writing, Intent::Save)
}

/// Saves and renews the token, unless the last renewal is unconfirmed or its grace still runs.
///
/// # Errors
/// As [`save`].
pub fn rotate(engine: &Engine, call: &Call<'_>, writing: Writing<'_>) -> Result<Written, Error> {
    write(engine, call, writing, Intent::Rotate)
}

/// Logs a subject in, or confirms who it is.
///
/// # Errors
/// As [`save`], `TooManySessions`.
pub fn authenticate(
    engine: &Engine,
    call: &Call<'_>,
    writing: Writing<'_>,
    subject: &str,
    survivors: &Survivors,
) -> Result<Written, Error> {
    check_subject(subject, &engine.store)?;
    write(engine, call, writing, Intent::Authenticate { subject, survivors })
}

fn write(
    engine: &Engine,
    call: &Call<'_>,
    writing: Writing<'_>,
    intent: Intent<'_>,
) -> Result<Written, Error> {
    let handle = Handle::read(writing.handle, engine.tag)?;
    let author = Author::new(writing.writer, writing.attempt)?;
    let overlay = Overlay::read(writing.changes, &engine.policy.field_limits())
        .map_err(|(name, unfit)| Error::of_field(&name, unfit))?;
    let Handle::Saved(saved) = handle else {
        return write_over(engine, call, intent, &overlay, &author, None, call.now()?);
    };
    let base = Base::new(saved.version, writing.base)?;
    let now = call.now()?;
    let live = resume(engine, call, saved, false, &Moments::at(now))?;
    write_over(engine, call, intent, &overlay, &author, Some((&live, base)), now)
}

/// Writes over what was read, or for the first time.
#[inline(never)]
fn write_over(
    engine: &Engine,
    call: &Call<'_>,
    intent: Intent<'_>,
    overlay: &Overlay,
    author: &Author,
    over: Option<(&Live, Base<'_>)>,
    now: u64,
) -> Result<Written, Error> {
    let write = Write {
        engine,
        call,
        author,
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
        owner::enforce_cap(engine, call, subject, &ended.live, &Moments::at(now))?;
    }
    Ok(Written {
        grant: ended.grant,
        opened: view::opened(engine, &ended.live, &Moments::at(write.now.get())),
        wrote: ended.wrote,
    })
}

/// Makes the session's token anew, with no write. The record is read fresh, so that nothing is made after a logout.
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
    let standing = view::stand(engine, &live, &moments);
    if !standing.is_served() {
        return Err(Kind::Replaced.into());
    }
    let mut token = None;
    // In the grace after a renewal the client has a newer one, or gets it elsewhere.
    if standing != Standing::PreviousInGrace {
        let minted = write::mint(engine, head.generations.current, head, &snapshot, now)?;
        (live.shown.issued_at, live.shown.token_expires_at) = (minted.issued_at, minted.expires_at);
        token = Some(minted.text);
    }
    let mut opened = view::opened(engine, &live, &moments);
    // Changes may wait that were made on another version.
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

/// Slides the idle expiry and confirms a renewed token, where that is due.
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
    let (saved, author) = (saved(engine, handle)?, Author::new(writer, attempt)?);
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
        return write_over(engine, call, Intent::Confirm, &nothing, &author, over, now);
    }
    let (live, wrote) = if view::touch_due(&engine.policy, &live, &moments) {
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
        // How long it holds depends on the newest record alone, and not on the one that was judged first.
        opened: view::opened(engine, &live, &Moments::at(now)),
        wrote,
    })
}

/// Slides the idle expiry of what the newest record says; answers the session, and whether its expiry had to be moved.
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
    let stands = view::stand(engine, &newest, moments).is_served();
    if !stands || head.subject != live.snapshot.head.subject {
        return Err(Kind::Replaced.into());
    }
    // Another request may have moved it already.
    if !view::touch_due(&engine.policy, &newest, moments) {
        return Ok((newest, false));
    }
    let slid = view::slid(&engine.policy, &newest, now);
    let key = engine.key(newest.snapshot.id);
    if !call.touch(&key, head.subject.as_deref(), slid)? {
        return Err(Kind::Missing.into());
    }
    newest.expires_at = slid;
    Ok((newest, true))
}

/// Ends the session in the store. A request that began before a login ends nothing after it: the newest record is judged first.
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
            .judge(saved.shown.generation, moments, grace)
            .is_served()
    };
    if ending::end(engine, call, found, still, now)? {
        Ok(())
    } else {
        Err(Kind::Replaced.into())
    }
}

/// The session that a handle names, by the record that the host has seen last.
fn seen(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<(Live, Moments), Error> {
    let saved = saved(engine, handle)?;
    let moments = Moments::at(call.now()?);
    let live = resume(engine, call, saved, false, &moments)?;
    Ok((live, moments))
}

/// What is known of the session by now, by the record that the host has seen last.
///
/// # Errors
/// `InvalidArgument`, `Draft`, `Missing`, and the store's.
pub fn inspect(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<Opened, Error> {
    let (live, moments) = seen(engine, call, handle)?;
    Ok(view::opened(engine, &live, &moments))
}

/// Makes a token against cross-site request forgery.
///
/// # Errors
/// `InvalidArgument`, `Draft`, `Missing`, and the store's.
pub fn csrf_token(engine: &Engine, call: &Call<'_>, handle: &str) -> Result<String, Error> {
    let (live, _) = seen(engine, call, handle)?;
    let floor = live.snapshot.head.generations.floor;
    csrf::make(&engine.ring, live.snapshot.id, floor, call.random()?)
}

/// Checks one.
///
/// # Errors
/// `InvalidCsrfToken`, `InvalidArgument`, `Draft`, `Missing`, and the store's.
pub fn check_csrf_token(engine: &Engine, call: &Call<'_>, handle: &str, token: &str) -> Result<(), Error> {
    let (live, _) = seen(engine, call, handle)?;
    let floor = live.snapshot.head.generations.floor;
    csrf::check(&engine.ring, live.snapshot.id, floor, token)
}
