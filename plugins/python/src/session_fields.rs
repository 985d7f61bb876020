//! The fields of a session as a mapping.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList, PyTuple};
use tessera::{SessionError, Value};

use crate::border::guarded;
use crate::errors::Failure;
use crate::session::{Lent, Session};
use crate::text::field;
use crate::value::{from_python, parsed, to_python, written};

/// A change of one field: a value sets it, `None` removes it.
type Change = (String, Option<Value>);
/// A change of one field to a content of a kind.
type TypedChange<'py> = (String, Option<(String, Bound<'py, PyAny>)>);

impl Session {
    /// The JSON text of a field in the engine; `None` if it is of another type, or absent.
    fn json_of(&self, name: &str) -> PyResult<Option<String>> {
        let value = self.here()?.get_value(name).map_err(Failure::from)?;
        Ok(match value {
            Some(Value::Json(text)) => Some(text),
            _ => None,
        })
    }

    /// Sets the fields whose lists or dicts have changed since they were read or set.
    pub(crate) fn settle(&self, py: Python<'_>) -> PyResult<()> {
        while !self.try_settle(py)? {}
        Ok(())
    }

    /// The same. `false`: another thread, or the handler of a signal, has done so meanwhile, perhaps with later changes.
    fn try_settle(&self, py: Python<'_>) -> PyResult<bool> {
        let session = self.here()?;
        let before: Vec<(String, Lent)> = {
            let lent = self.lent();
            let copied = lent.iter().map(|(name, lent)| (name.clone(), lent.copy(py)));
            copied.collect()
        };
        if before.is_empty() {
            return Ok(true);
        }
        if let Err(SessionError::Closed) = session.get_value("") {
            self.forget_all_lent();
            return Ok(true);
        }
        let mut changed = Vec::new();
        for (name, lent) in before {
            // A field that is gone, or that others have set, is not that of the object any more.
            let stored = self.json_of(&name)?;
            if stored.is_none() || lent.stored.is_some() && lent.stored != stored {
                if self.is_lent(&name, &lent) {
                    self.forget_lent(&name);
                }
                continue;
            }
            match written(lent.object.bind(py)) {
                // It could not be written when it was read, and nothing says that it has changed.
                Err(_) if lent.written.is_empty() => {}
                Ok(now) if now == lent.written => {}
                now => changed.push((name, lent, now?)),
            }
        }
        // No code of Python runs from here on, and so no other thread.
        if !changed.iter().all(|(name, lent, _)| self.is_lent(name, lent)) {
            return Ok(false);
        }
        let changes = changed
            .iter()
            .map(|(name, _, now)| (name.clone(), Some(Value::Json(now.clone()))));
        session.update(changes).map_err(Failure::from)?;
        for (name, _, now) in &changed {
            // The change is made, so that a session that is busy from here on is no failure.
            let stored = self.json_of(name).ok().flatten();
            if let Some(current) = self.lent().get_mut(name) {
                (current.stored, current.written) = (stored, now.clone());
            }
        }
        Ok(true)
    }

    /// Whether a list or dict is still lent, as it was written then.
    fn is_lent(&self, name: &str, before: &Lent) -> bool {
        self.lent().get(name).is_some_and(|now| {
            now.object.is(&before.object) && now.stored == before.stored && now.written == before.written
        })
    }

    /// The list or dict that the program has of a field whose JSON text in the engine is this one.
    fn lent_of(&self, py: Python<'_>, name: &str, stored: &str) -> Option<Py<PyAny>> {
        let mut lent = self.lent();
        let of_name = lent.get_mut(name)?;
        // A text that was not known when the field was set is that of the first look.
        let is_same = of_name.stored.get_or_insert_with(|| stored.to_owned()) == stored;
        is_same.then(|| of_name.object.clone_ref(py))
    }

    /// Reads a field. A list or dict is the same object until the field is set.
    fn read(&self, py: Python<'_>, name: &str) -> PyResult<Option<Py<PyAny>>> {
        let mut parsed_before: Option<Lent> = None;
        loop {
            let Some(value) = self.here()?.get_value(name).map_err(Failure::from)? else {
                return Ok(None);
            };
            let Value::Json(stored) = value else {
                return to_python(py, &value).map(Some);
            };
            if let Some(object) = self.lent_of(py, name, &stored) {
                return Ok(Some(object));
            }
            if let Some(parsed) = parsed_before
                .take()
                .filter(|parsed| parsed.stored.as_ref() == Some(&stored))
            {
                let object = parsed.object.clone_ref(py);
                let before = self.lent().insert(name.to_owned(), parsed);
                drop(before);
                return Ok(Some(object));
            }
            // Meanwhile, another thread or the handler of a signal may read or set the field, so that it is looked at again.
            let object = parsed(py, &stored)?;
            parsed_before = Some(Lent {
                written: written(object.bind(py)).unwrap_or_default(),
                object,
                stored: Some(stored),
            });
        }
    }

    fn change(&self, changes: Vec<(String, Bound<'_, PyAny>)>) -> PyResult<()> {
        let read: PyResult<Vec<Change>> = changes
            .iter()
            .map(|(name, value)| Ok((name.clone(), Some(from_python(value)?))))
            .collect();
        let read = read?;
        self.here()?.update(read.clone()).map_err(Failure::from)?;
        for ((name, value), (_, object)) in read.into_iter().zip(changes) {
            let Some(Value::Json(written)) = value else {
                self.forget_lent(&name);
                continue;
            };
            // The change is made, so that a session that is busy from here on is no failure.
            let stored = self.json_of(&name).ok().flatten();
            let kept = Lent {
                object: object.unbind(),
                stored,
                written,
            };
            let before = self.lent().insert(name, kept);
            drop(before);
        }
        Ok(())
    }

    fn removed(&self, name: &str) -> PyResult<bool> {
        let removed = self.here()?.remove(name).map_err(Failure::from)?;
        self.forget_lent(name);
        Ok(removed)
    }

    fn names(&self) -> PyResult<Vec<String>> {
        let entries = self.here()?.entries().map_err(Failure::from)?;
        Ok(entries.into_iter().map(|(name, _)| name).collect())
    }

    /// A view of `collections.abc`.
    fn view<'py>(
        slf: &Bound<'py, Self>,
        class: &PyOnceLock<Py<PyAny>>,
        name: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| class.import(slf.py(), "collections.abc", name)?.call1((slf,)))
    }
}

/// The changes that `dict.update` would make.
fn changes_of<'py>(
    changes: Option<&Bound<'py, PyAny>>,
    more: Option<&Bound<'py, PyDict>>,
) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    let mut read = Vec::new();
    if let Some(changes) = changes {
        // A copy, so that every form of mapping and list of pairs is read as `dict` does.
        let pairs = changes.py().get_type::<PyDict>().call1((changes,))?;
        for (name, value) in pairs.cast_into::<PyDict>()?.iter() {
            read.push((field(&name)?.to_owned(), value));
        }
    }
    for (name, value) in more.into_iter().flat_map(|more| more.iter()) {
        read.push((field(&name)?.to_owned(), value));
    }
    Ok(read)
}

#[pymethods]
impl Session {
    fn __getitem__(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let name = field(name)?;
            self.read(py, name)?
                .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
        })
    }

    fn __setitem__(&self, name: &Bound<'_, PyAny>, value: Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| self.change(vec![(field(name)?.to_owned(), value)]))
    }

    fn __delitem__(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| {
            let name = field(name)?;
            match self.removed(name)? {
                true => Ok(()),
                false => Err(PyKeyError::new_err(name.to_owned())),
            }
        })
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        guarded(|| match name.extract::<&str>() {
            Ok(name) => Ok(self.here()?.get_value(name).map_err(Failure::from)?.is_some()),
            // As in a dict, which has no such key.
            Err(_) => Ok(false),
        })
    }

    fn __len__(&self) -> PyResult<usize> {
        guarded(|| Ok(self.names()?.len()))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        guarded(|| PyList::new(py, self.names()?)?.try_iter())
    }

    #[pyo3(signature = (name, default=None, /))]
    fn get(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        default: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let found = self.read(py, field(name)?)?;
            Ok(found.or(default).unwrap_or_else(|| py.None()))
        })
    }

    /// Removes a field and returns its value.
    #[pyo3(signature = (name, /, *default))]
    fn pop(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        default: &Bound<'_, PyTuple>,
    ) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let name = field(name)?;
            if let Some(value) = self.read(py, name)? {
                self.removed(name)?;
                return Ok(value);
            }
            match default.iter().next() {
                Some(default) => Ok(default.unbind()),
                None => Err(PyKeyError::new_err(name.to_owned())),
            }
        })
    }

    fn popitem(&self, py: Python<'_>) -> PyResult<(String, Py<PyAny>)> {
        guarded(|| {
            let last = self.names()?.pop();
            let name = last.ok_or_else(|| PyKeyError::new_err("the session has no field"))?;
            let value = self.read(py, &name)?.unwrap_or_else(|| py.None());
            self.removed(&name)?;
            Ok((name, value))
        })
    }

    #[pyo3(signature = (name, default=None, /))]
    fn setdefault(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        default: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let name = field(name)?;
            if let Some(value) = self.read(py, name)? {
                return Ok(value);
            }
            let default = default.unwrap_or_else(|| py.None().into_bound(py));
            self.change(vec![(name.to_owned(), default.clone())])?;
            Ok(default.unbind())
        })
    }

    /// Sets several fields, all or none.
    #[pyo3(signature = (changes=None, /, **more))]
    fn update(&self, changes: Option<&Bound<'_, PyAny>>, more: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        guarded(|| self.change(changes_of(changes, more)?))
    }

    fn clear(&self) -> PyResult<()> {
        guarded(|| {
            self.here()?.clear().map_err(Failure::from)?;
            self.forget_all_lent();
            Ok(())
        })
    }

    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static VIEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        Self::view(slf, &VIEW, "KeysView")
    }

    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static VIEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        Self::view(slf, &VIEW, "ValuesView")
    }

    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static VIEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        Self::view(slf, &VIEW, "ItemsView")
    }

    /// All fields as one JSON object; see `docs/glossary.md` for values that JSON does not have.
    fn entries_json(&self, py: Python<'_>) -> PyResult<String> {
        guarded(|| {
            self.settle(py)?;
            Ok(self.here()?.entries_json().map_err(Failure::from)?)
        })
    }

    /// Sets and removes fields whose types are given: `{name: (kind, content) | None}`, with JSON as text.
    fn _update_typed(&self, changes: Vec<TypedChange<'_>>) -> PyResult<()> {
        guarded(|| {
            let typed = |(name, value): TypedChange<'_>| {
                let value = value.map(|(kind, content)| match kind.as_str() {
                    "json" => Ok(Value::Json(content.extract()?)),
                    _ => from_python(&content),
                });
                Ok((name, value.transpose()?))
            };
            let changes: PyResult<Vec<Change>> = changes.into_iter().map(typed).collect();
            let changes = changes?;
            self.here()?.update(changes.clone()).map_err(Failure::from)?;
            for (name, _) in &changes {
                self.forget_lent(name);
            }
            Ok(())
        })
    }

    /// All fields with their types: `[(name, kind, content)…]`, with JSON as text.
    fn _typed(&self, py: Python<'_>) -> PyResult<Vec<(String, &'static str, Py<PyAny>)>> {
        guarded(|| {
            let entries = self.here()?.entries().map_err(Failure::from)?;
            let typed = entries.into_iter().map(|(name, value)| {
                let (kind, content) = typed(py, &value)?;
                Ok((name, kind, content))
            });
            typed.collect()
        })
    }

    /// One field with its type.
    fn _get_typed(&self, py: Python<'_>, name: &str) -> PyResult<Option<(&'static str, Py<PyAny>)>> {
        guarded(|| {
            let value = self.here()?.get_value(name).map_err(Failure::from)?;
            value.map(|value| typed(py, &value)).transpose()
        })
    }
}

fn typed(py: Python<'_>, value: &Value) -> PyResult<(&'static str, Py<PyAny>)> {
    Ok(match value {
        Value::Null => ("null", py.None()),
        Value::Boolean(_) => ("boolean", to_python(py, value)?),
        Value::Integer(_) => ("integer", to_python(py, value)?),
        Value::Float(_) => ("float", to_python(py, value)?),
        Value::Text(_) => ("text", to_python(py, value)?),
        Value::Bytes(bytes) => ("bytes", PyBytes::new(py, bytes).into_any().unbind()),
        Value::Json(text) => ("json", text.into_pyobject(py)?.into_any().unbind()),
    })
}
