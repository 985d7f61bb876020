//! Errors of the engine as exceptions of `tessera.errors`.

use std::io;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tessera::store::{StoreError, StoreUrlError};
use tessera::{ConfigurationError, SessionError};
use tessera_embedding::fork::Forked;
use tessera_embedding::{EngineError, Report, chain};

use crate::attach::Frame;

/// Why a call has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Session(SessionError),
    Engine(EngineError),
    /// An argument of another form than the documented one: its name, and the reason as a verb phrase.
    Argument(&'static str, String),
    /// The object is of the process before a fork.
    Forked,
    /// A poll has panicked.
    Panicked,
    /// Code of Python has raised.
    Raised(PyErr),
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<ConfigurationError> for Failure {
    fn from(error: ConfigurationError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<StoreUrlError> for Failure {
    fn from(error: StoreUrlError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl From<Forked> for Failure {
    fn from(_: Forked) -> Self {
        Self::Forked
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

fn raise(message: String, report: Report) -> PyErr {
    let _frame = Frame::enter();
    let raised = Python::attach(|py| {
        static OF_KIND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let of_kind = OF_KIND.import(py, "tessera.errors", "_of_kind")?;
        let Report {
            kind,
            about,
            reason,
            number,
        } = report;
        let error = of_kind.call1((kind, message, about, reason, number))?;
        Ok(PyErr::from_value(error))
    });
    raised.unwrap_or_else(|error| error)
}

/// The exception of a fault of this module.
pub(crate) fn internal(message: &str) -> PyErr {
    raise(message.to_owned(), Report::of("internal"))
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Session(error) => raise(error.to_string(), Report::from(&error)),
            Failure::Engine(EngineError::Runtime(error)) => {
                PyRuntimeError::new_err(format!("cannot start threads: {error}"))
            }
            Failure::Engine(error) => {
                let message = match &error {
                    EngineError::Store(error) => chain(error),
                    other => other.to_string(),
                };
                raise(message, Report::from(&error))
            }
            Failure::Argument(argument, reason) => raise(
                format!("{argument} {reason}"),
                Report::because("invalid-argument", argument, reason),
            ),
            Failure::Forked => raise(
                "the object is of the process before a fork: open the session again".to_owned(),
                Report::of("forked"),
            ),
            Failure::Panicked => internal("the engine has panicked"),
            Failure::Raised(error) => error,
        }
    }
}

/// The exception `tessera.errors.InvalidValueError`.
pub(crate) fn invalid_value(reason: &str) -> PyErr {
    raise(
        format!("invalid value: {reason}"),
        Report::because("invalid-value", "", reason),
    )
}
