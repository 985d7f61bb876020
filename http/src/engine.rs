//! The interface of an engine to this crate: the calls that sessions over HTTP need.
//!
//! A host implements the two traits for its own types, so that handlers receive the host's errors and values.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::EngineError;
use tessera_contract::{
    Change, Claims, Details, Grant, KeepFields, PageRequest, SessionPage, Timestamp, Value,
};

/// Creates and opens sessions. In the Rust host this is `tessera::Sessions`.
pub trait Engine: Clone + Send + Sync + 'static {
    /// An open session.
    type Session: EngineSession<Error = Self::Error>;
    /// The error of a failed call.
    type Error: EngineError;

    /// Whether `other` is a clone of this engine, with the same policy, keys, store and clock.
    fn is_same(&self, other: &Self) -> bool;

    /// The current time, by the clock that sessions expire by.
    fn now(&self) -> Timestamp;

    /// The policy's limits. Requests are checked against them before they cause work.
    fn limits(&self) -> Limits;

    /// Creates an empty session, which is stored when it is saved. Makes no call to the store.
    fn create(&self) -> Self::Session;

    /// Opens the session of a token.
    ///
    /// # Errors
    /// Those for which [`ErrorKind::is_not_logged_in`](crate::ErrorKind::is_not_logged_in) holds, and those of the store.
    fn open(&self, token: &str) -> impl Future<Output = Result<Self::Session, Self::Error>> + Send;

    /// Checks a token's MAC, dates and age, and returns its claims. Makes no call to the store.
    ///
    /// A token that was issued longer than `max_age` ago is refused.
    ///
    /// # Errors
    /// Those that describe a fault of the token.
    fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Claims, Self::Error>;

    /// Lists one page of a subject's live sessions.
    ///
    /// # Errors
    /// Those of the store.
    fn list(
        &self,
        subject: &str,
        page: PageRequest<'_>,
    ) -> impl Future<Output = Result<SessionPage, Self::Error>> + Send;

    /// Ends one session of a subject, given its public id; returns whether it existed.
    ///
    /// # Errors
    /// Those of the store.
    fn revoke(
        &self,
        subject: &str,
        public_id: &str,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Ends every session of a subject; returns their number.
    ///
    /// # Errors
    /// Those of the store.
    fn revoke_all(&self, subject: &str) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Ends every session of `session`'s subject but `session` itself; returns their number.
    ///
    /// # Errors
    /// Those of the store; `SubjectRequired` if the session has no subject.
    fn revoke_others(&self, session: &Self::Session)
    -> impl Future<Output = Result<u64, Self::Error>> + Send;
}

/// An open session. In the Rust host this is `tessera::Session`.
pub trait EngineSession: Send + Sync + 'static {
    /// The error of a failed call.
    type Error: EngineError;

    /// Reads one field; `None` if there is no such field.
    ///
    /// # Errors
    /// If the field has another type, or the session is closed.
    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Self::Error>;

    /// Reads one field in its stored form; `None` if there is no such field.
    ///
    /// # Errors
    /// If the session is closed.
    fn get_value(&self, name: &str) -> Result<Option<Value>, Self::Error>;

    /// Sets one field to any value that serde can serialise.
    ///
    /// # Errors
    /// If the name or value is invalid, a limit is exceeded, or the session is closed.
    fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Self::Error>;

    /// Sets and removes fields, all or none. A change to `None` removes the field.
    ///
    /// # Errors
    /// As [`EngineSession::set`].
    fn update(&self, changes: Vec<Change>) -> Result<(), Self::Error>;

    /// Removes a field; returns whether it existed.
    ///
    /// # Errors
    /// If the session is closed.
    fn remove(&self, name: &str) -> Result<bool, Self::Error>;

    /// Removes all fields.
    ///
    /// # Errors
    /// If the session is closed.
    fn clear(&self) -> Result<(), Self::Error>;

    /// Returns all fields as one JSON object.
    ///
    /// # Errors
    /// If the session is closed.
    fn entries_json(&self) -> Result<String, Self::Error>;

    /// The session's details, without a call to the store.
    ///
    /// # Errors
    /// If another call on the session is in progress.
    fn details(&self) -> Result<Details, Self::Error>;

    /// Stores the changes, and renews the token if that is due.
    ///
    /// # Errors
    /// Those of the engine's `save`.
    fn save(&self) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Saves, and renews the token.
    ///
    /// # Errors
    /// As [`EngineSession::save`].
    fn rotate(&self) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Logs a subject in, or confirms its identity, and keeps the stored fields that `keep` selects.
    ///
    /// # Errors
    /// As [`EngineSession::save`].
    fn authenticate(
        &self,
        subject: &str,
        keep: &KeepFields,
    ) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Issues a new token. The record is read fresh, and not written.
    ///
    /// # Errors
    /// Those of the engine's `reissue`.
    fn reissue(&self) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Extends the idle expiry and confirms a renewed token, if that is due.
    ///
    /// # Errors
    /// Those of the engine's `touch`.
    fn touch(&self) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Ends the session in the store, and closes this handle.
    ///
    /// # Errors
    /// Those of the engine's `destroy`.
    fn destroy(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Returns a token against cross-site request forgery.
    ///
    /// # Errors
    /// If the session was never saved, or is closed.
    fn csrf_token(&self) -> Result<String, Self::Error>;

    /// Checks a token against cross-site request forgery.
    ///
    /// # Errors
    /// If the token does not belong to this session, or is from before its last login.
    fn check_csrf_token(&self, token: &str) -> Result<(), Self::Error>;
}

/// The limits of an engine's policy, as defined in `wit/policy.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum length of a token, in bytes.
    pub maximum_token_bytes: u32,
    /// Maximum length of a field name, in bytes.
    pub maximum_name_bytes: u32,
    /// Maximum length of a stored record, in bytes.
    pub maximum_record_bytes: u32,
    /// Maximum number of fields of a session.
    pub maximum_fields: u32,
}
