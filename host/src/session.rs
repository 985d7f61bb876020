//! [`Session`]: one session as data, read and changed at once, and stored by the calls that ask the engine.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tessera_contract::opens::Found;
use tessera_contract::state::{Failed, State, WRITER_BYTES, Writing};
use tessera_contract::store::Seed;

use crate::Value;
use crate::bindings::wit;
use crate::driver::{Calls, Crowded, Instance, Passed, Rank, ReplayLog, detached, found};
use crate::error::SessionError;
use crate::limits::{check_change, check_changes, check_subject};
use crate::summary;
use crate::{Details, Grant, KeepFields};

/// A token against cross-site request forgery is 86 characters long.
const MAXIMUM_CSRF_TOKEN_BYTES: usize = 128;

/// One session: what was stored, and the changes made since.
///
/// Reading and changing fields asks no store and answers at once. What is changed is stored by [`Session::save`] and its kin.
/// While one of these is under way, every other call on the same session answers [`SessionError::Busy`];
/// a second one, made by [`Session::fork`] or by opening the session again, is independent.
///
/// A future of a call that was dropped ends nothing that has begun to write: it goes on in a task of its own.
/// That needs a tokio runtime; outside of one, await such futures to their end.
pub struct Session {
    core: Arc<Core>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

struct Core {
    calls: Arc<Calls>,
    held: Mutex<Held>,
}

struct Held {
    state: State,
    /// The entry that the session's calls read or wrote last; none for a draft.
    seed: Option<Seed>,
    /// Under which the open is remembered, if the session was opened.
    memo_key: Option<u64>,
}

/// Marks a session as busy until a call on it has ended.
struct Busy(Arc<Core>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.held().state.end();
    }
}

/// A call that asks the store.
enum Operation {
    Save,
    Rotate,
    Authenticate(String, wit::KeepFields),
    Touch,
    Reissue,
    Destroy,
}

impl Operation {
    /// Which writers of the record it waits for, if it waits.
    fn rank(&self) -> Option<Rank> {
        match self {
            Self::Save | Self::Rotate => Some(Rank::Then),
            Self::Touch => Some(Rank::First),
            // Where nothing stored is kept, no save is in the way.
            Self::Authenticate(_, wit::KeepFields::Nothing) | Self::Reissue | Self::Destroy => None,
            Self::Authenticate(..) => Some(Rank::First),
        }
    }

    /// One pass; a destroyed session answers nothing.
    fn pass(&self, instance: &mut Instance, writing: &wit::Writing) -> Passed<Option<wit::Written>> {
        let (sessions, store, engine) = instance.parts();
        let written = match self {
            Self::Save => sessions.call_save(store, engine, writing)?,
            Self::Rotate => sessions.call_rotate(store, engine, writing)?,
            Self::Authenticate(subject, keep) => {
                sessions.call_authenticate(store, engine, writing, subject, keep)?
            }
            Self::Touch => {
                sessions.call_touch(store, engine, &writing.handle, &writing.writer, writing.attempt)?
            }
            Self::Reissue => sessions.call_reissue(store, engine, &writing.handle)?,
            Self::Destroy => {
                let destroyed = sessions.call_destroy(store, engine, &writing.handle)?;
                return Ok(destroyed.map(|()| None));
            }
        };
        Ok(written.map(Some))
    }
}

/// How a call has ended that hands something back.
struct Ended {
    grant: Grant,
    wrote: bool,
}

impl Core {
    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic under the lock leaves whole values.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call that asks the store.
    async fn run(self: &Arc<Self>, operation: Operation) -> Result<Option<Ended>, SessionError> {
        self.held().state.begin()?;
        let busy = Busy(Arc::clone(self));
        let seed = self.held().seed.clone();
        let turn = match (operation.rank(), &seed) {
            (Some(rank), Some(seed)) => self.calls.queues().enter(&seed.key, rank).await,
            _ => Ok(None),
        };
        let turn = turn.map_err(|Crowded| SessionError::Contended)?;
        // Who waited begins with the entry that the one before wrote.
        let newest = match (&turn, seed) {
            (Some(turn), Some(seed)) => Some(Seed {
                entry: turn.last.clone().unwrap_or(seed.entry),
                key: seed.key,
            }),
            (_, seed) => seed,
        };
        let writing = {
            let state = &mut self.held().state;
            let Writing {
                handle,
                changes,
                writer,
                attempt,
            } = state.writing(|| self.draw())?;
            let now = self.calls.now();
            // One that has expired answers nothing.
            let alive = newest.as_ref().filter(|seed| seed.entry.expires_at > now);
            let base = if self.calls.compares_fields() {
                state.base(alive.map(|seed| seed.entry.version))
            } else {
                None
            };
            wit::Writing {
                handle,
                changes,
                writer: writer.to_vec(),
                attempt,
                base,
            }
        };
        let mut log = ReplayLog::of_session(newest, turn);
        // The future owns all that it needs: it goes on without the caller once a write was asked.
        detached(log.wrote_flag(), async move {
            let core = &busy.0;
            let call = |instance: &mut Instance| operation.pass(instance, &writing);
            let ended = core.calls.finish(&mut log, call).await;
            core.settle(&operation, ended, log)
        })
        .await
    }

    fn draw(&self) -> Result<[u8; WRITER_BYTES], SessionError> {
        let mut writer = [0; WRITER_BYTES];
        match self.calls.random().fill(&mut writer) {
            Ok(()) => Ok(writer),
            Err(_) => Err(SessionError::Other {
                reason: "the random source failed".into(),
                source: None,
            }),
        }
    }

    /// Brings the session to where the call has left it.
    fn settle(
        &self,
        operation: &Operation,
        ended: Result<Option<wit::Written>, SessionError>,
        log: ReplayLog,
    ) -> Result<Option<Ended>, SessionError> {
        let is_confirmation = matches!(operation, Operation::Touch);
        let written = match ended {
            Ok(written) => written,
            Err(error) => {
                let failed = match &error {
                    // Nothing was to be written: the next call that writes finds out for itself.
                    _ if matches!(operation, Operation::Reissue) => Failed::Otherwise,
                    SessionError::Missing | SessionError::Expired | SessionError::TooManySessions => {
                        Failed::Ended
                    }
                    SessionError::OutcomeUnknown { .. } if !is_confirmation => Failed::OutcomeUnknown,
                    _ => Failed::Otherwise,
                };
                self.held().state.failed(failed);
                return Err(error);
            }
        };
        let Some(wit::Written { grant, opened, wrote }) = written else {
            let held = &mut *self.held();
            held.state.close();
            held.seed = None;
            if let Some(memo_key) = held.memo_key {
                self.calls.opens().forget(memo_key);
            }
            return Ok(None);
        };
        let (mut opened, seed) = found(opened, &log)?;
        let held = &mut *self.held();
        if matches!(operation, Operation::Save)
            && wrote
            && grant.token.is_none()
            && let (Some(memo_key), Some(before), Some(read)) =
                (held.memo_key, held.state.stands_on(), &held.seed)
        {
            let opens = self.calls.opens();
            opens.saved(memo_key, (before, read), (&mut opened, &seed));
        }
        held.seed = Some(seed);
        match operation {
            Operation::Reissue => held.state.reissued(&opened),
            Operation::Touch => held.state.touched(opened),
            _ => held.state.written(opened),
        }
        let grant = summary::grant(grant);
        Ok(Some(Ended { grant, wrote }))
    }

    /// A call on a saved session that asks no store.
    fn at_once<T>(
        &self,
        call: impl Fn(&mut Instance, &str) -> Passed<T>,
    ) -> Result<(T, ReplayLog), SessionError> {
        let (handle, seed) = {
            let held = self.held();
            (held.state.saved()?.handle.clone(), held.seed.clone())
        };
        let mut log = ReplayLog::at_once(seed);
        let answer = self.calls.ended(&mut log, |instance| call(instance, &handle))?;
        Ok((answer, log))
    }

    /// What is known of the session by now; where that is not what it was, the engine says it.
    fn details(&self) -> Result<Details, SessionError> {
        let now = self.calls.now();
        {
            let state = &self.held().state;
            let known = state.details()?;
            match state.live() {
                Ok(Some(opened)) if !opened.holds_at(now) => {}
                _ => return Ok(known),
            }
        }
        let inspected = self.at_once(|instance, handle| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_inspect(store, engine, handle)
        });
        let inspected = inspected.and_then(|(opened, log)| found(opened, &log));
        let state = &mut self.held().state;
        // Of one that has expired meanwhile, what was known last is all that is known.
        if let (Ok((opened, _)), Ok(_)) = (inspected, state.live()) {
            state.renew_details(&opened);
        }
        Ok(state.details()?)
    }
}

/// What a call that writes has handed back.
fn granted(ended: Option<Ended>) -> Result<Ended, SessionError> {
    // Only a destroyed session hands nothing back.
    ended.ok_or(SessionError::Closed)
}

impl Session {
    fn with(calls: Arc<Calls>, state: State, seed: Option<Seed>, memo_key: Option<u64>) -> Self {
        let held = Mutex::new(Held {
            state,
            seed,
            memo_key,
        });
        Self {
            core: Arc::new(Core { calls, held }),
        }
    }

    pub(crate) fn draft(calls: Arc<Calls>) -> Self {
        let state = State::draft(calls.draft());
        Self::with(calls, state, None, None)
    }

    pub(crate) fn opened(calls: Arc<Calls>, found: Found) -> Self {
        let Found {
            opened,
            seed,
            memo_key,
        } = found;
        Self::with(calls, State::opened(opened), Some(seed), Some(memo_key))
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.core.held().state)
    }

    /// No field has such a name, so it need not be looked for.
    fn is_too_long(&self, name: &str) -> bool {
        name.len() > self.core.calls.field_limits().maximum_name_bytes as usize
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.core.held().state)
    }

    /// Reads one field as a Rust type; `None` if there is no such field.
    ///
    /// # Errors
    /// [`SessionError::Convert`] if the field is of another type, [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        self.get_value(name)?
            .map(Value::to)
            .transpose()
            .map_err(SessionError::Convert)
    }

    /// Reads one field; `None` if there is no such field.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`], [`SessionError::Corrupt`].
    pub fn get_value(&self, name: &str) -> Result<Option<Value>, SessionError> {
        if self.is_too_long(name) {
            return Ok(None);
        }
        Ok(self.read(|state| state.get(name))?)
    }

    /// Sets one field to any value that serde can write.
    ///
    /// # Errors
    /// [`SessionError::Convert`], and as [`Session::set_value`].
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), SessionError> {
        self.set_value(name, Value::of(value).map_err(SessionError::Convert)?)
    }

    /// Sets one field.
    ///
    /// # Errors
    /// [`SessionError::InvalidArgument`] for a name, [`SessionError::InvalidValue`] for a value that is unfit,
    /// [`SessionError::LimitExceeded`], [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn set_value(&self, name: &str, value: Value) -> Result<(), SessionError> {
        self.update([(name.to_owned(), Some(value))])
    }

    /// Sets and removes many fields at once, all or none: a value sets one, `None` removes it.
    ///
    /// # Errors
    /// As [`Session::set_value`].
    pub fn update(
        &self,
        changes: impl IntoIterator<Item = (String, Option<Value>)>,
    ) -> Result<(), SessionError> {
        let limits = self.core.calls.field_limits();
        let mut checked = Vec::new();
        for (name, value) in changes {
            check_change(&limits, &name, value.as_ref())?;
            check_changes(&limits, checked.len() + 1)?;
            checked.push((name, value));
        }
        Ok(self.change(|state| state.update(checked, &limits))?)
    }

    /// Removes a field, and answers whether it was there.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn remove(&self, name: &str) -> Result<bool, SessionError> {
        if self.is_too_long(name) {
            return Ok(false);
        }
        Ok(self.change(|state| state.remove(name))?)
    }

    /// Reads a field and removes it, as for a message that is shown once.
    ///
    /// # Errors
    /// As [`Session::get`]. A field of another type is removed all the same.
    pub fn pop<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        if self.is_too_long(name) {
            return Ok(None);
        }
        let value = self.change(|state| {
            let value = state.get(name)?;
            state.remove(name)?;
            Ok::<_, SessionError>(value)
        })?;
        value.map(Value::to).transpose().map_err(SessionError::Convert)
    }

    /// Removes all fields.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn clear(&self) -> Result<(), SessionError> {
        Ok(self.change(State::clear)?)
    }

    /// Reads all fields, ordered by name.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`], [`SessionError::Corrupt`].
    pub fn entries(&self) -> Result<Vec<(String, Value)>, SessionError> {
        Ok(self.read(State::entries)?)
    }

    /// Reads all fields as one JSON object. Bytes, integers beyond ±(2⁵³−1), and JSON that would be mistaken for another
    /// value stand as `{"$t":[kind, content]}`.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn entries_json(&self) -> Result<String, SessionError> {
        Ok(self.read(State::entries_json)?)
    }

    /// Makes a second, independent session over the same record, with a copy of the changes that are not saved yet.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn fork(&self) -> Result<Self, SessionError> {
        let held = self.core.held();
        let (state, seed) = (held.state.fork()?, held.seed.clone());
        Ok(Self::with(
            Arc::clone(&self.core.calls),
            state,
            seed,
            held.memo_key,
        ))
    }

    /// Whether there are changes to save.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn is_modified(&self) -> Result<bool, SessionError> {
        Ok(self.read(State::details)?.modified)
    }

    /// What is known of the session. Asks the clock, not the store.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn details(&self) -> Result<Details, SessionError> {
        self.core.details()
    }

    /// Whom the session stands for.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn subject(&self) -> Result<Option<String>, SessionError> {
        Ok(self.read(State::details)?.subject)
    }

    /// Stores the changes, merged with what others saved meanwhile, and renews the token where that is due.
    /// Writes nothing if there is nothing to write. A draft becomes a session and gets its token.
    ///
    /// # Errors
    /// [`SessionError::Missing`] if the session was ended meanwhile, [`SessionError::Replaced`] if a login came in between,
    /// [`SessionError::Conflict`], [`SessionError::Contended`], [`SessionError::LimitExceeded`], [`SessionError::Full`],
    /// [`SessionError::SubjectRequired`], [`SessionError::Expired`], [`SessionError::Closed`], [`SessionError::Busy`],
    /// and those of the store.
    pub async fn save(&self) -> Result<Grant, SessionError> {
        granted(self.core.run(Operation::Save).await?).map(|ended| ended.grant)
    }

    /// Saves, and renews the token, unless the last renewal is unconfirmed or its grace still runs.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub async fn rotate(&self) -> Result<Grant, SessionError> {
        granted(self.core.run(Operation::Rotate).await?).map(|ended| ended.grant)
    }

    /// Logs a subject in. The old token ends at once, the absolute timeout starts anew, and of the stored fields none is kept;
    /// fields set since the session was opened are.
    ///
    /// # Errors
    /// As [`Session::save`]; [`SessionError::InvalidArgument`] for a subject that is not 1 to 255 bytes without control
    /// characters, [`SessionError::TooManySessions`].
    pub async fn authenticate(&self, subject: &str) -> Result<Grant, SessionError> {
        self.authenticate_keeping(subject, &KeepFields::Nothing).await
    }

    /// Logs a subject in, or confirms who it is (step-up), and keeps some of the stored fields.
    ///
    /// # Errors
    /// As [`Session::authenticate`].
    pub async fn authenticate_keeping(
        &self,
        subject: &str,
        keep: &KeepFields,
    ) -> Result<Grant, SessionError> {
        check_subject(subject)?;
        if let KeepFields::Named(names) = keep {
            let limits = self.core.calls.field_limits();
            check_changes(&limits, names.len())?;
            names
                .iter()
                .try_for_each(|name| check_change(&limits, name, None))?;
        }
        let operation = Operation::Authenticate(subject.to_owned(), summary::keep(keep));
        granted(self.core.run(operation).await?).map(|ended| ended.grant)
    }

    /// Makes the session's token anew, with a new time of issue and no write to the store. The record is read fresh, so that no
    /// token is made after a logout elsewhere.
    ///
    /// # Errors
    /// [`SessionError::Missing`], [`SessionError::Expired`], [`SessionError::Replaced`], [`SessionError::SubjectRequired`],
    /// [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`], and those of the store.
    pub async fn reissue(&self) -> Result<Grant, SessionError> {
        granted(self.core.run(Operation::Reissue).await?).map(|ended| ended.grant)
    }

    /// Moves the idle expiry and confirms a renewed token, where that is due; answers whether it wrote.
    /// Call it after the response, or beside it: if it fails the request was still served.
    ///
    /// # Errors
    /// [`SessionError::Missing`], [`SessionError::Expired`], [`SessionError::Replaced`], [`SessionError::Contended`],
    /// [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`], and those of the store.
    pub async fn touch(&self) -> Result<bool, SessionError> {
        granted(self.core.run(Operation::Touch).await?).map(|ended| ended.wrote)
    }

    /// Ends the session, in the store and here. A session that is gone already is no error.
    ///
    /// # Errors
    /// [`SessionError::Replaced`] if a login came in between, [`SessionError::Closed`], [`SessionError::Busy`],
    /// and those of the store.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        self.core.run(Operation::Destroy).await.map(drop)
    }

    /// Makes a token against cross-site request forgery, bound to this session until its next authentication.
    ///
    /// # Errors
    /// [`SessionError::Draft`], [`SessionError::Missing`] if it has been idle for too long meanwhile,
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn csrf_token(&self) -> Result<String, SessionError> {
        let (token, _) = self.core.at_once(|instance, handle| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_csrf_token(store, engine, handle)
        })?;
        Ok(token)
    }

    /// Checks a token that [`Session::csrf_token`] made.
    ///
    /// # Errors
    /// [`SessionError::InvalidCsrfToken`], and as [`Session::csrf_token`].
    pub fn check_csrf_token(&self, token: &str) -> Result<(), SessionError> {
        if token.len() > MAXIMUM_CSRF_TOKEN_BYTES {
            return Err(SessionError::InvalidCsrfToken);
        }
        self.core.at_once(|instance, handle| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_check_csrf_token(store, engine, handle, token)
        })?;
        Ok(())
    }
}
