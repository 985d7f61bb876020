//! The engine without handles: each call opens the session its token names, does one thing, and forgets it.

use std::rc::Rc;

use crate::call::Call;
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::session::{Details, Grant, Session};
use crate::snapshot::Survivors;
use crate::value::Value;

/// Fields to set (a value) and to remove (none).
pub type Changes = [(String, Option<Value>)];

/// A session as one call reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What is known of it.
    pub details: Details,
    /// All fields as one JSON object.
    pub fields: String,
    /// The record's version.
    pub version: u64,
}

/// Makes a session, and logs a subject in where one is named.
///
/// # Errors
/// As [`Session::authenticate`] and [`Session::save`].
pub fn create(
    engine: &Rc<Engine>,
    call: &Call<'_>,
    subject: Option<&str>,
    changes: &Changes,
) -> Result<Grant, Error> {
    let session = engine.create();
    session.update(changes)?;
    match subject {
        Some(subject) => session.authenticate(call, subject, &Survivors::Nothing),
        None => session.save(call),
    }
}

/// Opens a session and reads it.
///
/// # Errors
/// As [`Engine::open`].
pub fn load(engine: &Rc<Engine>, call: &Call<'_>, token: &str) -> Result<Loaded, Error> {
    let session = engine.open(call, token)?;
    Ok(Loaded {
        details: session.details(call.now()?),
        fields: session.entries_json()?,
        version: session.version().ok_or(Kind::Draft)?,
    })
}

/// Opens a session and changes it.
fn change(engine: &Rc<Engine>, call: &Call<'_>, token: &str, changes: &Changes) -> Result<Session, Error> {
    let session = engine.open(call, token)?;
    session.update(changes)?;
    Ok(session)
}

/// Applies changes, merged with what others saved since `version`.
///
/// # Errors
/// As [`Engine::open`], [`Session::set`] and [`Session::save`].
pub fn save(
    engine: &Rc<Engine>,
    call: &Call<'_>,
    token: &str,
    version: u64,
    changes: &Changes,
) -> Result<Grant, Error> {
    change(engine, call, token, changes)?.save_since(call, version)
}

/// As [`Session::rotate`], with changes.
///
/// # Errors
/// As [`save`].
pub fn rotate(engine: &Rc<Engine>, call: &Call<'_>, token: &str, changes: &Changes) -> Result<Grant, Error> {
    change(engine, call, token, changes)?.rotate(call)
}

/// As [`Session::authenticate`], with changes.
///
/// # Errors
/// As [`save`] and [`Session::authenticate`].
pub fn authenticate(
    engine: &Rc<Engine>,
    call: &Call<'_>,
    token: &str,
    subject: &str,
    survivors: &Survivors,
    changes: &Changes,
) -> Result<Grant, Error> {
    change(engine, call, token, changes)?.authenticate(call, subject, survivors)
}
