//! A session whose engine is in a Worker. It is data, as in the Worker itself.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tessera::store::StoreService;
use tessera_contract::state::{Failed, Fields, Opened, State, StateError, WRITER_BYTES, Writing};
use tessera_contract::store::{Seed, Seen};
use tessera_contract::{Details, Status, Timestamp};

use super::host::{Ended, Host, outcome_of};
use crate::adapter::outcome::{self, Outcome};
use tessera_contract::form::Unfit;

/// The state of a session between calls.
struct Held {
    state: State,
    /// The entry that its calls read or wrote last.
    seed: Option<Seed>,
}

/// A session of a host.
pub(super) struct Session<S> {
    pub(super) host: Host<S>,
    held: Arc<Mutex<Held>>,
}

// Not derived, because the derived implementation would require `S: Clone`.
impl<S> Clone for Session<S> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            held: Arc::clone(&self.held),
        }
    }
}

/// The kind of a call on a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Write,
    Touch,
    Reissue,
    Destroy,
}

/// A call in progress.
pub(super) struct Begun {
    arguments: Vec<Value>,
    seed: Option<Seed>,
}

/// Converts an error of a session's state.
pub(super) fn state_error(error: &StateError) -> Value {
    match error {
        StateError::Busy => outcome::error_of("busy"),
        StateError::Closed => outcome::error_of("closed"),
        StateError::Draft => outcome::error_of("draft"),
        StateError::Corrupt => outcome::error_of("corrupt"),
        StateError::Unfit(Unfit::Name(reason)) => {
            json!({"error": "invalid-argument", "about": "name", "reason": reason})
        }
        StateError::Unfit(Unfit::Value(reason)) => json!({"error": "invalid-value", "reason": reason}),
        StateError::Unfit(Unfit::Limit(limit, maximum)) => {
            json!({"error": "limit-exceeded", "about": limit, "number": maximum})
        }
    }
}

/// Draws a random writer id.
fn writer() -> [u8; WRITER_BYTES] {
    let mut writer = [0; WRITER_BYTES];
    for part in writer.chunks_mut(8) {
        // Each `RandomState` has different keys.
        let drawn = RandomState::new().hash_one(0).to_be_bytes();
        part.copy_from_slice(&drawn[..part.len()]);
    }
    writer
}

fn digits(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}

fn moment(value: &Value) -> Option<Timestamp> {
    digits(value).map(Timestamp::from_millis)
}

fn details(value: &Value) -> Option<Details> {
    let is = |name: &str| value[name].as_bool();
    Some(Details {
        status: Status::Live,
        public_id: value["publicId"].as_str()?.to_owned(),
        subject: value["subject"].as_str().map(str::to_owned),
        created_at: moment(&value["createdAt"])?,
        authenticated_at: moment(&value["authenticatedAt"]),
        expires_at: moment(&value["expiresAt"])?,
        ends_at: moment(&value["endsAt"])?,
        generation: value["generation"].as_u64()?.try_into().ok()?,
        touch_due: is("touchDue")?,
        renew_due: is("renewDue")?,
        reissue_due: is("reissueDue")?,
        modified: false,
    })
}

/// Reads the session that a call returned.
fn opened(value: &Value, seen: &Seen, told_at: Timestamp) -> Result<Opened, String> {
    let read = || {
        let key = value["key"].as_str()?;
        let at = usize::try_from(value["fieldsAt"].as_u64()?).ok()?;
        Some(Opened {
            handle: value["handle"].as_str()?.to_owned(),
            key: key.into(),
            version: digits(&value["version"])?,
            details: details(&value["details"])?,
            asked_at: told_at,
            holds_until: moment(&value["holdsUntil"])?,
            fields: Arc::new(Fields::new(Arc::clone(&seen.get(key)?.entry.value), at)?),
        })
    };
    read().ok_or_else(|| "the engine returned a session that cannot be decoded".to_owned())
}

impl<S: StoreService> Session<S> {
    fn with(host: Host<S>, state: State, seed: Option<Seed>) -> Self {
        Self {
            host,
            held: Arc::new(Mutex::new(Held { state, seed })),
        }
    }

    /// Creates a session that was never saved.
    pub(super) fn draft(host: Host<S>) -> Self {
        let state = State::draft(Arc::clone(&host.draft));
        Self::with(host, state, None)
    }

    /// Creates the session that `open` returned.
    pub(super) fn opened(host: Host<S>, answer: &Value, ended: &Ended) -> Result<Self, String> {
        let opened = opened(answer, &ended.seen, ended.told_at)?;
        let seed = ended.seen.get(&opened.key).cloned();
        Ok(Self::with(host, State::opened(Arc::new(opened)), seed))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the state, without the engine.
    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> Result<T, StateError>) -> Result<T, Value> {
        read(&self.held().state).map_err(|error| state_error(&error))
    }

    /// Changes the state, without the engine.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, StateError>,
    ) -> Result<T, Value> {
        change(&mut self.held().state).map_err(|error| state_error(&error))
    }

    pub(super) fn fork(&self) -> Result<Self, Value> {
        let held = self.held();
        let state = held.state.fork().map_err(|error| state_error(&error))?;
        Ok(Self::with(self.host.clone(), state, held.seed.clone()))
    }

    /// The present details. The engine is called if the last ones no longer hold.
    pub(super) async fn details(&self) -> Result<Result<Details, Value>, String> {
        let stale = {
            let held = self.held();
            match held.state.live() {
                Ok(Some(opened)) if !opened.holds_at(self.host.now()) => {
                    Some((opened.handle.clone(), held.seed.clone()))
                }
                _ => None,
            }
        };
        if let Some((handle, seed)) = stale {
            let arguments = vec![handle.into()];
            let ended = self.host.session_call("inspect", arguments, seed, true).await?;
            // If the session has expired, the last known details remain.
            if let Ok(answer) = outcome_of(&ended.done) {
                let seen = opened(&answer, &ended.seen, ended.told_at)?;
                self.held().state.renew_details(&seen);
            }
        }
        Ok(self.read(State::details))
    }

    /// Runs a call that needs no store beyond the seed.
    pub(super) async fn at_once(&self, name: &str, more: Vec<Value>) -> Result<Outcome, String> {
        let (handle, seed) = {
            let held = self.held();
            match held.state.saved() {
                Ok(opened) => (opened.handle.clone(), held.seed.clone()),
                Err(error) => return Ok(Err(state_error(&error))),
            }
        };
        let arguments = [handle.into()].into_iter().chain(more).collect();
        let ended = self.host.session_call(name, arguments, seed, true).await?;
        Ok(outcome_of(&ended.done))
    }

    /// Reads until when the session lives.
    pub(super) async fn standing(&self) -> Result<Outcome, String> {
        let handle = match self.read(|state| Ok(state.saved()?.handle.clone())) {
            Ok(handle) => handle,
            Err(error) => return Ok(Err(error)),
        };
        self.host
            .method("standing", vec![handle.into()])
            .await
            .map(|done| outcome_of(&done))
    }

    /// Begins a call; `more` are the arguments after the session. Returns `None` for the end of a draft, which is not stored.
    pub(super) fn begin(&self, what: What, more: Vec<Value>) -> Result<Option<Begun>, Value> {
        let held = &mut *self.held();
        let begun = held.begin(what, more, self.host.policy["fieldRule"] == "conflict");
        begun.map_err(|error| state_error(&error))
    }

    /// Runs a call that has begun.
    pub(super) async fn ask(&self, name: &str, begun: Begun) -> Result<Ended, String> {
        let Begun { arguments, seed } = begun;
        self.host.session_call(name, arguments, seed, false).await
    }

    /// Ends a call and updates the session.
    pub(super) fn end(&self, what: What, ended: &Ended) -> Result<Outcome, String> {
        let outcome = outcome_of(&ended.done);
        let held = &mut *self.held();
        held.state.end();
        match &outcome {
            Ok(_) if what == What::Destroy => held.state.close(),
            Ok(written) => {
                let opened = opened(&written["opened"], &ended.seen, ended.told_at)?;
                match what {
                    What::Reissue => held.state.reissued(&opened),
                    What::Touch => held.state.touched(Arc::new(opened)),
                    _ => held.state.written(Arc::new(opened)),
                }
            }
            Err(error) => held
                .state
                .failed(match error["error"].as_str().unwrap_or_default() {
                    _ if what == What::Reissue => Failed::Otherwise,
                    "missing" | "expired" | "too-many-sessions" => Failed::Ended,
                    "outcome-unknown" if what == What::Write => Failed::OutcomeUnknown,
                    _ => Failed::Otherwise,
                }),
        }
        // A failed call may have read an entry that opens no session.
        if outcome.is_ok() {
            let key = held.state.live().ok().flatten().map(|opened| &opened.key);
            held.seed = key.and_then(|key| ended.seen.get(key).cloned());
        }
        Ok(outcome)
    }
}

impl Held {
    fn begin(&mut self, what: What, more: Vec<Value>, conflicts: bool) -> Result<Option<Begun>, StateError> {
        let Self { state, seed } = self;
        let handle = match what {
            What::Touch | What::Reissue => Some(state.saved()?.handle.clone()),
            What::Write | What::Destroy => state.live()?.map(|opened| opened.handle.clone()),
        };
        let mut arguments = match what {
            What::Write | What::Touch => {
                let base = conflicts.then(|| state.base(None)).flatten();
                let Ok(writing) = state.writing(|| Ok::<_, std::convert::Infallible>(writer()));
                let Writing {
                    handle,
                    changes,
                    writer,
                    attempt,
                } = writing;
                match what {
                    What::Touch => vec![json!(handle), json!(writer), json!(attempt)],
                    _ => vec![json!({
                        "handle": handle,
                        "changes": changes,
                        "writer": writer,
                        "attempt": attempt,
                        "base": base,
                    })],
                }
            }
            What::Reissue | What::Destroy => match handle {
                Some(handle) => vec![json!(handle)],
                None => {
                    state.close();
                    return Ok(None);
                }
            },
        };
        arguments.extend(more);
        state.begin()?;
        Ok(Some(Begun {
            arguments,
            seed: seed.clone(),
        }))
    }
}
