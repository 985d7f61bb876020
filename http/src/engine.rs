//! What this crate asks of an engine: the few calls that a session over HTTP is made of.
//!
//! A host implements the two traits for its own types, so that a handler gets the errors and values that its host has.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::EngineError;
use tessera_contract::{Change, Claims, Details, Grant, KeepFields, SessionPage, Timestamp, Value};

/// Makes and opens sessions; in the Rust host, `tessera::Sessions`.
pub trait Engine: Clone + Send + Sync + 'static {
    /// An open session.
    type Session: EngineSession<Error = Self::Error>;
    /// Why a call did not do as asked.
    type Error: EngineError;

    /// Whether the other is a clone of this one: the same policy, keys, store and clock.
    fn is_same(&self, other: &Self) -> bool;

    /// The time by the clock that sessions expire by.
    fn now(&self) -> Timestamp;

    /// The policy's limits. A request is measured by them before work is done for it.
    fn limits(&self) -> Limits;

    /// Makes an empty session that is stored when it is saved. Asks no store.
    fn create(&self) -> Self::Session;

    /// Opens the session that a token names.
    ///
    /// # Errors
    /// Those that say that nobody is logged in, and those of the store.
    fn open(&self, token: &str) -> impl Future<Output = Result<Self::Session, Self::Error>> + Send;

    /// What a token says of itself, its mac and dates checked, and whether it is no older than `max_age`. Asks no store.
    ///
    /// # Errors
    /// Those that say what is wrong with the token.
    fn verify(&self, token: &str, max_age: Option<Duration>) -> Result<Claims, Self::Error>;

    /// Lists one page of a subject's live sessions; `current` is the public id of the caller's own.
    ///
    /// # Errors
    /// Those of the store.
    fn list(
        &self,
        subject: &str,
        current: Option<&str>,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<SessionPage, Self::Error>> + Send;

    /// Ends one session of a subject, named by its public id; answers whether it was there.
    ///
    /// # Errors
    /// Those of the store.
    fn revoke(
        &self,
        subject: &str,
        public_id: &str,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Ends every session of a subject, and answers how many.
    ///
    /// # Errors
    /// Those of the store.
    fn revoke_all(&self, subject: &str) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Ends every session of a session's subject but this one, and answers how many.
    ///
    /// # Errors
    /// Those of the store; `SubjectRequired` if the session has no subject.
    fn revoke_others(&self, session: &Self::Session)
    -> impl Future<Output = Result<u64, Self::Error>> + Send;
}

/// An open session; in the Rust host, `tessera::Session`.
pub trait EngineSession: Send + Sync + 'static {
    /// Why a call did not do as asked.
    type Error: EngineError;

    /// Reads one field; `None` if there is no such field.
    ///
    /// # Errors
    /// If the field is of another type, or the session is closed.
    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Self::Error>;

    /// Reads one field as it was stored; `None` if there is no such field.
    ///
    /// # Errors
    /// If the session is closed.
    fn get_value(&self, name: &str) -> Result<Option<Value>, Self::Error>;

    /// Sets one field.
    ///
    /// # Errors
    /// If name or value is unfit, a limit is passed, or the session is closed.
    fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Self::Error>;

    /// Sets and removes fields, all or none.
    ///
    /// # Errors
    /// As [`EngineSession::set`].
    fn update(&self, changes: Vec<Change>) -> Result<(), Self::Error>;

    /// Removes a field, and answers whether it was there.
    ///
    /// # Errors
    /// If the session is closed.
    fn remove(&self, name: &str) -> Result<bool, Self::Error>;

    /// Removes all fields.
    ///
    /// # Errors
    /// If the session is closed.
    fn clear(&self) -> Result<(), Self::Error>;

    /// All fields as one JSON object.
    ///
    /// # Errors
    /// If the session is closed.
    fn entries_json(&self) -> Result<String, Self::Error>;

    /// What is known of the session without asking the store.
    ///
    /// # Errors
    /// If another call on it is not finished.
    fn details(&self) -> Result<Details, Self::Error>;

    /// Stores the changes, and renews the token where that is due.
    ///
    /// # Errors
    /// Those of the engine's `save`.
    fn save(&self) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Saves, and renews the token.
    ///
    /// # Errors
    /// As [`EngineSession::save`].
    fn rotate(&self) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Logs a subject in, or confirms who it is, and keeps the stored fields of these names.
    ///
    /// # Errors
    /// As [`EngineSession::save`].
    fn authenticate(
        &self,
        subject: &str,
        keep: &KeepFields,
    ) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Makes the token anew. The record is read fresh and not written.
    ///
    /// # Errors
    /// Those of the engine's `reissue`.
    fn reissue(&self) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Moves the idle expiry and confirms a renewed token, where that is due.
    ///
    /// # Errors
    /// Those of the engine's `touch`.
    fn touch(&self) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Ends the session, in the store and here.
    ///
    /// # Errors
    /// Those of the engine's `destroy`.
    fn destroy(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Makes a token against cross-site request forgery.
    ///
    /// # Errors
    /// If the session was never saved, or is closed.
    fn csrf_token(&self) -> Result<String, Self::Error>;

    /// Checks one.
    ///
    /// # Errors
    /// If it is not one of this session since its last login.
    fn check_csrf_token(&self, token: &str) -> Result<(), Self::Error>;
}

/// The limits of an engine's policy, as `wit/policy.wit` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest token, in bytes.
    pub maximum_token_bytes: u32,
    /// The longest name of a field, in bytes.
    pub maximum_name_bytes: u32,
    /// The longest record, in bytes.
    pub maximum_record_bytes: u32,
    /// The most fields of a session.
    pub maximum_fields: u32,
}
