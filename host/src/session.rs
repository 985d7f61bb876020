//! [`Session`]: one session, read and changed at once, saved in the background of nothing.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Value;
use crate::driver::{Handle, Rank, wit};
use crate::error::SessionError;
use crate::limits::{check_change, check_changes, check_subject};
use crate::policy::Policy;
use crate::summary;
use crate::value;
use crate::{Details, Grant, KeepFields};

/// A token against cross-site request forgery is 86 characters long.
const MAXIMUM_CSRF_TOKEN_BYTES: usize = 128;

/// One session: what was stored, and the changes made since.
///
/// Reading and changing fields asks no store and answers at once. What is changed is stored by [`Session::save`] and its kin.
/// While one of these is under way, every other call on the same session answers [`SessionError::Busy`];
/// a second handle, made by [`Session::fork`] or by opening the session again, is independent.
///
/// A future of a call that was dropped ends nothing that has begun to write: it goes on in a task of its own.
/// That needs a tokio runtime; outside of one, await such futures to their end.
pub struct Session {
    handle: Arc<Handle>,
    policy: Arc<Policy>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// A call of a method of the session resource.
macro_rules! at_once {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        $self.handle.at_once(|instance, session| {
            let sessions = instance.exports.tessera_session_sessions();
            sessions.session().$method(&mut instance.store, session $(, $argument)*)
        })
    };
}

/// A logical call of a method of the session resource.
macro_rules! run {
    ($self:ident.$method:ident($($argument:expr),*), $rank:expr) => {
        $self.handle.run($rank, move |instance, session| {
            let sessions = instance.exports.tessera_session_sessions();
            sessions.session().$method(&mut instance.store, session $(, $argument)*)
        })
    };
}

impl Session {
    pub(crate) fn new(handle: Arc<Handle>, policy: Arc<Policy>) -> Self {
        Self { handle, policy }
    }

    /// No field has such a name, so it need not be looked for.
    fn is_too_long(&self, name: &str) -> bool {
        name.len() > self.policy.maximum_name_bytes as usize
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
        present(at_once!(self.call_get(name)))
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
    /// [`SessionError::LimitExceeded`], [`SessionError::Overloaded`], [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn set_value(&self, name: &str, value: Value) -> Result<(), SessionError> {
        check_change(&self.policy, name, Some(&value))?;
        self.handle.grow(name.len() + value.approximate_bytes())?;
        let value = value::into_wit(value);
        at_once!(self.call_set(name, &value))
    }

    /// Sets and removes many fields at once, all or none: a value sets one, `None` removes it.
    ///
    /// # Errors
    /// As [`Session::set_value`].
    pub fn update(
        &self,
        changes: impl IntoIterator<Item = (String, Option<Value>)>,
    ) -> Result<(), SessionError> {
        let (mut bytes, mut checked) = (0, Vec::new());
        for (name, value) in changes {
            check_change(&self.policy, &name, value.as_ref())?;
            check_changes(&self.policy, checked.len() + 1)?;
            bytes += name.len() + value.as_ref().map_or(0, Value::approximate_bytes);
            checked.push(wit::Change {
                name,
                value: value.map(value::into_wit),
            });
        }
        self.handle.grow(bytes)?;
        let changes = checked;
        at_once!(self.call_update(&changes))
    }

    /// Removes a field, and answers whether it was there.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn remove(&self, name: &str) -> Result<bool, SessionError> {
        if self.is_too_long(name) {
            return Ok(false);
        }
        at_once!(self.call_remove(name))
    }

    /// Reads a field and removes it, as for a message that is shown once.
    ///
    /// # Errors
    /// As [`Session::get`]. A field of another type is removed all the same.
    pub fn pop<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        if self.is_too_long(name) {
            return Ok(None);
        }
        let value = present(at_once!(self.call_pop(name)))?;
        value
            .map(|value| value.to())
            .transpose()
            .map_err(SessionError::Convert)
    }

    /// Removes all fields.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn clear(&self) -> Result<(), SessionError> {
        at_once!(self.call_clear())
    }

    /// Reads all fields, ordered by name.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`], [`SessionError::Corrupt`].
    pub fn entries(&self) -> Result<Vec<(String, Value)>, SessionError> {
        let fields = at_once!(self.call_entries())?;
        Ok(fields
            .into_iter()
            .map(|field| (field.name, value::from_wit(field.value)))
            .collect())
    }

    /// Reads all fields as one JSON object. Bytes, integers beyond ±(2⁵³−1), and JSON that would be mistaken for another
    /// value stand as `{"$t":[kind, content]}`.
    ///
    /// # Errors
    /// [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn entries_json(&self) -> Result<String, SessionError> {
        at_once!(self.call_entries_json())
    }

    /// Makes a second, independent handle on the session, with a copy of the changes that are not saved yet.
    ///
    /// # Errors
    /// [`SessionError::Overloaded`], [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn fork(&self) -> Result<Self, SessionError> {
        let handle = self.handle.fork(|instance, session| {
            instance
                .exports
                .tessera_session_sessions()
                .session()
                .call_fork(&mut instance.store, session)
        })?;
        Ok(Self {
            handle,
            policy: Arc::clone(&self.policy),
        })
    }

    /// Whether there are changes to save.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn is_modified(&self) -> Result<bool, SessionError> {
        Ok(self.details()?.modified)
    }

    /// What is known of the session. Asks the clock, not the store.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn details(&self) -> Result<Details, SessionError> {
        let details = self.handle.at_once(|instance, session| {
            let sessions = instance.exports.tessera_session_sessions();
            Ok(Ok(sessions
                .session()
                .call_details(&mut instance.store, session)?))
        })?;
        Ok(summary::details(details))
    }

    /// Whom the session stands for.
    ///
    /// # Errors
    /// [`SessionError::Busy`].
    pub fn subject(&self) -> Result<Option<String>, SessionError> {
        Ok(self.details()?.subject)
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
        run!(self.call_save(), Some(Rank::Then)).await.map(summary::grant)
    }

    /// Saves, and renews the token, unless the last renewal is unconfirmed or its grace still runs.
    ///
    /// # Errors
    /// As [`Session::save`].
    pub async fn rotate(&self) -> Result<Grant, SessionError> {
        run!(self.call_rotate(), Some(Rank::Then))
            .await
            .map(summary::grant)
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
            check_changes(&self.policy, names.len())?;
            names
                .iter()
                .try_for_each(|name| check_change(&self.policy, name, None))?;
        }
        // Where nothing stored is kept, no save is in the way.
        let rank = (!matches!(keep, KeepFields::Nothing)).then_some(Rank::First);
        let (subject, keep) = (subject.to_owned(), summary::keep(keep));
        run!(self.call_authenticate(&subject, &keep), rank)
            .await
            .map(summary::grant)
    }

    /// Makes the session's token anew, with a new time of issue and no write to the store.
    ///
    /// # Errors
    /// [`SessionError::Expired`], [`SessionError::SubjectRequired`], [`SessionError::Draft`], [`SessionError::Closed`],
    /// [`SessionError::Busy`].
    pub fn reissue(&self) -> Result<Grant, SessionError> {
        at_once!(self.call_reissue()).map(summary::grant)
    }

    /// Moves the idle expiry and confirms a renewed token, where that is due; answers whether it wrote.
    /// Call it after the response, or beside it: if it fails the request was still served.
    ///
    /// # Errors
    /// [`SessionError::Missing`], [`SessionError::Expired`], [`SessionError::Replaced`], [`SessionError::Contended`],
    /// [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`], and those of the store.
    pub async fn touch(&self) -> Result<bool, SessionError> {
        run!(self.call_touch(), Some(Rank::First)).await
    }

    /// Ends the session and closes the handle. A session that is gone already is no error.
    ///
    /// # Errors
    /// [`SessionError::Replaced`] if a login came in between, [`SessionError::Closed`], [`SessionError::Busy`],
    /// and those of the store.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        run!(self.call_destroy(), None).await
    }

    /// Makes a token against cross-site request forgery, bound to this session until its next authentication.
    ///
    /// # Errors
    /// [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn csrf_token(&self) -> Result<String, SessionError> {
        at_once!(self.call_csrf_token())
    }

    /// Checks a token that [`Session::csrf_token`] made.
    ///
    /// # Errors
    /// [`SessionError::InvalidCsrfToken`], [`SessionError::Draft`], [`SessionError::Closed`], [`SessionError::Busy`].
    pub fn check_csrf_token(&self, token: &str) -> Result<(), SessionError> {
        if token.len() > MAXIMUM_CSRF_TOKEN_BYTES {
            return Err(SessionError::InvalidCsrfToken);
        }
        at_once!(self.call_check_csrf_token(token))
    }
}

/// In a call that asks no store, `missing` is a field that is not there.
fn present(answer: Result<wit::Value, SessionError>) -> Result<Option<Value>, SessionError> {
    match answer {
        Ok(value) => Ok(Some(value::from_wit(value))),
        Err(SessionError::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}
