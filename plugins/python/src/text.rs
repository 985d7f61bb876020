//! Texts of Python: unlike UTF-8, they may have lone surrogates, which `json.loads` makes from an escape in a client's body.

use std::borrow::Cow;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::Failure;

/// Reads a token from a client. One with a lone surrogate is invalid like any other: no token has the replacement character.
pub(crate) fn token<'a>(text: &'a Bound<'_, PyString>) -> Cow<'a, str> {
    text.to_str()
        .map_or_else(|_| text.to_string_lossy(), Cow::Borrowed)
}

/// Reads an argument.
pub(crate) fn argument<'a>(name: &'static str, text: &'a Bound<'_, PyString>) -> Result<&'a str, Failure> {
    text.to_str()
        .map_err(|_| Failure::Argument(name, "has a lone surrogate".to_owned()))
}

/// Reads an argument that may be absent.
pub(crate) fn optional<'a>(
    name: &'static str,
    text: Option<&'a Bound<'_, PyString>>,
) -> Result<Option<&'a str>, Failure> {
    text.map(|text| argument(name, text)).transpose()
}

/// Reads the name of a field.
pub(crate) fn field<'a>(name: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let text = name
        .cast::<PyString>()
        .map_err(|_| PyTypeError::new_err("the name of a field is a str"))?;
    Ok(argument("name", text)?)
}
