//! Listing, revoking and limiting the sessions of one subject.

use crate::call::{Call, Removal, malformed_cursor};
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::form::escape;
use crate::generation::Generation;
use crate::id::SessionId;
use crate::json::decimal;
use crate::live::Live;
use crate::moments::Moments;
use crate::policy::{CapRule, check_subject};
use crate::ports::{Condition, Deletion, Page, Row};
use crate::snapshot::Snapshot;

/// The maximum number of rows of a page, and of keys of one deletion.
const PAGE_ROWS: u32 = 100;
/// The maximum number of pages that a login reads to count the owner's sessions.
const CAP_PAGES: usize = 4;
/// The minimum number of rows of a page. They fit into an instance's memory at any record size, and `CAP_PAGES` pages of them
/// exceed every cap.
const FEWEST_ROWS: u32 = 26;
/// The maximum size of the records of one page, in bytes.
const PAGE_BYTES: u32 = 24 << 20;
/// The maximum number of passes of a revocation. After them, only sessions that began after the call are left.
const REVOCATION_PASSES: u32 = 8;
/// The maximum number of attempts to evict a session beyond the cap, each with the session's newest guard.
const EVICTION_TRIES: usize = 3;
const MAXIMUM_CURSOR_BYTES: usize = 4096;

/// One session of a subject; each field is described in `wit/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/policy.wit")]
pub struct Summary {
    pub public_id: String,
    pub created_at: u64,
    pub authenticated_at: u64,
    pub last_seen_at: u64,
    pub expires_at: u64,
    pub ends_at: u64,
    pub current: bool,
    pub fields: String,
}

/// One page of a subject's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summaries {
    /// The live sessions of this page.
    pub items: Vec<Summary>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// The progress of a revocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The number of sessions that this call ended.
    pub ended: u32,
    /// The cursor of the next call; `None` once the revocation is complete.
    pub next: Option<String>,
}

/// A listed session whose record was read and belongs to the owner.
struct Owned {
    key: String,
    guard: u64,
    touched_at: u64,
    expires_at: u64,
    snapshot: Snapshot,
}

impl Owned {
    /// Reads the session of a row; `None` unless its record is readable, live and of this owner.
    fn read(engine: &Engine, row: Row, subject: &str, moments: &Moments) -> Option<Self> {
        let id = engine.id_of(&row.key)?;
        // An unreadable record counts for no owner: it opens no session, and expires.
        let snapshot = Snapshot::read(id, row.value?, row.version).ok()?;
        let head = &snapshot.head;
        let lives = !moments.is_past(head.ends_at) && !moments.is_past(row.expires_at);
        let counts = head.subject.as_deref() == Some(subject) && lives;
        counts.then_some(Self {
            key: row.key,
            guard: row.guard,
            touched_at: row.touched_at,
            expires_at: row.expires_at,
            snapshot,
        })
    }

    fn authenticated_at(&self) -> u64 {
        self.snapshot
            .head
            .authenticated_at
            .unwrap_or(self.snapshot.head.created_at)
    }
}

/// Lists one page of a subject's live sessions.
///
/// # Errors
/// `InvalidArgument`, `Unsupported`, and the store's.
pub fn list(
    engine: &Engine,
    call: &Call<'_>,
    subject: &str,
    current: Option<&str>,
    cursor: Option<&str>,
) -> Result<Summaries, Error> {
    let (owned, next) = page(engine, call, subject, check_cursor(cursor)?, &now(call)?)?;
    let items = owned
        .iter()
        .map(|session| {
            let head = &session.snapshot.head;
            let public_id = session.snapshot.id.public_id().text();
            Summary {
                current: current == Some(public_id.as_str()),
                public_id,
                created_at: head.created_at,
                authenticated_at: session.authenticated_at(),
                last_seen_at: session.touched_at,
                expires_at: session.expires_at,
                ends_at: head.ends_at,
                fields: public_fields(engine, &session.snapshot),
            }
        })
        .collect();
    Ok(Summaries { items, next })
}

fn now(call: &Call<'_>) -> Result<Moments, Error> {
    Ok(Moments::at(call.now()?))
}

/// Returns a session's public fields as one JSON object, ordered by name.
fn public_fields(engine: &Engine, snapshot: &Snapshot) -> String {
    let mut text = String::from("{");
    let public = &engine.policy.public_fields;
    let is_public = |name: &str| public.iter().any(|public| escape(public) == name);
    for (name, raw) in snapshot.raw_fields().filter(|(name, _)| is_public(name)) {
        let separator = if text.len() > 1 { ",\"" } else { "\"" };
        for part in [separator, name, "\":", raw] {
            text.push_str(part);
        }
    }
    text.push('}');
    text
}

/// Ends the session of a subject with this public id, if it is on this page.
///
/// # Errors
/// `InvalidArgument`, `Unsupported`, and the store's.
pub fn revoke(
    engine: &Engine,
    call: &Call<'_>,
    subject: &str,
    public_id: &str,
    cursor: Option<&str>,
) -> Result<Progress, Error> {
    let (owned, next) = page(engine, call, subject, check_cursor(cursor)?, &now(call)?)?;
    let Some(session) = owned
        .iter()
        .find(|session| session.snapshot.id.public_id().text() == public_id)
    else {
        return Ok(Progress { ended: 0, next });
    };
    // A session that has changed its subject since the listing must not be ended.
    let removal = call.delete(&session.key, Condition::Owner(subject))?;
    Ok(Progress {
        ended: (removal == Removal::Done).into(),
        next: None,
    })
}

/// Ends the sessions of one page, except the one with the public id `except`.
///
/// The cursors lead through all pages, and repeat this until a pass finds no session.
///
/// # Errors
/// `InvalidArgument`, `Unsupported`, and the store's.
pub fn revoke_all(
    engine: &Engine,
    call: &Call<'_>,
    subject: &str,
    except: Option<&str>,
    cursor: Option<&str>,
) -> Result<Progress, Error> {
    let at = match cursor {
        None => Pass {
            number: 1,
            found: false,
            cursor: "",
        },
        Some(_) => Pass::read(check_cursor(cursor)?)?,
    };
    let (owned, next) = page(engine, call, subject, at.cursor, &now(call)?)?;
    let doomed: Vec<&Owned> = owned
        .iter()
        .filter(|session| except.is_none_or(|except| session.snapshot.id.public_id().text() != except))
        .collect();
    let ended = if doomed.is_empty() {
        0
    } else {
        // With any guard: a session that has logged in again as the same subject is ended as well.
        let deletion = |session: &&Owned| Deletion {
            key: session.key.clone(),
            guard: None,
        };
        call.delete_many(doomed.iter().map(deletion).collect(), subject)?
    };

    let found = at.found || !doomed.is_empty();
    let next = match next {
        Some(cursor) => Some(
            Pass {
                number: at.number,
                found,
                cursor: &cursor,
            }
            .write(),
        ),
        None if found && at.number < REVOCATION_PASSES => Some(
            Pass {
                number: at.number + 1,
                found: false,
                cursor: "",
            }
            .write(),
        ),
        None => None,
    };
    Ok(Progress { ended, next })
}

/// The cursor of a revocation: the number of the pass, whether the pass has found a session, and the store's cursor.
struct Pass<'a> {
    number: u32,
    found: bool,
    cursor: &'a str,
}

impl<'a> Pass<'a> {
    fn write(&self) -> String {
        let number = decimal(self.number.into());
        [
            number.as_str(),
            if self.found { "+" } else { "-" },
            ":",
            self.cursor,
        ]
        .concat()
    }

    fn read(cursor: &'a str) -> Result<Self, Error> {
        let read = || {
            let (head, cursor) = cursor.split_once(':')?;
            let (number, found) = match head.strip_suffix('+') {
                Some(number) => (number, true),
                None => (head.strip_suffix('-')?, false),
            };
            Some(Self {
                number: number.parse().ok()?,
                found,
                cursor,
            })
        };
        read().ok_or_else(malformed_cursor)
    }
}

fn check_cursor(cursor: Option<&str>) -> Result<&str, Error> {
    let cursor = cursor.unwrap_or_default();
    if cursor.len() > MAXIMUM_CURSOR_BYTES {
        return Err(Error::about(
            Kind::InvalidArgument,
            "cursor",
            "is longer than 4096 bytes",
        ));
    }
    Ok(cursor)
}

/// Reads one page of the owner's index and its records. A listed key counts only if its record is live and of this owner.
fn page(
    engine: &Engine,
    call: &Call<'_>,
    subject: &str,
    cursor: &str,
    moments: &Moments,
) -> Result<(Vec<Owned>, Option<String>), Error> {
    check_subject(subject, &engine.store)?;
    if !engine.store.list_by_owner {
        return Err(Error::because(Kind::Unsupported, "list-by-owner"));
    }
    let Page { mut rows, next } = call.list_owned(subject, cursor, rows(engine))?;
    rows.retain(|row| engine.id_of(&row.key).is_some());
    bring_values(call, &mut rows)?;
    let owned = rows
        .into_iter()
        .filter_map(|row| Owned::read(engine, row, subject, moments))
        .collect();
    Ok((owned, next))
}

fn rows(engine: &Engine) -> u32 {
    (PAGE_BYTES / engine.policy.maximum_record_bytes).clamp(FEWEST_ROWS, PAGE_ROWS)
}

/// Reads the records of the rows that have no value.
fn bring_values(call: &Call<'_>, rows: &mut [Row]) -> Result<(), Error> {
    let bare: Vec<usize> = (0..rows.len())
        .filter(|&index| rows[index].value.is_none())
        .collect();
    if bare.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = bare.iter().map(|&index| rows[index].key.clone()).collect();
    for (index, entry) in bare.into_iter().zip(call.get_many(&keys)?) {
        if let Some(entry) = entry {
            let row = &mut rows[index];
            (row.version, row.guard) = (entry.version, entry.guard);
            (row.expires_at, row.value) = (entry.expires_at, Some(entry.value));
        }
    }
    Ok(())
}

/// Another session of a subject, ranked for the cap.
#[derive(Clone)]
struct Rival {
    /// The time of authentication, then the id.
    rank: (u64, SessionId),
    guard: u64,
    login_generation: Generation,
    /// Increases by one with each confirmation and renewal.
    step: u64,
}

impl Rival {
    fn new(session: &Owned) -> Self {
        let generations = &session.snapshot.head.generations;
        let confirmed = u64::from(generations.confirmed_at.is_some());
        Self {
            rank: (session.authenticated_at(), session.snapshot.id),
            guard: session.guard,
            login_generation: generations.login_generation,
            step: 2 * u64::from(generations.current.counter) + confirmed,
        }
    }

    /// Whether this is the session `before` after a renewal or confirmation.
    ///
    /// A session that logged in again, or was ended and recreated, is another one.
    fn continues(&self, before: &Self) -> bool {
        self.rank == before.rank
            && self.login_generation == before.login_generation
            && self.step > before.step
    }
}

/// Ends the ranked sessions.
///
/// Sessions that changed since are read and tried again: a later authentication keeps a session, a renewal or confirmation does
/// not. A session that changes at every attempt is left to the next login.
fn evict(
    engine: &Engine,
    call: &Call<'_>,
    subject: &str,
    mut doomed: Vec<Rival>,
    moments: &Moments,
) -> Result<(), Error> {
    for attempt in 1..=EVICTION_TRIES {
        let deletion = |rival: &Rival| Deletion {
            key: engine.key(rival.rank.1),
            guard: Some(rival.guard),
        };
        let deletions: Vec<Deletion> = doomed.iter().map(deletion).collect();
        let mut rows: Vec<Row> = deletions.iter().map(|deletion| unread(&deletion.key)).collect();
        let removed = call.delete_many(deletions, subject)?;
        if removed as usize == doomed.len() || attempt == EVICTION_TRIES {
            break;
        }
        bring_values(call, &mut rows)?;
        let is_doomed = |rival: &Rival| doomed.iter().any(|before| rival.continues(before));
        let changed = rows
            .into_iter()
            .filter_map(|row| Some(Rival::new(&Owned::read(engine, row, subject, moments)?)));
        doomed = changed.filter(is_doomed).collect();
        if doomed.is_empty() {
            break;
        }
    }
    Ok(())
}

/// A row with a key only.
fn unread(key: &str) -> Row {
    Row {
        key: key.to_owned(),
        version: 0,
        guard: 0,
        touched_at: 0,
        expires_at: 0,
        value: None,
    }
}

/// Enforces the cap of an owner's sessions after a login was written.
///
/// The login is written before the sessions are listed, so that each of two concurrent logins sees the other. Both rank the
/// sessions alike, by the time of authentication and then the id.
#[inline(never)]
pub(crate) fn enforce_cap(
    engine: &Engine,
    call: &Call<'_>,
    subject: &str,
    own: &Live,
    moments: &Moments,
) -> Result<(), Error> {
    let Some(cap) = engine.policy.sessions_per_subject else {
        return Ok(());
    };
    let cap = cap as usize;
    let head = &own.snapshot.head;
    let own_rank = (head.authenticated_at.unwrap_or(head.created_at), own.snapshot.id);
    // Ordered by rank. A page may repeat sessions of an earlier page.
    let mut others: Vec<Rival> = Vec::new();
    let mut listed = false;
    let mut cursor = Some(String::new());
    for _ in 0..CAP_PAGES {
        let Some(at) = cursor.take() else { break };
        let (owned, next) = page(engine, call, subject, &at, moments)?;
        for session in &owned {
            if session.snapshot.id == own.snapshot.id {
                listed = true;
                continue;
            }
            let rival = Rival::new(session);
            if let Err(place) = others.binary_search_by_key(&rival.rank, |other| other.rank) {
                others.insert(place, rival);
            }
        }
        cursor = next;
    }
    // The own session does not count if it was ended since it was written.
    let ended = !listed && cursor.is_none();
    let excess = (others.len() + usize::from(!ended)).saturating_sub(cap);
    if excess == 0 {
        return Ok(());
    }
    let older = others.partition_point(|rival| rival.rank < own_rank);
    match engine.policy.cap_rule {
        CapRule::EvictOldest => {
            // The oldest sessions, in the order that every login sees. If the own session is among them, the later login ends
            // it. Otherwise two concurrent logins would end each other.
            let doomed = &others[..if !ended && older < excess {
                excess - 1
            } else {
                excess
            }];
            doomed
                .chunks(PAGE_ROWS as usize)
                .try_for_each(|doomed| evict(engine, call, subject, doomed.to_vec(), moments))
        }
        CapRule::Refuse => {
            if ended || older < cap {
                return Ok(());
            }
            call.delete(&engine.key(own.snapshot.id), Condition::Owner(subject))?;
            Err(Kind::TooManySessions.into())
        }
    }
}
