//! What calls return: times are in milliseconds since 1970 here, and `datetime` in the package's properties.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};
use tessera::{SessionPage, SessionSummary, Status, Timestamp};

use crate::attach::Frame;
use crate::value;

/// A time as a `datetime` in UTC. One beyond the year 9999 is the last of that year.
pub(crate) fn moment(py: Python<'_>, at: Timestamp) -> PyResult<Py<PyAny>> {
    static MOMENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let _frame = Frame::enter();
    let moment = MOMENT.import(py, "tessera._times", "moment")?;
    Ok(moment.call1((at.as_millis(),))?.unbind())
}

fn optional_moment(py: Python<'_>, at: Option<Timestamp>) -> PyResult<Py<PyAny>> {
    at.map_or_else(|| Ok(py.None()), |at| moment(py, at))
}

/// The result of a write that the client needs.
#[pyclass(frozen, module = "tessera")]
pub(crate) struct Grant(pub(crate) tessera::Grant);

#[pymethods]
impl Grant {
    #[getter]
    fn token(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    #[getter]
    fn expires_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.expires_at)
    }

    #[getter]
    fn ends_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.ends_at)
    }

    /// `(expires_at, ends_at)` in milliseconds since 1970.
    fn _milliseconds(&self) -> (u64, u64) {
        (self.0.expires_at.as_millis(), self.0.ends_at.as_millis())
    }

    /// A token is a credential, and is not shown.
    fn __repr__(&self) -> &'static str {
        if self.0.token.is_some() {
            "Grant(token='...')"
        } else {
            "Grant(token=None)"
        }
    }
}

/// The known state of a session, without the store.
#[pyclass(frozen, module = "tessera")]
pub(crate) struct Details(pub(crate) tessera::Details);

#[pymethods]
impl Details {
    #[getter]
    fn status(&self) -> &'static str {
        match self.0.status {
            Status::Draft => "draft",
            Status::Live => "live",
            Status::Closed => "closed",
        }
    }

    #[getter]
    fn public_id(&self) -> &str {
        &self.0.public_id
    }

    #[getter]
    fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    #[getter]
    fn created_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.created_at)
    }

    #[getter]
    fn authenticated_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        optional_moment(py, self.0.authenticated_at)
    }

    #[getter]
    fn expires_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.expires_at)
    }

    #[getter]
    fn ends_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.ends_at)
    }

    #[getter]
    fn generation(&self) -> u32 {
        self.0.generation
    }

    #[getter]
    fn touch_due(&self) -> bool {
        self.0.touch_due
    }

    #[getter]
    fn renew_due(&self) -> bool {
        self.0.renew_due
    }

    #[getter]
    fn reissue_due(&self) -> bool {
        self.0.reissue_due
    }

    #[getter]
    fn modified(&self) -> bool {
        self.0.modified
    }

    /// `(created_at, authenticated_at, expires_at, ends_at)` in milliseconds since 1970.
    fn _milliseconds(&self) -> (u64, Option<u64>, u64, u64) {
        let details = &self.0;
        (
            details.created_at.as_millis(),
            details.authenticated_at.map(Timestamp::as_millis),
            details.expires_at.as_millis(),
            details.ends_at.as_millis(),
        )
    }

    fn __repr__(&self) -> String {
        format!(
            "Details(status='{}', public_id='{}')",
            self.status(),
            self.0.public_id
        )
    }
}

/// The claims of a token that was verified without the store.
#[pyclass(frozen, module = "tessera")]
pub(crate) struct Claims(pub(crate) tessera::Claims);

#[pymethods]
impl Claims {
    #[getter]
    fn public_id(&self) -> &str {
        &self.0.public_id
    }

    #[getter]
    fn generation(&self) -> u32 {
        self.0.generation
    }

    #[getter]
    fn issued_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.issued_at)
    }

    #[getter]
    fn expires_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.expires_at)
    }

    #[getter]
    fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let data = PyDict::new(py);
        for (name, text) in &self.0.data {
            data.set_item(name, text)?;
        }
        Ok(data)
    }

    /// `(issued_at, expires_at)` in milliseconds since 1970.
    fn _milliseconds(&self) -> (u64, u64) {
        (self.0.issued_at.as_millis(), self.0.expires_at.as_millis())
    }

    fn __repr__(&self) -> String {
        format!("Claims(public_id='{}')", self.0.public_id)
    }
}

/// One session of a subject, for a page "your devices".
#[pyclass(frozen, module = "tessera", name = "SessionSummary")]
pub(crate) struct Summary(SessionSummary);

#[pymethods]
impl Summary {
    #[getter]
    fn public_id(&self) -> &str {
        &self.0.public_id
    }

    #[getter]
    fn created_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.created_at)
    }

    #[getter]
    fn authenticated_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.authenticated_at)
    }

    #[getter]
    fn last_seen_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.last_seen_at)
    }

    #[getter]
    fn expires_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.expires_at)
    }

    #[getter]
    fn ends_at(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        moment(py, self.0.ends_at)
    }

    #[getter]
    fn current(&self) -> bool {
        self.0.current
    }

    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = PyDict::new(py);
        for (name, field) in &self.0.fields {
            fields.set_item(name, value::to_python(py, field)?)?;
        }
        Ok(fields)
    }

    /// `(created_at, authenticated_at, last_seen_at, expires_at, ends_at)` in milliseconds since 1970.
    fn _milliseconds(&self) -> (u64, u64, u64, u64, u64) {
        let summary = &self.0;
        (
            summary.created_at.as_millis(),
            summary.authenticated_at.as_millis(),
            summary.last_seen_at.as_millis(),
            summary.expires_at.as_millis(),
            summary.ends_at.as_millis(),
        )
    }

    fn __repr__(&self) -> String {
        format!("SessionSummary(public_id='{}')", self.0.public_id)
    }
}

/// One page of a subject's sessions.
#[pyclass(frozen, module = "tessera", name = "SessionPage")]
pub(crate) struct Page {
    items: Py<PyTuple>,
    next: Option<String>,
}

impl Page {
    pub(crate) fn new(py: Python<'_>, page: SessionPage) -> PyResult<Self> {
        let items: PyResult<Vec<_>> = page
            .items
            .into_iter()
            .map(|item| Py::new(py, Summary(item)))
            .collect();
        Ok(Self {
            items: PyTuple::new(py, items?)?.unbind(),
            next: page.next,
        })
    }
}

#[pymethods]
impl Page {
    #[getter]
    fn items(&self, py: Python<'_>) -> Py<PyTuple> {
        self.items.clone_ref(py)
    }

    #[getter]
    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}
