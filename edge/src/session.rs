//! The session of a request: its data as opened, and the request's changes.
//!
//! It holds no state of the component: each call passes the handle, and starts from the entry that the previous call read
//! or wrote.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tessera_contract::held::{CallKind, Held};
use tessera_contract::state::{Failed, Opened, State, StateError};
use tessera_http::{Change, Details, EngineError as _, EngineSession, ErrorKind, Grant, KeepFields, Value};

use crate::boxed::boxed;
use crate::driver::{CallError, Known, SharedDriver, wit};
use crate::error::EdgeError;
use crate::{clock, random};

/// A session of a request.
pub(crate) struct EdgeSession {
    driver: SharedDriver,
    held: Mutex<Held>,
}

impl std::fmt::Debug for EdgeSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeSession").finish_non_exhaustive()
    }
}

/// The class of an error, by its effect on the session.
fn class(kind: ErrorKind) -> Failed {
    match kind {
        ErrorKind::Missing | ErrorKind::Expired | ErrorKind::TooManySessions => Failed::Ended,
        ErrorKind::OutcomeUnknown => Failed::OutcomeUnknown,
        _ => Failed::Otherwise,
    }
}

/// A call in progress. Other calls on the session are refused until it ends or is dropped.
struct Begun<'a> {
    session: &'a EdgeSession,
    kind: CallKind,
    known: Known,
    has_ended: bool,
}

impl Begun<'_> {
    async fn run<T: DeserializeOwned>(
        &mut self,
        function: &str,
        arguments: &impl Serialize,
    ) -> Result<T, CallError> {
        self.session
            .driver
            .run(function, arguments, &mut self.known)
            .await
    }

    /// Ends the call and updates the session. Returns the grant, and whether anything was written.
    fn end(mut self, done: Result<wit::Written, CallError>) -> Result<(Grant, bool), EdgeError> {
        let ended = done.and_then(|written| {
            let found = self.known.found(written.opened)?;
            Ok((found, written.grant, written.wrote))
        });
        let opens = self.session.driver.opens();
        self.settle(ended, |kind, held, (found, grant, wrote)| {
            let is_same_token = wrote && grant.token.is_none();
            held.succeeded(kind, found, is_same_token, opens);
            (grant.into(), wrote)
        })
    }

    fn settle<T, U>(
        &mut self,
        ended: Result<T, CallError>,
        take: impl FnOnce(CallKind, &mut Held, T) -> U,
    ) -> Result<U, EdgeError> {
        self.has_ended = true;
        let mut held = self.session.held();
        held.state.end();
        match ended {
            Ok(answer) => Ok(take(self.kind, &mut held, answer)),
            Err(error) => {
                let error = EdgeError::from(error);
                held.failed(self.kind, class(error.kind()));
                Err(error)
            }
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        // The caller has dropped the call, but its write may be stored.
        let mut held = self.session.held();
        held.failed(self.kind, Failed::OutcomeUnknown);
        held.state.end();
    }
}

impl EdgeSession {
    pub(crate) fn draft(driver: SharedDriver) -> Self {
        let held = Held::draft(driver.draft());
        Self {
            driver,
            held: Mutex::new(held),
        }
    }

    pub(crate) async fn open(driver: SharedDriver, token: &str) -> Result<Self, EdgeError> {
        let held = Held::opened(driver.open(token).await?);
        Ok(Self {
            driver,
            held: Mutex::new(held),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call, and returns the part of the state that it needs.
    fn begin<T>(
        &self,
        kind: CallKind,
        need: impl FnOnce(&mut Held) -> Result<T, StateError>,
    ) -> Result<(Begun<'_>, T), EdgeError> {
        let mut held = self.held();
        held.state.live()?;
        let needed = need(&mut held)?;
        held.state.begin()?;
        let begun = Begun {
            session: self,
            kind,
            known: Known::of(held.seed().cloned()),
            has_ended: false,
        };
        Ok((begun, needed))
    }

    /// Runs a call that stores the changes, and issues a token if the client needs one. It creates the session of a draft.
    async fn write(
        &self,
        kind: CallKind,
        function: &str,
        login: Option<(&str, &KeepFields)>,
    ) -> Result<Grant, EdgeError> {
        let conflicts = self.driver.terms().conflicts;
        let (mut begun, writing) = self.begin(kind, |held| {
            let base = conflicts.then(|| held.state.base(None)).flatten();
            Ok(writing(&mut held.state, base))
        })?;
        let written = match login {
            Some((subject, keep)) => {
                let arguments = (writing, subject, keep_fields(keep));
                begun.run(function, &arguments).await
            }
            None => begun.run(function, &(writing,)).await,
        };
        begun.end(written).map(|(grant, _)| grant)
    }

    /// The handle, and the key of the record.
    ///
    /// # Errors
    /// If the session was never saved, or has ended.
    pub(crate) fn handle_and_key(&self) -> Result<(String, String), EdgeError> {
        let held = self.held();
        held.state.live()?;
        let opened = held.state.saved()?;
        Ok((opened.handle.clone(), opened.key.to_string()))
    }

    /// Runs a call that needs no store beyond the seed.
    fn at_once<T: DeserializeOwned>(&self, function: &str, more: &[&str]) -> Result<T, EdgeError> {
        let (handle, mut known) = {
            let held = self.held();
            let handle = held.state.saved()?.handle.clone();
            (handle, Known::of(held.seed().cloned()))
        };
        let arguments: Vec<&str> = [handle.as_str()]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        Ok(self.driver.at_once(function, &arguments, &mut known)?)
    }

    /// The session's present details from the engine. `None` if the last ones still hold, or if the engine fails.
    fn inspect(&self, held: &Held) -> Option<Arc<Opened>> {
        let opened = held.state.saved().ok()?;
        if opened.holds_at(clock::now()) {
            return None;
        }
        let mut known = Known::of(held.seed().cloned());
        let seen = self.driver.at_once("inspect", &(&opened.handle,), &mut known);
        let seen = seen.and_then(|seen| Ok(known.found(seen)?.0));
        seen.inspect_err(|error| tracing::debug!("a session's last known details are used: {error}"))
            .ok()
    }
}

/// The arguments of a write of the changes. The writer id is drawn with the first write.
fn writing(state: &mut State, base: Option<String>) -> wit::Writing {
    let Ok(writing) = state.writing(|| Ok::<_, std::convert::Infallible>(random::bytes()));
    wit::Writing {
        handle: writing.handle,
        changes: writing.changes,
        writer: writing.writer,
        attempt: writing.attempt,
        base,
    }
}

fn keep_fields(keep: &KeepFields) -> wit::KeepFields {
    match keep {
        KeepFields::Nothing => wit::KeepFields::Nothing,
        KeepFields::Everything => wit::KeepFields::Everything,
        KeepFields::Named(names) => wit::KeepFields::Named(names.clone()),
    }
}

impl EngineSession for EdgeSession {
    type Error = EdgeError;

    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, EdgeError> {
        let value = self.get_value(name)?;
        value.map(Value::to).transpose().map_err(EdgeError::Convert)
    }

    fn get_value(&self, name: &str) -> Result<Option<Value>, EdgeError> {
        Ok(self.held().state.get(name)?)
    }

    fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), EdgeError> {
        let value = Value::of(value).map_err(EdgeError::Convert)?;
        self.update(vec![(name.to_owned(), Some(value))])
    }

    fn update(&self, changes: Vec<Change>) -> Result<(), EdgeError> {
        let limits = &self.driver.terms().fields;
        Ok(self.held().state.update(changes, limits)?)
    }

    fn remove(&self, name: &str) -> Result<bool, EdgeError> {
        Ok(self.held().state.remove(name)?)
    }

    fn clear(&self) -> Result<(), EdgeError> {
        Ok(self.held().state.clear()?)
    }

    fn entries_json(&self) -> Result<String, EdgeError> {
        Ok(self.held().state.entries_json()?)
    }

    fn details(&self) -> Result<Details, EdgeError> {
        let mut held = self.held();
        if let Some(seen) = self.inspect(&held) {
            held.state.renew_details(&seen);
        }
        Ok(held.state.details()?)
    }

    async fn save(&self) -> Result<Grant, EdgeError> {
        boxed(self.write(CallKind::Save, "save", None)).await
    }

    async fn rotate(&self) -> Result<Grant, EdgeError> {
        boxed(self.write(CallKind::Write, "rotate", None)).await
    }

    async fn authenticate(&self, subject: &str, keep: &KeepFields) -> Result<Grant, EdgeError> {
        let login = Some((subject, keep));
        boxed(self.write(CallKind::Write, "authenticate", login)).await
    }

    async fn reissue(&self) -> Result<Grant, EdgeError> {
        boxed(async move {
            let need = |held: &mut Held| Ok(held.state.saved()?.handle.clone());
            let (mut begun, handle) = self.begin(CallKind::Reissue, need)?;
            let reissued = begun.run("reissue", &(handle,)).await;
            begun.end(reissued).map(|(grant, _)| grant)
        })
        .await
    }

    async fn touch(&self) -> Result<bool, EdgeError> {
        boxed(async move {
            let (mut begun, touch) = self.begin(CallKind::Touch, |held| {
                held.state.saved()?;
                Ok(writing(&mut held.state, None))
            })?;
            let arguments = (touch.handle, touch.writer, touch.attempt);
            let touched = begun.run("touch", &arguments).await;
            begun.end(touched).map(|(_, wrote)| wrote)
        })
        .await
    }

    async fn destroy(&self) -> Result<(), EdgeError> {
        boxed(async move {
            let need = |held: &mut Held| Ok(held.state.live()?.map(|opened| opened.handle.clone()));
            let (mut begun, handle) = self.begin(CallKind::Destroy, need)?;
            let ended = match handle {
                Some(handle) => begun.run("destroy", &(handle,)).await,
                // A draft is not stored.
                None => Ok(()),
            };
            let opens = self.driver.opens();
            begun.settle(ended, |_, held, ()| held.destroyed(opens))
        })
        .await
    }

    fn csrf_token(&self) -> Result<String, EdgeError> {
        self.at_once("csrf-token", &[])
    }

    fn check_csrf_token(&self, csrf: &str) -> Result<(), EdgeError> {
        self.at_once("check-csrf-token", &[csrf])
    }
}
