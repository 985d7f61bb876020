//! The engine over a store: creates, opens, lists and ends sessions.

use std::sync::Arc;
use std::time::Duration;

use pyo3::BoundObject as _;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use tessera::store::{AnyStore, PlainStore};
use tessera::{PageRequest, Preset, SessionsBuilder, SigningKey};
use tessera_embedding::{Place, Recipe};
use zeroize::Zeroizing;

use crate::border::guarded;
use crate::call::Call;
use crate::clock::ManualClock;
use crate::errors::Failure;
use crate::python_store::PythonStore;
use crate::results::{Claims, Page};
use crate::session::Session;
use crate::shared::Shared;
use crate::text::{self, argument, optional};
use crate::wait::{at_once, wait};

/// Sessions over a store.
#[pyclass(frozen, subclass, weakref, module = "tessera._tessera")]
pub(crate) struct Engine(Arc<Shared>);

fn signing_keys(keys: Vec<(String, Bound<'_, PyBytes>)>) -> Vec<SigningKey> {
    keys.into_iter()
        .map(|(id, secret)| SigningKey::new(id, Zeroizing::new(secret.as_bytes().to_vec()).to_vec()))
        .collect()
}

fn policy_of(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    serde_json::from_str(text).map_err(|_| Failure::Argument("policy", "must be a JSON object".into()))
}

fn preset_of(name: &str) -> Result<Preset, Failure> {
    Preset::named(name)
        .ok_or_else(|| Failure::Argument("preset", "must be standard, aal1, aal2 or aal3".to_owned()))
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (store, *, keys, policy="{}", preset=None, clock=None, remembered_sessions=None,
        queue_places=None, instances=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords")]
    fn new(
        py: Python<'_>,
        store: &Bound<'_, PyAny>,
        keys: Vec<(String, Bound<'_, PyBytes>)>,
        policy: &str,
        preset: Option<&str>,
        clock: Option<Py<ManualClock>>,
        remembered_sessions: Option<usize>,
        queue_places: Option<usize>,
        instances: Option<usize>,
    ) -> PyResult<Self> {
        guarded(|| {
            let (place, own) = match store.cast::<PyString>() {
                Ok(url) => (Place::url(argument("store", url)?).map_err(Failure::from)?, None),
                Err(_) => {
                    let own = PythonStore::new(store)?;
                    let built = own.clone();
                    let build = move |builder: SessionsBuilder| builder.build(built.clone());
                    (Place::Own(Box::new(build)), Some(own))
                }
            };
            let recipe = Recipe {
                place,
                preset: preset.map(preset_of).transpose()?,
                policy: policy_of(policy)?,
                keys: signing_keys(keys),
                clock: clock.map(|clock| clock.get().to_clock()),
                remembered_sessions,
                queue_places,
                instances,
                // Those of an asynchronous store need the thread that would wait.
                waits_for_writes: !own.as_ref().is_some_and(PythonStore::needs_event_loop),
            };
            Ok(Self(Arc::new(Shared::new(py, recipe, own)?)))
        })
    }

    /// The policy in force as JSON, with WIT's names.
    fn _policy(&self, py: Python<'_>) -> PyResult<String> {
        guarded(|| Ok(self.0.sessions(py)?.policy().to_json().to_string()))
    }

    /// The time of the engine's clock in milliseconds since 1970.
    fn _now(&self, py: Python<'_>) -> PyResult<u64> {
        guarded(|| Ok(self.0.sessions(py)?.now().as_millis()))
    }

    fn create(&self, py: Python<'_>) -> PyResult<Session> {
        guarded(|| Ok(Session::new(&self.0, self.0.sessions(py)?.create())))
    }

    fn open(&self, py: Python<'_>, token: &Bound<'_, PyString>) -> PyResult<Session> {
        let (sessions, token) = (self.0.sessions(py)?, text::token(token));
        let opened = wait(py, &self.0, async { Ok(sessions.open(&token).await?) })?;
        Ok(Session::new(&self.0, opened))
    }

    fn aopen(&self, token: &Bound<'_, PyString>) -> Call {
        let (of_call, shared) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let token = text::token(token).into_owned();
        let opening = async move { Ok(of_call.sessions_inside().await?.open(&token).await?) };
        Call::new(&self.0, opening, move |py, opened| {
            Ok(Py::new(py, Session::new(&shared, opened))?.into_any())
        })
    }

    #[pyo3(signature = (token, max_age_milliseconds=None))]
    fn _verify(
        &self,
        py: Python<'_>,
        token: &Bound<'_, PyString>,
        max_age_milliseconds: Option<u64>,
    ) -> PyResult<Claims> {
        let (sessions, token) = (self.0.sessions(py)?, text::token(token));
        let max_age = max_age_milliseconds.map(Duration::from_millis);
        at_once(py, &self.0, || Ok(sessions.verify(&token, max_age)?)).map(Claims)
    }

    #[pyo3(signature = (subject, *, current=None, cursor=None))]
    fn list(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, PyString>,
        current: Option<&Bound<'_, PyString>>,
        cursor: Option<&Bound<'_, PyString>>,
    ) -> PyResult<Page> {
        let (sessions, subject) = (self.0.sessions(py)?, argument("subject", subject)?);
        let (current, cursor) = (optional("current", current)?, optional("cursor", cursor)?);
        let request = PageRequest { current, cursor };
        let page = wait(py, &self.0, async { Ok(sessions.list(subject, request).await?) })?;
        Page::new(py, page)
    }

    #[pyo3(signature = (subject, *, current=None, cursor=None))]
    fn alist(
        &self,
        subject: &Bound<'_, PyString>,
        current: Option<&Bound<'_, PyString>>,
        cursor: Option<&Bound<'_, PyString>>,
    ) -> PyResult<Call> {
        let (shared, subject) = (Arc::clone(&self.0), argument("subject", subject)?.to_owned());
        let current = optional("current", current)?.map(str::to_owned);
        let cursor = optional("cursor", cursor)?.map(str::to_owned);
        let listing = async move {
            let (current, cursor) = (current.as_deref(), cursor.as_deref());
            let request = PageRequest { current, cursor };
            Ok(shared.sessions_inside().await?.list(&subject, request).await?)
        };
        Ok(Call::new(&self.0, listing, |py, page| {
            Ok(Py::new(py, Page::new(py, page)?)?.into_any())
        }))
    }

    fn revoke(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, PyString>,
        public_id: &Bound<'_, PyString>,
    ) -> PyResult<bool> {
        let sessions = self.0.sessions(py)?;
        let subject = argument("subject", subject)?;
        let public_id = argument("public_id", public_id)?;
        wait(py, &self.0, async {
            Ok(sessions.revoke(subject, public_id).await?)
        })
    }

    fn arevoke(&self, subject: &Bound<'_, PyString>, public_id: &Bound<'_, PyString>) -> PyResult<Call> {
        let shared = Arc::clone(&self.0);
        let subject = argument("subject", subject)?.to_owned();
        let public_id = argument("public_id", public_id)?.to_owned();
        let revoking = async move {
            let sessions = shared.sessions_inside().await?;
            Ok(sessions.revoke(&subject, &public_id).await?)
        };
        Ok(Call::new(&self.0, revoking, object))
    }

    fn revoke_all(&self, py: Python<'_>, subject: &Bound<'_, PyString>) -> PyResult<u64> {
        let (sessions, subject) = (self.0.sessions(py)?, argument("subject", subject)?);
        wait(py, &self.0, async { Ok(sessions.revoke_all(subject).await?) })
    }

    fn arevoke_all(&self, subject: &Bound<'_, PyString>) -> PyResult<Call> {
        let (shared, subject) = (Arc::clone(&self.0), argument("subject", subject)?.to_owned());
        let revoking = async move { Ok(shared.sessions_inside().await?.revoke_all(&subject).await?) };
        Ok(Call::new(&self.0, revoking, object))
    }

    fn revoke_others(&self, py: Python<'_>, session: &Session) -> PyResult<u64> {
        let (sessions, session) = (self.0.sessions(py)?, session.inner()?);
        wait(py, &self.0, async { Ok(sessions.revoke_others(&session).await?) })
    }

    fn arevoke_others(&self, session: &Session) -> PyResult<Call> {
        let (shared, session) = (Arc::clone(&self.0), session.inner()?);
        let revoking = async move { Ok(shared.sessions_inside().await?.revoke_others(&session).await?) };
        Ok(Call::new(&self.0, revoking, object))
    }

    fn jwt_key<'py>(&self, py: Python<'py>, key_id: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
        let (sessions, key_id) = (self.0.sessions(py)?, argument("key_id", key_id)?);
        let key = at_once(py, &self.0, || Ok(Zeroizing::new(sessions.jwt_key(key_id)?)))?;
        Ok(PyBytes::new(py, &key))
    }

    #[getter]
    fn signing_key_id(&self, py: Python<'_>) -> PyResult<String> {
        guarded(|| Ok(self.0.sessions(py)?.signing_key_id()))
    }

    fn _replace_keys(&self, py: Python<'_>, keys: Vec<(String, Bound<'_, PyBytes>)>) -> PyResult<()> {
        let (sessions, keys) = (self.0.sessions(py)?, signing_keys(keys));
        at_once(py, &self.0, || Ok(self.0.engine.replace_keys(&sessions, keys)?))
    }

    /// Completes the begun and queued writes and closes the store. Afterwards, calls that need the store fail.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| self.0.close(py))
    }

    /// The kind of the store: `memory`, `sqlite`, `redis`, `sql`, `cached` or `own`.
    #[getter]
    fn store_kind(&self, py: Python<'_>) -> PyResult<&'static str> {
        guarded(|| {
            Ok(match &self.0.made(py)?.store {
                None => "own",
                Some(AnyStore::Plain(PlainStore::Memory(_))) => "memory",
                Some(AnyStore::Plain(PlainStore::Sqlite(_))) => "sqlite",
                Some(AnyStore::Plain(PlainStore::Redis(_))) => "redis",
                Some(AnyStore::Plain(PlainStore::Sql(_))) => "sql",
                Some(_) => "cached",
            })
        })
    }
}

/// For the tests of the border.
#[cfg(feature = "test-panic")]
#[pymethods]
impl Engine {
    /// A call that panics when it is polled again.
    fn _panic_later(&self) -> Call {
        #[expect(clippy::panic, reason = "the tests want it")]
        fn panics() -> Result<(), Failure> {
            panic!("a panic of a test")
        }
        let panicking = async {
            tokio::task::yield_now().await;
            panics()
        };
        Call::new(&self.0, panicking, object)
    }
}

/// The result of a call that is an object of Python already.
fn object<T>(py: Python<'_>, value: T) -> PyResult<Py<PyAny>>
where
    T: for<'py> IntoPyObject<'py, Error: Into<PyErr>>,
{
    let made = value.into_pyobject(py).map_err(Into::into)?;
    Ok(made.into_any().unbind())
}
