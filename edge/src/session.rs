//! A request's session: what was read of it, and what the request has changed. Nothing of the component stays with it; each
//! call names the handle, and begins at the record that the one before it saw or wrote.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tessera_contract::state::{Failed, Opened, State, StateError};
use tessera_http::{Change, Details, EngineSession, Fault as _, Grant, KeepFields, Kind, Timestamp, Value};

use crate::boxed::boxed;
use crate::driver::{CallError, Known, Seed, wit};
use crate::engine::EdgeEngine;
use crate::fault::EdgeError;
use crate::{clock, random};

pub(crate) struct EdgeSession {
    engine: EdgeEngine,
    held: Mutex<Held>,
}

impl std::fmt::Debug for EdgeSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeSession").finish_non_exhaustive()
    }
}

/// What is kept of a session between calls.
struct Held {
    state: State,
    /// The entry of its key that its calls read or wrote last; none of a draft.
    seed: Option<Seed>,
}

impl Held {
    /// Keeps what a call knows of the session's record. One that has failed may have read what opens nothing, and leaves the
    /// seed as it was.
    fn keep(&mut self, known: &Known) {
        let key = self.state.live().ok().flatten().map(|opened| &opened.key);
        self.seed = key.and_then(|key| known.seed(key));
    }
}

/// What a call does to a session, which says what becomes of its changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Stores them.
    Write,
    /// Moves the idle expiry, or confirms a token.
    Touch,
    /// Makes the token anew.
    Reissue,
    /// Ends the session.
    Destroy,
}

impl What {
    /// How a session stands after a call has failed.
    fn failed(self, kind: Kind) -> Failed {
        match kind {
            // Nothing was to be written: the next call that writes finds out for itself.
            _ if self == Self::Reissue => Failed::Otherwise,
            Kind::Missing | Kind::Expired | Kind::TooManySessions => Failed::Ended,
            Kind::OutcomeUnknown if self == Self::Write => Failed::OutcomeUnknown,
            _ => Failed::Otherwise,
        }
    }
}

/// A call on a session that has begun: until it has ended, or is given up, every other is refused.
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
        let driver = self.session.engine.driver();
        driver.run(function, arguments, &mut self.known).await
    }

    /// Takes the session as the call has left it; answers the grant, and whether anything was written.
    fn end(mut self, done: Result<wit::Written, CallError>) -> Result<(Grant, bool), EdgeError> {
        let ended = done.and_then(|written| {
            let opened = self.known.opened(written.opened)?;
            Ok((opened, written.grant, written.wrote))
        });
        self.settle(ended, |what, state, (opened, grant, wrote)| {
            match what {
                What::Write => state.written(Arc::new(opened)),
                What::Touch => state.touched(Arc::new(opened)),
                What::Reissue => state.reissued(&opened),
                What::Destroy => {}
            }
            (grant.into(), wrote)
        })
    }

    fn settle<T, U>(
        &mut self,
        ended: Result<T, CallError>,
        take: impl FnOnce(What, &mut State, T) -> U,
    ) -> Result<U, EdgeError> {
        self.has_ended = true;
        let mut held = self.session.held();
        held.state.end();
        match ended {
            Ok(answer) => {
                let answer = take(self.what, &mut held.state, answer);
                held.keep(&self.known);
                Ok(answer)
            }
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
        // Nobody waits for its end any longer: what it was to write may be stored.
        let mut held = self.session.held();
        held.state.failed(self.what.failed(Kind::OutcomeUnknown));
        held.state.end();
    }
}

impl EdgeSession {
    pub(crate) fn draft(engine: EdgeEngine) -> Self {
        let held = Held {
            state: State::draft(engine.driver().draft()),
            seed: None,
        };
        Self {
            engine,
            held: Mutex::new(held),
        }
    }

    pub(crate) async fn open(engine: EdgeEngine, token: &str) -> Result<Self, EdgeError> {
        let mut known = Known::default();
        let opened = engine.driver().run("open", &(token,), &mut known).await?;
        let opened = known.opened(opened)?;
        let held = Held {
            seed: known.seed(&opened.key),
            state: State::opened(Arc::new(opened)),
        };
        Ok(Self {
            engine,
            held: Mutex::new(held),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call, and answers what it needs of the state.
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
            known: Known::of(held.seed.as_ref()),
            has_ended: false,
        };
        Ok((begun, needed))
    }

    /// A call that stores the changes, and hands out a token where the client needs one. A draft is made by it.
    async fn write(&self, function: &str, login: Option<(&str, &KeepFields)>) -> Result<Grant, EdgeError> {
        let conflicts = self.engine.driver().terms().conflicts;
        let (mut begun, writing) = self.begin(What::Write, |held| {
            let base = conflicts.then(|| held.state.base(None)).flatten();
            Ok(writing(&mut held.state, base))
        })?;
        let written = match login {
            Some((subject, keep)) => {
                let arguments = (writing, subject, survivors(keep));
                begun.run(function, &arguments).await
            }
            None => begun.run(function, &(writing,)).await,
        };
        begun.end(written).map(|(grant, _)| grant)
    }

    /// A call that asks no store beyond what is known.
    fn at_once<T: DeserializeOwned>(&self, function: &str, more: &[&str]) -> Result<T, EdgeError> {
        let (handle, mut known) = {
            let held = self.held();
            let handle = held.state.saved()?.handle.clone();
            (handle, Known::of(held.seed.as_ref()))
        };
        let arguments: Vec<&str> = [handle.as_str()]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        Ok(self.engine.driver().at_once(function, &arguments, &mut known)?)
    }

    /// What the engine says of the session by now, where it may be otherwise than it was when it was asked last.
    fn inspect(&self, held: &Held) -> Option<Opened> {
        let opened = held.state.saved().ok()?;
        if opened.holds_at(Timestamp::from_millis(clock::now())) {
            return None;
        }
        let mut known = Known::of(held.seed.as_ref());
        let seen = self
            .engine
            .driver()
            .at_once("inspect", &(&opened.handle,), &mut known);
        let seen = seen.and_then(|seen| known.opened(seen));
        seen.inspect_err(|error| tracing::debug!("a session's last known details stand: {error}"))
            .ok()
    }
}

/// A write of what has changed. The name that it writes under is drawn with the first.
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

fn survivors(keep: &KeepFields) -> wit::Survivors {
    match keep {
        KeepFields::Nothing => wit::Survivors::Nothing,
        KeepFields::Everything => wit::Survivors::Everything,
        KeepFields::Named(names) => wit::Survivors::Named(names.clone()),
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
        let limits = &self.engine.driver().terms().fields;
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
        boxed(self.write("save", None)).await
    }

    async fn rotate(&self) -> Result<Grant, EdgeError> {
        boxed(self.write("rotate", None)).await
    }

    async fn authenticate(&self, subject: &str, keep: &KeepFields) -> Result<Grant, EdgeError> {
        boxed(async move { self.write("authenticate", Some((subject, keep))).await }).await
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
                // Nothing of a draft is stored.
                None => Ok(()),
            };
            begun.settle(ended, |_, state, ()| state.close())
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
