//! The session of a request: its data as opened, and the request's changes.
//!
//! It holds no state of the component: each call passes the handle, and starts from the entry that the previous call read
//! or wrote.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tessera_contract::opens::Found;
use tessera_contract::state::{Failed, Opened, State, StateError};
use tessera_contract::store::Seed;
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

/// The state of a session between calls.
struct Held {
    state: State,
    /// The entry that its calls read or wrote last; none for a draft.
    seed: Option<Seed>,
    /// The key of the remembered open, if the session was opened.
    memo_key: Option<u64>,
}

/// The kind of a call, which determines the effect on the session's changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Stores the changes.
    Write,
    /// Stores the changes, and may leave the session's token and generations unchanged.
    Save,
    /// Extends the idle expiry, or confirms a token.
    Touch,
    /// Issues the token again.
    Reissue,
    /// Ends the session.
    Destroy,
}

impl What {
    /// The state of a session after a call of this kind has failed.
    fn failed(self, kind: ErrorKind) -> Failed {
        match kind {
            // A reissue writes nothing: the next call that writes finds the state itself.
            _ if self == Self::Reissue => Failed::Otherwise,
            ErrorKind::Missing | ErrorKind::Expired | ErrorKind::TooManySessions => Failed::Ended,
            ErrorKind::OutcomeUnknown if matches!(self, Self::Write | Self::Save) => Failed::OutcomeUnknown,
            _ => Failed::Otherwise,
        }
    }
}

/// A call in progress. Other calls on the session are refused until it ends or is dropped.
struct Begun<'a> {
    session: &'a EdgeSession,
    what: What,
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
        self.settle(ended, |what, held, ((mut opened, seed), grant, wrote)| {
            if what == What::Save
                && wrote
                && grant.token.is_none()
                && let (Some(memo_key), Some(before), Some(read)) =
                    (held.memo_key, held.state.stands_on(), &held.seed)
            {
                opens.saved(memo_key, (before, read), (&mut opened, &seed));
            }
            held.seed = Some(seed);
            match what {
                What::Write | What::Save => held.state.written(opened),
                What::Touch => held.state.touched(opened),
                What::Reissue => held.state.reissued(&opened),
                What::Destroy => {}
            }
            (grant.into(), wrote)
        })
    }

    fn settle<T, U>(
        &mut self,
        ended: Result<T, CallError>,
        take: impl FnOnce(What, &mut Held, T) -> U,
    ) -> Result<U, EdgeError> {
        self.has_ended = true;
        let mut held = self.session.held();
        held.state.end();
        match ended {
            Ok(answer) => Ok(take(self.what, &mut held, answer)),
            // The call may have read an entry that opens no session, so the previous seed is kept.
            Err(error) => {
                let error = EdgeError::from(error);
                held.state.failed(self.what.failed(error.kind()));
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
        held.state.failed(self.what.failed(ErrorKind::OutcomeUnknown));
        held.state.end();
    }
}

impl EdgeSession {
    pub(crate) fn draft(driver: SharedDriver) -> Self {
        let held = Held {
            state: State::draft(driver.draft()),
            seed: None,
            memo_key: None,
        };
        Self {
            driver,
            held: Mutex::new(held),
        }
    }

    pub(crate) async fn open(driver: SharedDriver, token: &str) -> Result<Self, EdgeError> {
        let Found {
            opened,
            seed,
            memo_key,
        } = driver.open(token).await?;
        let held = Held {
            state: State::opened(opened),
            seed: Some(seed),
            memo_key: Some(memo_key),
        };
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
        what: What,
        need: impl FnOnce(&mut Held) -> Result<T, StateError>,
    ) -> Result<(Begun<'_>, T), EdgeError> {
        let mut held = self.held();
        held.state.live()?;
        let needed = need(&mut held)?;
        held.state.begin()?;
        let begun = Begun {
            session: self,
            what,
            known: Known::of(held.seed.clone()),
            has_ended: false,
        };
        Ok((begun, needed))
    }

    /// Runs a call that stores the changes, and issues a token if the client needs one. It creates the session of a draft.
    async fn write(
        &self,
        what: What,
        function: &str,
        login: Option<(&str, &KeepFields)>,
    ) -> Result<Grant, EdgeError> {
        let conflicts = self.driver.terms().conflicts;
        let (mut begun, writing) = self.begin(what, |held| {
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

    /// Runs a call that needs no store beyond the seed.
    fn at_once<T: DeserializeOwned>(&self, function: &str, more: &[&str]) -> Result<T, EdgeError> {
        let (handle, mut known) = {
            let held = self.held();
            let handle = held.state.saved()?.handle.clone();
            (handle, Known::of(held.seed.clone()))
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
        let mut known = Known::of(held.seed.clone());
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
        boxed(self.write(What::Save, "save", None)).await
    }

    async fn rotate(&self) -> Result<Grant, EdgeError> {
        boxed(self.write(What::Write, "rotate", None)).await
    }

    async fn authenticate(&self, subject: &str, keep: &KeepFields) -> Result<Grant, EdgeError> {
        let login = Some((subject, keep));
        boxed(self.write(What::Write, "authenticate", login)).await
    }

    async fn reissue(&self) -> Result<Grant, EdgeError> {
        boxed(async move {
            let need = |held: &mut Held| Ok(held.state.saved()?.handle.clone());
            let (mut begun, handle) = self.begin(What::Reissue, need)?;
            let reissued = begun.run("reissue", &(handle,)).await;
            begun.end(reissued).map(|(grant, _)| grant)
        })
        .await
    }

    async fn touch(&self) -> Result<bool, EdgeError> {
        boxed(async move {
            let (mut begun, touch) = self.begin(What::Touch, |held| {
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
            let (mut begun, handle) = self.begin(What::Destroy, need)?;
            let ended = match handle {
                Some(handle) => begun.run("destroy", &(handle,)).await,
                // A draft is not stored.
                None => Ok(()),
            };
            let opens = self.driver.opens();
            begun.settle(ended, |_, held, ()| {
                held.state.close();
                held.seed = None;
                if let Some(memo_key) = held.memo_key {
                    opens.forget(memo_key);
                }
            })
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
