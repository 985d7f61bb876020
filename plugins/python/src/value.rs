//! Values of fields, and objects of Python.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use tessera::Value;

use crate::attach::Frame;
use crate::errors::invalid_value;

/// The depth of lists and dicts beyond which a value is refused. It is less than the engine's, which has the last word.
const MAXIMUM_DEPTH: usize = 100;

/// Makes a value an object of Python. JSON becomes lists and dicts.
pub(crate) fn to_python(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Value::Null => py.None(),
        Value::Boolean(value) => PyBool::new(py, *value).to_owned().into_any().unbind(),
        Value::Integer(value) => value.into_pyobject(py)?.into_any().unbind(),
        Value::Float(value) => PyFloat::new(py, *value).into_any().unbind(),
        Value::Text(text) => PyString::new(py, text).into_any().unbind(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any().unbind(),
        Value::Json(text) => parsed(py, text)?,
    })
}

/// Parses JSON.
pub(crate) fn parsed(py: Python<'_>, text: &str) -> PyResult<Py<PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let _frame = Frame::enter();
    Ok(LOADS.import(py, "json", "loads")?.call1((text,))?.unbind())
}

/// Makes an object of Python a value.
///
/// # Errors
/// `InvalidValueError` for any other type than None, bool, int, float, str, bytes, and lists, tuples and dicts of all but bytes.
pub(crate) fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    Ok(if object.is_none() {
        Value::Null
    } else if let Ok(boolean) = object.cast::<PyBool>() {
        Value::Boolean(boolean.is_true())
    } else if let Ok(text) = object.cast::<PyString>() {
        Value::Text(text_of(text)?)
    } else if object.is_instance_of::<PyInt>() {
        Value::Integer(integer(object)?)
    } else if let Ok(float) = object.cast::<PyFloat>() {
        Value::Float(float.value())
    } else if let Ok(bytes) = object.cast::<PyBytes>() {
        Value::Bytes(bytes.as_bytes().to_vec())
    } else {
        Value::Json(written(object)?)
    })
}

/// Writes an object of Python as JSON.
pub(crate) fn written(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut text = String::new();
    write(object, 0, &mut text)?;
    Ok(text)
}

fn text_of(text: &Bound<'_, PyString>) -> PyResult<String> {
    // A lone surrogate has no form in UTF-8.
    let text = text
        .to_str()
        .map_err(|_| invalid_value("a text has a lone surrogate"))?;
    Ok(text.to_owned())
}

fn integer(object: &Bound<'_, PyAny>) -> PyResult<i64> {
    object
        .extract()
        .map_err(|_| invalid_value("an integer has at most 64 bits"))
}

/// The digits of an integer in a list or dict, which may have more than 64 bits.
fn digits(object: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(number) = object.extract::<i64>() {
        return Ok(number.to_string());
    }
    let written = object
        .py()
        .get_type::<PyInt>()
        .call_method1("__repr__", (object,));
    // Python refuses to write one of thousands of digits.
    let written = written.map_err(|_| invalid_value("an integer is too large"))?;
    written.extract()
}

fn write_text(text: &Bound<'_, PyString>, onto: &mut String) -> PyResult<()> {
    let quoted = serde_json::to_string(&text_of(text)?);
    onto.push_str(&quoted.map_err(|_| invalid_value("a text cannot be written as JSON"))?);
    Ok(())
}

fn write(object: &Bound<'_, PyAny>, depth: usize, onto: &mut String) -> PyResult<()> {
    if depth > MAXIMUM_DEPTH {
        return Err(invalid_value("lists and dicts are nested too deeply"));
    }
    if object.is_none() {
        onto.push_str("null");
    } else if let Ok(boolean) = object.cast::<PyBool>() {
        onto.push_str(if boolean.is_true() { "true" } else { "false" });
    } else if let Ok(text) = object.cast::<PyString>() {
        write_text(text, onto)?;
    } else if object.is_instance_of::<PyInt>() {
        onto.push_str(&digits(object)?);
    } else if let Ok(float) = object.cast::<PyFloat>() {
        let float = float.value();
        if !float.is_finite() {
            return Err(invalid_value("NaN and infinities are not JSON"));
        }
        onto.push_str(&serde_json::Value::from(float).to_string());
    } else if let Ok(list) = object.cast::<PyList>() {
        write_list(list.iter(), depth, onto)?;
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        write_list(tuple.iter(), depth, onto)?;
    } else if let Ok(dict) = object.cast::<PyDict>() {
        onto.push('{');
        for (at, (name, value)) in dict.iter().enumerate() {
            if at > 0 {
                onto.push(',');
            }
            let name = name.cast::<PyString>();
            write_text(
                name.map_err(|_| invalid_value("the keys of a dict are texts"))?,
                onto,
            )?;
            onto.push(':');
            write(&value, depth + 1, onto)?;
        }
        onto.push('}');
    } else {
        let class = object.get_type().name()?;
        return Err(invalid_value(&format!(
            "an object of {class} cannot be stored; a field has None, bool, int, float, str or bytes, or a list or dict without bytes"
        )));
    }
    Ok(())
}

fn write_list<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
    onto: &mut String,
) -> PyResult<()> {
    onto.push('[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            onto.push(',');
        }
        write(&item, depth + 1, onto)?;
    }
    onto.push(']');
    Ok(())
}
