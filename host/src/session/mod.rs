//! [`Session`]: one session as data, which is read and changed in memory and stored by explicit calls.

mod core;

use std::fmt;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tessera_contract::held::Held;
use tessera_contract::opens::Found;
use tessera_contract::state::{State, StateError};

use self::core::{Core, Operation, granted};
use crate::Value;
use crate::driver::Calls;
use crate::error::SessionError;
use crate::limits::{check_change, check_changes, check_subject};
use crate::summary;
use crate::{Details, Grant, KeepFields, Timestamp};

/// The maximum length of a CSRF token that is passed to the engine; a valid one has 86 characters.
const MAXIMUM_CSRF_TOKEN_BYTES: usize = 128;

/// One session: the stored fields, and the changes since it was opened.
///
/// Methods that read and change fields work in memory and return at once.
/// Nothing is saved in the background: [`Session::save`], [`Session::rotate`] and [`Session::authenticate`] store the changes.
/// While an `async` method runs, every other method on the same session returns [`SessionError::Busy`].
/// A second `Session` from [`Session::fork`], or from opening the token again, is independent.
///
/// If the future of a call is dropped after the call has begun to write, the call continues in a task of its own.
/// This needs a tokio runtime; outside of one, await these futures to completion.
pub struct Session {
    core: Arc<Core>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    fn with(calls: Arc<Calls>, held: Held) -> Self {
        let held = Mutex::new(held);
        Self {
            core: Arc::new(Core { calls, held }),
        }
    }

    pub(crate) fn draft(calls: Arc<Calls>) -> Self {
        let held = Held::draft(calls.draft());
        Self::with(calls, held)
    }

    pub(crate) fn opened(calls: Arc<Calls>, found: Found) -> Self {
        Self::with(calls, Held::opened(found))
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.core.held().state)
    }

    /// Whether the name is longer than that of any field, so that no lookup is needed.
    fn is_too_long(&self, name: &str) -> bool {
        name.len() > self.core.calls.field_limits().maximum_name_bytes as usize
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.core.held().state)
    }

    /// Reads one field as a Rust type; `None` if there is no such field.
    ///
    /// # Errors
    /// [`SessionError::Convert`] if the field has another type; [`SessionError::Closed`], [`SessionError::Busy`],
    /// [`SessionError::Corrupt`].
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

    /// Sets one field to a value that serde can serialise.
    ///
    /// # Errors
    /// [`SessionError::Convert`], and as [`Session::set_value`].
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), SessionError> {
        self.set_value(name, Value::of(value).map_err(SessionError::Convert)?)
    }

    /// Sets one field.
    ///
    /// # Errors
    /// [`SessionError::InvalidArgument`] if the name is invalid, [`SessionError::InvalidValue`] if the value is;
    /// [`SessionError::LimitExceeded`], [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn set_value(&self, name: &str, value: Value) -> Result<(), SessionError> {
        self.update([(name.to_owned(), Some(value))])
    }

    /// Sets and removes several fields, all or none: a value sets a field, `None` removes it.
    ///
    /// # Errors
    /// As [`Session::set_value`]; no field has changed then.
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

    /// Removes a field, and returns whether it existed.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`], [`SessionError::Corrupt`].
    pub fn remove(&self, name: &str) -> Result<bool, SessionError> {
        if self.is_too_long(name) {
            return Ok(false);
        }
        Ok(self.change(|state| state.remove(name))?)
    }

    /// Removes a field and returns its value, as for a message that is shown once.
    ///
    /// # Errors
    /// As [`Session::get`]. A field of another type is removed as well.
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
    /// [`SessionError::Closed`], [`SessionError::Busy`], [`SessionError::Corrupt`].
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

    /// Reads all fields as one JSON object.
    ///
    /// Bytes, integers beyond ±(2⁵³−1), and JSON that is ambiguous with another value have the form
    /// `{"$t":[kind, content]}`.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`], [`SessionError::Corrupt`].
    pub fn entries_json(&self) -> Result<String, SessionError> {
        Ok(self.read(State::entries_json)?)
    }

    /// Creates a second, independent `Session` over the same record, with a copy of the unsaved changes.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn fork(&self) -> Result<Self, SessionError> {
        let held = self.core.held().fork()?;
        Ok(Self::with(Arc::clone(&self.core.calls), held))
    }

    /// Whether there are changes to save.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn is_modified(&self) -> Result<bool, SessionError> {
        Ok(self.read(State::details)?.modified)
    }

    /// Returns the session's details. Reads the clock, and never the store.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn details(&self) -> Result<Details, SessionError> {
        self.core.details()
    }

    /// The subject that the session is authenticated as; `None` if there was no login.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn subject(&self) -> Result<Option<String>, SessionError> {
        Ok(self.read(State::details)?.subject)
    }

    /// Stores the changes, merged with concurrent saves, and renews the token if a renewal is due.
    ///
    /// Writes nothing if nothing has changed and no renewal is due.
    /// A draft becomes a stored session and receives its token.
    ///
    /// # Errors
    /// [`SessionError::Missing`] if the session has ended since it was opened, [`SessionError::Replaced`] if a login has
    /// replaced its token;
    /// [`SessionError::Conflict`], [`SessionError::Contended`], [`SessionError::LimitExceeded`], [`SessionError::Full`],
    /// [`SessionError::SubjectRequired`], [`SessionError::Expired`], [`SessionError::Closed`], [`SessionError::Busy`],
    /// and the errors of the store.
    pub async fn save(&self) -> Result<Grant, SessionError> {
        granted(self.core.run(Operation::Save).await?).map(|ended| ended.grant)
    }

    /// Stores the changes and renews the token, unless the last renewal is unconfirmed or still within its grace period.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub async fn rotate(&self) -> Result<Grant, SessionError> {
        granted(self.core.run(Operation::Rotate).await?).map(|ended| ended.grant)
    }

    /// Logs a subject in.
    ///
    /// The old token becomes invalid at once, and the absolute timeout restarts.
    /// The stored fields are dropped; fields set since the session was opened are stored.
    ///
    /// # Errors
    /// As [`Session::save`]; [`SessionError::InvalidArgument`] if the subject is not 1 to 255 bytes without control
    /// characters; [`SessionError::TooManySessions`].
    pub async fn authenticate(&self, subject: &str) -> Result<Grant, SessionError> {
        self.authenticate_keeping(subject, &KeepFields::Nothing).await
    }

    /// Logs a subject in, or authenticates it again (step-up), and keeps some of the stored fields.
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

    /// Issues the session's token again, with a new time of issue and without a write to the store.
    ///
    /// The record is read fresh, so that no token is issued after a logout elsewhere.
    ///
    /// # Errors
    /// [`SessionError::Missing`], [`SessionError::Expired`], [`SessionError::Replaced`], [`SessionError::SubjectRequired`],
    /// [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`], and the errors of the store.
    pub async fn reissue(&self) -> Result<Grant, SessionError> {
        granted(self.core.run(Operation::Reissue).await?).map(|ended| ended.grant)
    }

    /// Extends the idle expiry and confirms a renewed token, if either is due; returns whether it wrote.
    ///
    /// Call it after the response or concurrently with it: a failure does not affect the request.
    ///
    /// # Errors
    /// [`SessionError::Missing`], [`SessionError::Expired`], [`SessionError::Replaced`], [`SessionError::Contended`],
    /// [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`], and the errors of the store.
    pub async fn touch(&self) -> Result<bool, SessionError> {
        granted(self.core.run(Operation::Touch).await?).map(|ended| ended.wrote)
    }

    /// Returns the moment until which the session lives unless it is used, by the stored record.
    ///
    /// For a connection that stays open as long as its session lives. It is no use of the session: the idle expiry stays, no
    /// token is confirmed, and a token that was renewed since is not a sign of theft.
    ///
    /// # Errors
    /// [`SessionError::Missing`], [`SessionError::Expired`], [`SessionError::Replaced`] if a login has replaced the token;
    /// [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`], and the errors of the store.
    pub async fn standing(&self) -> Result<Timestamp, SessionError> {
        let (handle, key) = self.handle_and_key()?;
        let (until, _) = self.core.calls.standing(handle, &key).await?;
        Ok(until)
    }

    /// The session's handle and the key of its record.
    pub(crate) fn handle_and_key(&self) -> Result<(String, Arc<str>), SessionError> {
        let read = |state: &State| {
            let opened = state.saved()?;
            Ok::<_, StateError>((opened.handle.clone(), Arc::clone(&opened.key)))
        };
        Ok(self.read(read)?)
    }

    /// Ends the session in the store and closes this `Session`. It is not an error if the session has already ended.
    ///
    /// # Errors
    /// [`SessionError::Replaced`] if a login has replaced the token; [`SessionError::Closed`], [`SessionError::Busy`],
    /// and the errors of the store.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        self.core.run(Operation::Destroy).await.map(drop)
    }

    /// Creates a token against cross-site request forgery, bound to this session until its next authentication.
    ///
    /// # Errors
    /// [`SessionError::Missing`] if the session's idle timeout has passed; [`SessionError::Draft`],
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn csrf_token(&self) -> Result<String, SessionError> {
        let (token, _) = self.core.at_once(|instance, handle| {
            let (sessions, store, engine) = instance.parts();
            sessions.call_csrf_token(store, engine, handle)
        })?;
        Ok(token)
    }

    /// Verifies a token from [`Session::csrf_token`].
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
