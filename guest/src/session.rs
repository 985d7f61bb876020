//! One session: an immutable snapshot, the changes made since, and the calls that ask the store.
//!
//! A call that asks works on what it found and changes the handle only at its end; one that ends as pending changes nothing.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::call::Call;
use crate::csrf;
use crate::ending;
use crate::engine::{Engine, Found};
use crate::error::{Error, Kind};
use crate::generation::{Generation, Generations, Standing};
use crate::overlay::{Change, Overlay};
use crate::owner;
use crate::policy::{TokenFormat, check_name, check_subject};
use crate::snapshot::{Snapshot, Survivors, escape};
use crate::token::{SessionId, Token};
use crate::value::{self, Value};
use crate::write::{self, Author, Intent, Write, Written};

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

/// Where a handle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Never saved.
    Draft,
    /// Stored, as far as is known.
    Live,
    /// Destroyed or found ended.
    Closed,
}

/// What is known of a session without asking the store; each field is described in `wit/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described in wit/policy.wit")]
pub struct Details {
    pub status: Status,
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
    pub modified: bool,
}

/// A stored session as a handle sees it.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) expires_at: u64,
    /// The generation of the token that was shown, or of the one that an authentication has made.
    pub(crate) generation: Generation,
    pub(crate) issued_at: u64,
    pub(crate) token_expires_at: u64,
}

impl Live {
    pub(crate) fn new(token: &Token, found: Found) -> Self {
        let live = Self::found(token.id, token.generation, found);
        Self {
            issued_at: token.issued_at,
            token_expires_at: token.expires_at,
            ..live
        }
    }

    pub(crate) fn found(id: SessionId, generation: Generation, found: Found) -> Self {
        let Found { snapshot, expires_at } = found;
        Self {
            id,
            snapshot,
            expires_at,
            generation,
            issued_at: 0,
            token_expires_at: 0,
        }
    }
}

#[derive(Clone)]
enum Phase {
    Draft,
    Live(Live),
    Closed,
}

#[derive(Clone)]
struct State {
    phase: Phase,
    overlay: Overlay,
    author: Option<Author>,
}

impl State {
    fn snapshot(&self) -> Result<Option<&Snapshot>, Error> {
        match &self.phase {
            Phase::Draft => Ok(None),
            Phase::Live(live) => Ok(Some(&live.snapshot)),
            Phase::Closed => Err(Kind::Closed.into()),
        }
    }

    fn live(&self) -> Result<&Live, Error> {
        match &self.phase {
            Phase::Draft => Err(Kind::Draft.into()),
            Phase::Live(live) => Ok(live),
            Phase::Closed => Err(Kind::Closed.into()),
        }
    }

    /// The value of a field as it stands in a record: the change made to it, or else the snapshot's.
    fn raw(&self, escaped_name: &str) -> Result<Option<&str>, Error> {
        let stored = self.snapshot()?;
        Ok(match self.overlay.get(escaped_name) {
            Some(change) => change,
            None => stored.and_then(|snapshot| snapshot.raw(escaped_name)),
        })
    }

    /// How many fields there are, changes counted in.
    fn count(&self) -> usize {
        let stored = self.snapshot().ok().flatten();
        let mut count = stored.map_or(0, Snapshot::len);
        for (name, change) in self.overlay.iter() {
            let was = stored.is_some_and(|snapshot| snapshot.raw(name).is_some());
            match (was, change.is_some()) {
                (false, true) => count += 1,
                (true, false) => count -= 1,
                _ => {}
            }
        }
        count
    }

    /// All fields with their values as they stand in a record, ordered by name.
    fn each_raw(&self, mut visit: impl FnMut(&str, &str)) -> Result<(), Error> {
        let mut changes = self.overlay.iter().peekable();
        for (name, value) in self.snapshot()?.into_iter().flat_map(Snapshot::raw_fields) {
            while let Some((changed, change)) = changes.next_if(|(changed, _)| *changed < name) {
                if let Some(new) = change {
                    visit(changed, new);
                }
            }
            match changes.next_if(|(changed, _)| *changed == name) {
                Some((_, Some(new))) => visit(name, new),
                Some((_, None)) => {}
                None => visit(name, value),
            }
        }
        for (changed, change) in changes {
            if let Some(new) = change {
                visit(changed, new);
            }
        }
        Ok(())
    }
}

/// A handle on one session.
pub struct Session {
    engine: Rc<Engine>,
    state: RefCell<State>,
}

impl Session {
    pub(crate) fn draft(engine: Rc<Engine>) -> Self {
        Self::with(engine, Phase::Draft)
    }

    pub(crate) fn opened(engine: Rc<Engine>, live: Live) -> Self {
        Self::with(engine, Phase::Live(live))
    }

    fn with(engine: Rc<Engine>, phase: Phase) -> Self {
        Self {
            engine,
            state: RefCell::new(State {
                phase,
                overlay: Overlay::default(),
                author: None,
            }),
        }
    }

    /// Reads one field.
    ///
    /// # Errors
    /// `Missing`, `Closed`, `Corrupt`.
    pub fn get(&self, name: &str) -> Result<Value, Error> {
        value::decode(self.state.borrow().raw(&escape(name))?.ok_or(Kind::Missing)?)
    }

    /// Sets one field.
    ///
    /// # Errors
    /// `InvalidArgument`, `InvalidValue`, `LimitExceeded`, `Closed`.
    pub fn set(&self, name: &str, value: &Value) -> Result<(), Error> {
        let change = self.encode(name, Some(value))?;
        self.apply(vec![change])
    }

    /// Sets and removes many fields, all or none.
    ///
    /// # Errors
    /// As [`Session::set`].
    pub fn update(&self, changes: &[(String, Option<Value>)]) -> Result<(), Error> {
        let changes = changes
            .iter()
            .map(|(name, value)| self.encode(name, value.as_ref()))
            .collect::<Result<_, _>>()?;
        self.apply(changes)
    }

    fn encode(&self, name: &str, value: Option<&Value>) -> Result<Change, Error> {
        let policy = &self.engine.policy;
        check_name(name, policy.maximum_name_bytes)?;
        let value = value.map(value::encode).transpose()?;
        if value
            .as_ref()
            .is_some_and(|text| text.len() > policy.maximum_value_bytes as usize)
        {
            return Err(Error::limit("maximum-value-bytes", policy.maximum_value_bytes));
        }
        Ok(Change {
            name: escape(name).into(),
            value: value.map(Into::into),
        })
    }

    /// Puts changes on the overlay; takes all back if a limit is passed.
    fn apply(&self, changes: Vec<Change>) -> Result<(), Error> {
        let policy = &self.engine.policy;
        let mut state = self.state.borrow_mut();
        state.snapshot()?;
        let before = (changes.len() > 1).then(|| state.overlay.clone());
        let mut undo = None;
        for change in changes {
            let stored = state
                .snapshot()?
                .is_some_and(|snapshot| snapshot.raw(&change.name).is_some());
            let name = change.name.clone();
            undo = Some((
                name.clone(),
                state.overlay.get(&name).map(|old| old.map(Box::from)),
            ));
            if change.value.is_some() || stored {
                state.overlay.put(change);
            } else {
                state.overlay.drop_change(&name);
            }
        }
        let exceeded = if state.overlay.bytes() > policy.maximum_record_bytes as usize {
            Some(("maximum-record-bytes", policy.maximum_record_bytes))
        } else if state.count() > policy.maximum_fields as usize {
            Some(("maximum-fields", policy.maximum_fields))
        } else {
            None
        };
        let Some((limit, maximum)) = exceeded else {
            return Ok(());
        };
        match (before, undo) {
            (Some(before), _) => state.overlay = before,
            (None, Some((name, Some(value)))) => state.overlay.put(Change { name, value }),
            (None, Some((name, None))) => state.overlay.drop_change(&name),
            (None, None) => {}
        }
        Err(Error::limit(limit, maximum))
    }

    /// Removes a field and answers whether it was there.
    ///
    /// # Errors
    /// `Closed`.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        let mut state = self.state.borrow_mut();
        let name = escape(name);
        let was = state.raw(&name)?.is_some();
        if state
            .snapshot()?
            .is_some_and(|snapshot| snapshot.raw(&name).is_some())
        {
            state.overlay.put(Change {
                name: name.into(),
                value: None,
            });
        } else {
            state.overlay.drop_change(&name);
        }
        Ok(was)
    }

    /// Reads a field and removes it.
    ///
    /// # Errors
    /// `Missing`, `Closed`, `Corrupt`.
    pub fn pop(&self, name: &str) -> Result<Value, Error> {
        let value = self.get(name)?;
        self.remove(name)?;
        Ok(value)
    }

    /// Removes all fields.
    ///
    /// # Errors
    /// `Closed`.
    pub fn clear(&self) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        let mut overlay = Overlay::default();
        for (name, _) in state.snapshot()?.into_iter().flat_map(Snapshot::raw_fields) {
            overlay.put(Change {
                name: name.into(),
                value: None,
            });
        }
        state.overlay = overlay;
        Ok(())
    }

    /// Reads all fields, ordered by name.
    ///
    /// # Errors
    /// `Closed`, `Corrupt`.
    pub fn entries(&self) -> Result<Vec<(String, Value)>, Error> {
        let state = self.state.borrow();
        let mut entries = Vec::with_capacity(state.count());
        state.each_raw(|name, raw| {
            entries.push(value::decode(raw).map(|value| (crate::json::unescape(name).into_owned(), value)))
        })?;
        entries.into_iter().collect()
    }

    /// Reads all fields as one JSON object, in the form the record has.
    ///
    /// # Errors
    /// `Closed`.
    pub fn entries_json(&self) -> Result<String, Error> {
        let state = self.state.borrow();
        let mut text = String::new();
        state.each_raw(|name, raw| {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push('"');
            text.push_str(name);
            text.push_str("\":");
            text.push_str(raw);
        })?;
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        Ok(text)
    }

    /// Makes a second handle with the same snapshot and a copy of the changes.
    ///
    /// # Errors
    /// `Closed`.
    pub fn fork(&self) -> Result<Self, Error> {
        let state = self.state.borrow();
        state.snapshot()?;
        // A handle of its own writes under names of its own.
        let state = State {
            author: None,
            ..state.clone()
        };
        Ok(Self {
            engine: Rc::clone(&self.engine),
            state: RefCell::new(state),
        })
    }

    /// Whether there are changes to save.
    pub fn is_modified(&self) -> bool {
        !self.state.borrow().overlay.is_empty()
    }

    /// The version of the record that was opened or last written; `None` for a draft.
    pub fn version(&self) -> Option<u64> {
        self.state.borrow().live().ok().map(|live| live.snapshot.version)
    }

    /// What is known of the session at `now`.
    pub fn details(&self, now: u64) -> Details {
        let state = self.state.borrow();
        let modified = !state.overlay.is_empty();
        let Ok(live) = state.live() else {
            let status = if matches!(state.phase, Phase::Closed) {
                Status::Closed
            } else {
                Status::Draft
            };
            return Details {
                status,
                reference: String::new(),
                subject: None,
                created_at: now,
                authenticated_at: None,
                expires_at: now,
                ends_at: now,
                generation: 0,
                touch_due: false,
                renew_due: false,
                reissue_due: false,
                modified,
            };
        };
        let (policy, head) = (&self.engine.policy, &live.snapshot.head);
        let standing = self.stand(live, now);
        let unconfirmed = standing == Standing::Current && head.generations.confirmed_at.is_none();
        let due = write::renewal_due(&head.generations, policy.renew_interval_ms, standing, now);
        let settled = head.generations.is_settled(now, policy.rotation_grace_ms);
        let half_life = live.issued_at + live.token_expires_at.saturating_sub(live.issued_at) / 2;
        let in_grace = standing == Standing::PreviousInGrace;
        Details {
            status: Status::Live,
            reference: live.id.reference(),
            subject: head.subject.clone(),
            created_at: head.created_at,
            authenticated_at: head.authenticated_at,
            expires_at: live.expires_at,
            ends_at: head.ends_at,
            generation: live.generation.counter,
            touch_due: unconfirmed || self.slides(live, now).is_some(),
            renew_due: due && (settled || standing == Standing::PreviousUnconfirmed),
            reissue_due: policy.token_format == TokenFormat::Jwt && !in_grace && now >= half_life,
            modified,
        }
    }

    fn stand(&self, live: &Live, now: u64) -> Standing {
        live.snapshot
            .head
            .generations
            .judge(live.generation, now, self.engine.policy.rotation_grace_ms)
    }

    /// The idle expiry that a touch would set; `None` if the last is not old enough.
    fn slides(&self, live: &Live, now: u64) -> Option<u64> {
        let policy = &self.engine.policy;
        let slid = (now + policy.idle_timeout_ms).min(live.snapshot.head.ends_at);
        let gained = slid.saturating_sub(live.expires_at);
        let due = gained >= policy.touch_interval_ms || slid == live.snapshot.head.ends_at;
        (gained > 0 && due).then_some(slid)
    }

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
            now,
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
        let minted = write::mint(&self.engine, live.id, current, head, &live.snapshot, now)?;
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
        let Found { snapshot, expires_at } =
            self.engine.find(call, live.id, true, now)?.ok_or(Kind::Missing)?;
        let newest = Live {
            snapshot,
            expires_at,
            ..live.clone()
        };
        let head = &newest.snapshot.head;
        if head.ends_at <= now {
            return Err(Kind::Expired.into());
        }
        if !self.stand(&newest, now).is_served() || head.subject != live.snapshot.head.subject {
            return Err(Kind::Replaced.into());
        }
        // Another request may have moved it already.
        let Some(slid) = self.slides(&newest, now) else {
            return Ok((expires_at, false));
        };
        if call.touch(&self.engine.key(live.id), head.subject.as_deref(), slid)? {
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
        let Some(found) = self.engine.find(call, live.id, true, now)? else {
            return Ok(());
        };
        let grace = self.engine.policy.rotation_grace_ms;
        let still = |generations: &Generations| generations.judge(live.generation, now, grace).is_served();
        if ending::end(&self.engine, call, live.id, found, still, now)? {
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
            live.id,
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
            live.id,
            live.snapshot.head.generations.floor,
            token,
        )
    }
}
