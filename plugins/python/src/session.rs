//! One session: its calls. `session_fields.rs` has the fields.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyString;
use tessera::KeepFields;
use tessera_embedding::fork::Owned;

use crate::border::guarded;
use crate::call::Call;
use crate::errors::Failure;
use crate::results::{Details, Grant, moment};
use crate::shared::Shared;
use crate::text::{self, argument};
use crate::wait::{at_once, wait};

/// A list or dict that the program has, and may change.
pub(crate) struct Lent {
    pub(crate) object: Py<PyAny>,
    /// The field's JSON text in the engine; `None` if the session was busy when it was set.
    pub(crate) stored: Option<String>,
    /// The same, as this module writes the object.
    pub(crate) written: String,
}

impl Lent {
    pub(crate) fn copy(&self, py: Python<'_>) -> Self {
        Self {
            object: self.object.clone_ref(py),
            stored: self.stored.clone(),
            written: self.written.clone(),
        }
    }
}

/// One session: a mapping of field names to values, and calls that store it.
#[pyclass(frozen, mapping, module = "tessera")]
pub(crate) struct Session {
    shared: Arc<Shared>,
    session: Owned<Arc<tessera::Session>>,
    /// Lists and dicts that were read or set, by the names of their fields. If they have changed, they are stored with a save.
    lent: Mutex<HashMap<String, Lent>>,
    /// The last grant with a token.
    granted: Mutex<Option<tessera::Grant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(crate) fn new(shared: &Arc<Shared>, session: tessera::Session) -> Self {
        Self {
            shared: Arc::clone(shared),
            session: Owned::new(Arc::new(session)),
            lent: Mutex::default(),
            granted: Mutex::default(),
        }
    }

    /// The session, for a call that may outlive this object.
    pub(crate) fn inner(&self) -> Result<Arc<tessera::Session>, Failure> {
        Ok(Arc::clone(self.session.get()?))
    }

    pub(crate) fn here(&self) -> Result<&tessera::Session, Failure> {
        Ok(self.session.get()?)
    }

    /// Locks the lists and dicts. No code of Python runs while they are locked, not even the end of an object: a handler of a
    /// signal may use the same session there, and another thread may get the interpreter.
    pub(crate) fn lent(&self) -> MutexGuard<'_, HashMap<String, Lent>> {
        lock(&self.lent)
    }

    /// Forgets the list or dict of a field.
    pub(crate) fn forget_lent(&self, name: &str) {
        // The object ends after the lock.
        let forgotten = self.lent().remove(name);
        drop(forgotten);
    }

    /// Forgets all lists and dicts.
    pub(crate) fn forget_all_lent(&self) {
        let forgotten = std::mem::take(&mut *self.lent());
        drop(forgotten);
    }

    /// Keeps a grant whose token the client needs.
    fn grant(&self, grant: tessera::Grant) -> Grant {
        if grant.token.is_some() {
            *lock(&self.granted) = Some(grant.clone());
        }
        Grant(grant)
    }

    /// A call that results in a grant, for the event loop.
    fn granting<F>(slf: &Bound<'_, Self>, call: impl FnOnce(Arc<tessera::Session>) -> F) -> PyResult<Call>
    where
        F: Future<Output = Result<tessera::Grant, tessera::SessionError>> + Send + 'static,
    {
        guarded(|| {
            let this = slf.get();
            let (calling, owner) = (call(this.inner()?), slf.clone().unbind());
            let settled = owner.clone_ref(slf.py());
            let granting = Call::new(
                &this.shared,
                async move { Ok(calling.await?) },
                move |py, grant| Ok(Py::new(py, owner.get().grant(grant))?.into_any()),
            );
            // When it is awaited, as the call reads the other changes.
            Ok(granting.after(move |py| settled.get().settle(py)))
        })
    }

    fn calling<T, F>(
        &self,
        call: impl FnOnce(Arc<tessera::Session>) -> F,
        finish: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Call>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, tessera::SessionError>> + Send + 'static,
    {
        let calling = call(self.inner()?);
        Ok(Call::new(&self.shared, async move { Ok(calling.await?) }, finish))
    }
}

/// Reads `keep`: `"nothing"`, `"everything"`, or a list of names.
fn keep_of(keep: &Bound<'_, PyAny>) -> Result<KeepFields, Failure> {
    let unfit = || {
        Failure::Argument(
            "keep",
            "must be \"nothing\", \"everything\" or a list of names".into(),
        )
    };
    if let Ok(text) = keep.cast::<PyString>() {
        return match text.to_str().unwrap_or_default() {
            "nothing" => Ok(KeepFields::Nothing),
            "everything" => Ok(KeepFields::Everything),
            _ => Err(unfit()),
        };
    }
    let names = keep.try_iter().map_err(|_| unfit())?;
    let names: Result<Vec<String>, Failure> =
        names.map(|name| name?.extract().map_err(|_| unfit())).collect();
    names.map(KeepFields::Named)
}

#[pymethods]
impl Session {
    fn save(&self, py: Python<'_>) -> PyResult<Grant> {
        guarded(|| {
            self.settle(py)?;
            let session = self.inner()?;
            let grant = wait(py, &self.shared, async { Ok(session.save().await?) })?;
            Ok(self.grant(grant))
        })
    }

    fn asave(slf: &Bound<'_, Self>) -> PyResult<Call> {
        Self::granting(slf, |session| async move { session.save().await })
    }

    fn rotate(&self, py: Python<'_>) -> PyResult<Grant> {
        guarded(|| {
            self.settle(py)?;
            let session = self.inner()?;
            let grant = wait(py, &self.shared, async { Ok(session.rotate().await?) })?;
            Ok(self.grant(grant))
        })
    }

    fn arotate(slf: &Bound<'_, Self>) -> PyResult<Call> {
        Self::granting(slf, |session| async move { session.rotate().await })
    }

    #[pyo3(signature = (subject, keep=None))]
    fn authenticate(
        &self,
        py: Python<'_>,
        subject: &Bound<'_, PyString>,
        keep: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Grant> {
        guarded(|| {
            let subject = argument("subject", subject)?;
            let keep = keep.map_or(Ok(KeepFields::Nothing), keep_of)?;
            self.settle(py)?;
            let session = self.inner()?;
            let call = async { Ok(session.authenticate_keeping(subject, &keep).await?) };
            let grant = wait(py, &self.shared, call)?;
            Ok(self.grant(grant))
        })
    }

    #[pyo3(signature = (subject, keep=None))]
    fn aauthenticate(
        slf: &Bound<'_, Self>,
        subject: &Bound<'_, PyString>,
        keep: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Call> {
        let subject = argument("subject", subject)?.to_owned();
        let keep = guarded(|| Ok(keep.map_or(Ok(KeepFields::Nothing), keep_of)?))?;
        Self::granting(slf, move |session| async move {
            session.authenticate_keeping(&subject, &keep).await
        })
    }

    fn reissue(&self, py: Python<'_>) -> PyResult<Grant> {
        let session = self.inner()?;
        let grant = wait(py, &self.shared, async { Ok(session.reissue().await?) })?;
        Ok(self.grant(grant))
    }

    fn areissue(slf: &Bound<'_, Self>) -> PyResult<Call> {
        Self::granting(slf, |session| async move { session.reissue().await })
    }

    fn touch(&self, py: Python<'_>) -> PyResult<bool> {
        let session = self.inner()?;
        wait(py, &self.shared, async { Ok(session.touch().await?) })
    }

    fn atouch(&self) -> PyResult<Call> {
        self.calling(
            |session| async move { session.touch().await },
            |py, wrote| Ok(wrote.into_pyobject(py)?.to_owned().into_any().unbind()),
        )
    }

    fn destroy(&self, py: Python<'_>) -> PyResult<()> {
        let session = self.inner()?;
        wait(py, &self.shared, async { Ok(session.destroy().await?) })
    }

    fn adestroy(&self) -> PyResult<Call> {
        self.calling(
            |session| async move { session.destroy().await },
            |py, ()| Ok(py.None()),
        )
    }

    fn standing(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let session = self.inner()?;
        let until = wait(py, &self.shared, async { Ok(session.standing().await?) })?;
        moment(py, until)
    }

    fn astanding(&self) -> PyResult<Call> {
        self.calling(|session| async move { session.standing().await }, moment)
    }

    fn fork(&self, py: Python<'_>) -> PyResult<Self> {
        guarded(|| {
            self.settle(py)?;
            let fork = self.here()?.fork().map_err(Failure::from)?;
            Ok(Self::new(&self.shared, fork))
        })
    }

    #[getter]
    fn modified(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| {
            self.settle(py)?;
            Ok(self.here()?.is_modified().map_err(Failure::from)?)
        })
    }

    fn details(&self, py: Python<'_>) -> PyResult<Details> {
        guarded(|| {
            self.settle(py)?;
            let session = self.here()?;
            at_once(py, &self.shared, || Ok(session.details()?)).map(Details)
        })
    }

    #[getter]
    fn subject(&self) -> PyResult<Option<String>> {
        guarded(|| Ok(self.here()?.subject().map_err(Failure::from)?))
    }

    #[getter]
    fn public_id(&self, py: Python<'_>) -> PyResult<String> {
        let session = self.here()?;
        at_once(py, &self.shared, || Ok(session.details()?.public_id))
    }

    #[getter]
    fn granted(&self) -> Option<Grant> {
        lock(&self.granted).clone().map(Grant)
    }

    fn csrf_token(&self, py: Python<'_>) -> PyResult<String> {
        let session = self.here()?;
        at_once(py, &self.shared, || Ok(session.csrf_token()?))
    }

    fn check_csrf_token(&self, py: Python<'_>, token: &Bound<'_, PyString>) -> PyResult<()> {
        let (session, token) = (self.here()?, text::token(token));
        at_once(py, &self.shared, || Ok(session.check_csrf_token(&token)?))
    }

    /// The fields are no secret of the session, but may be of its user.
    fn __repr__(&self, py: Python<'_>) -> String {
        match self.public_id(py) {
            Ok(public_id) if public_id.is_empty() => "<Session draft>".to_owned(),
            Ok(public_id) => format!("<Session {public_id}>"),
            Err(_) => "<Session>".to_owned(),
        }
    }
}
