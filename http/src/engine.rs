//! What this crate asks of an engine: the few calls that a session over HTTP is made of.
//!
//! A host implements the two traits for its own types, so that a handler gets the errors and values that its host has.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::Fault;
use tessera_contract::{Change, Value};

/// Makes and opens sessions; in the Rust host, `tessera::Sessions`.
pub trait Engine: Clone + Send + Sync + 'static {
    /// An open session.
    type Session: EngineSession<Error = Self::Error>;
    /// Why a call did not do as asked.
    type Error: Fault;

    /// Whether the other is a clone of this one: the same policy, keys, store and clock.
    fn is_same(&self, other: &Self) -> bool;

    /// Milliseconds since 1970-01-01T00:00:00Z, by the clock that sessions expire by.
    fn now_millis(&self) -> u64;

    /// The policy's limits. A request is measured by them before work is done for it.
    fn limits(&self) -> Limits;

    /// Makes an empty session that is stored when it is saved. Asks no store.
    ///
    /// # Errors
    /// `Overloaded` and its kin.
    fn create(&self) -> Result<Self::Session, Self::Error>;

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

    /// Lists one page of a subject's live sessions; `current` is the reference of the caller's own.
    ///
    /// # Errors
    /// Those of the store.
    fn list(
        &self,
        subject: &str,
        current: Option<&str>,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Devices, Self::Error>> + Send;

    /// Ends one session of a subject, named by its reference; answers whether it was there.
    ///
    /// # Errors
    /// Those of the store.
    fn revoke(
        &self,
        subject: &str,
        reference: &str,
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
    type Error: Fault;

    /// Reads one field; `None` if there is no such field.
    ///
    /// # Errors
    /// If the field is of another type, or the handle is closed.
    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Self::Error>;

    /// Reads one field as it was stored; `None` if there is no such field.
    ///
    /// # Errors
    /// If the handle is closed.
    fn get_value(&self, name: &str) -> Result<Option<Value>, Self::Error>;

    /// Sets one field.
    ///
    /// # Errors
    /// If name or value is unfit, a limit is passed, or the handle is closed.
    fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Self::Error>;

    /// Sets and removes fields, all or none.
    ///
    /// # Errors
    /// As [`EngineSession::set`].
    fn update(&self, changes: Vec<Change>) -> Result<(), Self::Error>;

    /// Removes a field, and answers whether it was there.
    ///
    /// # Errors
    /// If the handle is closed.
    fn remove(&self, name: &str) -> Result<bool, Self::Error>;

    /// Removes all fields.
    ///
    /// # Errors
    /// If the handle is closed.
    fn clear(&self) -> Result<(), Self::Error>;

    /// All fields as one JSON object.
    ///
    /// # Errors
    /// If the handle is closed.
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
        keep: &Keep,
    ) -> impl Future<Output = Result<Grant, Self::Error>> + Send;

    /// Makes the token anew without the store.
    ///
    /// # Errors
    /// If the session has ended.
    fn reissue(&self) -> Result<Grant, Self::Error>;

    /// Moves the idle expiry and confirms a renewed token, where that is due.
    ///
    /// # Errors
    /// Those of the engine's `touch`.
    fn touch(&self) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Ends the session and closes the handle.
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

/// Which stored fields outlive an authentication. Fields set since the session was opened always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// None: the safe choice at a login.
    #[default]
    Nothing,
    /// All: for a step-up of the same subject.
    Everything,
    /// Those with these names.
    Named(Vec<String>),
}

/// What a write hands back.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The token to hand out, if the client needs another than it has.
    pub token: Option<String>,
    /// When the session ends however much it is used, in milliseconds since 1970.
    pub ends_at: u64,
}

// A token is a login; it never reaches a log.
impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}

/// What is known of a session without asking the store. Moments are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Whether it is stored, as far as is known.
    pub is_live: bool,
    /// A hash of the session id, fit for logs and pages; empty for a draft.
    pub reference: String,
    /// Whom the session stands for.
    pub subject: Option<String>,
    /// When it was made.
    pub created_at: u64,
    /// When the subject last authenticated.
    pub authenticated_at: Option<u64>,
    /// When it ends unless it is used.
    pub expires_at: u64,
    /// When it ends however much it is used.
    pub ends_at: u64,
    /// The counter of the token's generation.
    pub generation: u32,
    /// Whether `touch` would write.
    pub touch_due: bool,
    /// Whether `save` would renew the token.
    pub renew_due: bool,
    /// Whether the token, a JWT, is past half of its life.
    pub reissue_due: bool,
    /// Whether there are changes to save.
    pub modified: bool,
}

impl Details {
    /// Whether the subject authenticated within this time before `now`.
    pub fn authenticated_within(&self, age: Duration, now: u64) -> bool {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.authenticated_at
            .is_some_and(|at| at.saturating_add(age) > now)
    }
}

/// One session of a subject, as a page "your devices" shows it. Moments are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// A hash of the session id, by which it can be revoked.
    pub reference: String,
    /// When it was made.
    pub created_at: u64,
    /// When the subject last authenticated.
    pub authenticated_at: u64,
    /// When it was last written or touched.
    pub last_seen_at: u64,
    /// When it ends unless it is used.
    pub expires_at: u64,
    /// When it ends however much it is used.
    pub ends_at: u64,
    /// Whether it is the caller's own.
    pub current: bool,
    /// Those of the policy's public fields that it has.
    pub fields: BTreeMap<String, Value>,
}

/// One page of a subject's sessions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// The live ones; may be none although more pages follow.
    pub items: Vec<Device>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// What a token says of itself. Moments are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// A hash of the session id, fit for logs and pages.
    pub reference: String,
    /// The counter of the token's generation.
    pub generation: u32,
    /// When it was made.
    pub issued_at: u64,
    /// From when on it is refused.
    pub expires_at: u64,
    /// JWT only: whom it stands for.
    pub subject: Option<String>,
    /// JWT only: the `data` claim.
    pub data: BTreeMap<String, String>,
}
