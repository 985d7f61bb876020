//! A request's session: what was read of it, and what the request has changed. Nothing of the component stays with it; each
//! call names the token, and begins at the record that the one before it saw or wrote.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tessera_http::api::{read_field, write_field};
use tessera_http::{Change, Details, EngineSession, Grant, KeepFields, Status, Value};

use crate::boxed::boxed;
use crate::driver::{CallError, Known, wit};
use crate::engine::{EdgeEngine, value_into};
use crate::fault::EdgeError;

/// What is called on a session that was saved at least once.
const SAVE: &str = "save";
const ROTATE: &str = "rotate";

pub(crate) struct EdgeSession {
    engine: EdgeEngine,
    state: Mutex<State>,
}

impl std::fmt::Debug for EdgeSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeSession").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    /// None for a draft.
    open: Option<Open>,
    changes: BTreeMap<String, Option<Value>>,
    closed: bool,
    /// A call on it has not ended.
    busy: bool,
}

#[derive(Clone)]
struct Open {
    token: String,
    loaded: wit::Loaded,
    known: Known,
}

/// Marks a session as busy until a call has ended, or was given up.
struct Busy<'a>(&'a EdgeSession);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state().busy = false;
    }
}

impl EdgeSession {
    pub(crate) fn draft(engine: EdgeEngine) -> Self {
        Self {
            engine,
            state: Mutex::default(),
        }
    }

    pub(crate) async fn open(engine: EdgeEngine, token: String) -> Result<Self, EdgeError> {
        let open = load(&engine, token, Known::default()).await?;
        let state = State {
            open: Some(open),
            ..State::default()
        };
        Ok(Self {
            engine,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a session that may be read and changed now.
    fn idle(&self) -> Result<MutexGuard<'_, State>, EdgeError> {
        let state = self.state();
        match (state.busy, state.closed) {
            (true, _) => Err(EdgeError::Busy),
            (_, true) => Err(EdgeError::Closed),
            _ => Ok(state),
        }
    }

    fn begin(&self) -> Result<(Busy<'_>, Option<Open>, Vec<wit::Change>), EdgeError> {
        let mut state = self.idle()?;
        state.busy = true;
        let changes = state.changes.clone().into_iter();
        let changes = changes
            .map(|(name, value)| wit::Change {
                name,
                value: value.map(value_into),
            })
            .collect();
        Ok((Busy(self), state.open.clone(), changes))
    }

    /// A call that writes, and hands out a token. A draft is made by it.
    async fn write(&self, function: &str, login: Option<(&str, &KeepFields)>) -> Result<Grant, EdgeError> {
        let (_busy, open, changes) = self.begin()?;
        let driver = self.engine.driver();
        let Some(Open {
            token,
            loaded,
            mut known,
        }) = open
        else {
            let mut known = Known::default();
            let subject = login.map(|(subject, _)| subject);
            let grant: wit::Grant = driver.run("create", &(subject, &changes), &mut known).await?;
            let token = grant.token.clone().unwrap_or_default();
            return self.end(token, known, grant).await;
        };
        let grant: Result<wit::Grant, _> = match login {
            Some((subject, keep)) => {
                driver
                    .run(
                        "authenticate",
                        &(&token, subject, survivors(keep), &changes),
                        &mut known,
                    )
                    .await
            }
            None if function == SAVE => {
                driver
                    .run(SAVE, &(&token, loaded.version, &changes), &mut known)
                    .await
            }
            None => driver.run(function, &(&token, &changes), &mut known).await,
        };
        let grant = grant?;
        // A login has ended the token from before it. A renewal has not: whoever asked goes on with theirs, and only the
        // client's use of the new one confirms that.
        let token = grant.token.clone().filter(|_| login.is_some()).unwrap_or(token);
        self.end(token, known, grant).await
    }

    /// Reads the session as it was left by a write; the store need not be asked.
    async fn end(&self, token: String, known: Known, grant: wit::Grant) -> Result<Grant, EdgeError> {
        // It is written: an error of this read must not say that it is not.
        let open = load(&self.engine, token, known)
            .await
            .map_err(|_| EdgeError::Call(CallError::OutcomeUnknown))?;
        let mut state = self.state();
        state.changes.clear();
        state.open = Some(open);
        Ok(grant.into())
    }

    /// A call that asks no store beyond what is known.
    fn at_once<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: impl FnOnce(&str) -> Vec<String>,
    ) -> Result<T, EdgeError> {
        let Open { token, mut known, .. } = self.idle()?.open.clone().ok_or(EdgeError::Draft)?;
        Ok(self
            .engine
            .driver()
            .at_once(function, &arguments(&token), &mut known)?)
    }

    /// The stored fields, each as the engine wrote it.
    fn stored(state: &State) -> Result<BTreeMap<String, Box<RawValue>>, EdgeError> {
        let open = state.open.as_ref();
        open.map_or(Ok(BTreeMap::new()), |open| {
            serde_json::from_str(&open.loaded.fields).map_err(EdgeError::Json)
        })
    }

    fn value(&self, name: &str) -> Result<Option<Value>, EdgeError> {
        let state = self.idle()?;
        if let Some(changed) = state.changes.get(name) {
            return Ok(changed.clone());
        }
        match Self::stored(&state)?.get(name) {
            Some(text) => Ok(Some(read_field(text.get())?)),
            None => Ok(None),
        }
    }
}

async fn load(engine: &EdgeEngine, token: String, mut known: Known) -> Result<Open, EdgeError> {
    let loaded = engine.driver().run("load", &[&token], &mut known).await?;
    Ok(Open { token, loaded, known })
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
        let value = self.value(name)?;
        value.map(Value::to).transpose().map_err(EdgeError::Convert)
    }

    fn get_value(&self, name: &str) -> Result<Option<Value>, EdgeError> {
        self.value(name)
    }

    fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), EdgeError> {
        let value = Value::of(value).map_err(EdgeError::Convert)?;
        self.update(vec![(name.to_owned(), Some(value))])
    }

    fn update(&self, changes: Vec<Change>) -> Result<(), EdgeError> {
        // Whether they are fit, the engine says when they are saved.
        self.idle()?.changes.extend(changes);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<bool, EdgeError> {
        let was_there = self.value(name)?.is_some();
        self.update(vec![(name.to_owned(), None)])?;
        Ok(was_there)
    }

    fn clear(&self) -> Result<(), EdgeError> {
        let mut state = self.idle()?;
        let stored = Self::stored(&state)?;
        state.changes = stored.into_keys().map(|name| (name, None)).collect();
        Ok(())
    }

    fn entries_json(&self) -> Result<String, EdgeError> {
        let state = self.idle()?;
        if let (Some(open), true) = (&state.open, state.changes.is_empty()) {
            return Ok(open.loaded.fields.clone());
        }
        let mut fields = Self::stored(&state)?;
        for (name, value) in &state.changes {
            match value {
                Some(value) => fields.insert(name.clone(), write_field(value)),
                None => fields.remove(name),
            };
        }
        serde_json::to_string(&fields).map_err(EdgeError::Json)
    }

    fn details(&self) -> Result<Details, EdgeError> {
        let state = self.state();
        if state.busy {
            return Err(EdgeError::Busy);
        }
        let modified = !state.changes.is_empty();
        let Some(open) = &state.open else {
            return Ok(Details {
                modified,
                ..Details::of_draft()
            });
        };
        let details = &open.loaded.details;
        Ok(Details {
            status: match details.status.as_str() {
                "live" if !state.closed => Status::Live,
                "draft" if !state.closed => Status::Draft,
                _ => Status::Closed,
            },
            reference: details.reference.clone(),
            subject: details.subject.clone(),
            created_at: details.created_at.into(),
            authenticated_at: details.authenticated_at.map(Into::into),
            expires_at: details.expires_at.into(),
            ends_at: details.ends_at.into(),
            generation: details.generation,
            touch_due: details.touch_due,
            renew_due: details.renew_due,
            reissue_due: details.reissue_due,
            modified,
        })
    }

    async fn save(&self) -> Result<Grant, EdgeError> {
        boxed(self.write(SAVE, None)).await
    }

    async fn rotate(&self) -> Result<Grant, EdgeError> {
        boxed(self.write(ROTATE, None)).await
    }

    async fn authenticate(&self, subject: &str, keep: &KeepFields) -> Result<Grant, EdgeError> {
        boxed(async move { self.write("authenticate", Some((subject, keep))).await }).await
    }

    fn reissue(&self) -> Result<Grant, EdgeError> {
        let grant: wit::Grant = self.at_once("reissue", |token| vec![token.into()])?;
        Ok(grant.into())
    }

    async fn touch(&self) -> Result<bool, EdgeError> {
        boxed(async move {
            let (_busy, open, _) = self.begin()?;
            let Open { token, mut known, .. } = open.ok_or(EdgeError::Draft)?;
            let touched = self.engine.driver().run("touch", &[&token], &mut known).await;
            if let Some(open) = &mut self.state().open {
                open.known = known;
            }
            Ok(touched?)
        })
        .await
    }

    async fn destroy(&self) -> Result<(), EdgeError> {
        boxed(async move {
            let (_busy, open, _) = self.begin()?;
            if let Some(Open { token, mut known, .. }) = open {
                self.engine
                    .driver()
                    .run::<()>("destroy", &[&token], &mut known)
                    .await?;
            }
            self.state().closed = true;
            Ok(())
        })
        .await
    }

    fn csrf_token(&self) -> Result<String, EdgeError> {
        self.at_once("csrf-token", |token| vec![token.into()])
    }

    fn check_csrf_token(&self, csrf: &str) -> Result<(), EdgeError> {
        self.at_once("check-csrf-token", |token| vec![token.into(), csrf.into()])
    }
}
