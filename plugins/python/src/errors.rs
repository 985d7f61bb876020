//! Errors of the engine as exceptions of `tessera.errors`.

use std::error::Error;
use std::io;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tessera::store::{StoreError, StoreUrlError};
use tessera::{ConfigurationError, SessionError, TokenFault};

/// Why a call has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Session(SessionError),
    Configuration(ConfigurationError),
    Url(StoreUrlError),
    /// The store cannot be opened again.
    Unavailable(StoreUrlError),
    Store(StoreError),
    /// The runtime of the threads cannot be started.
    Runtime(io::Error),
    /// An argument of another form than the documented one: its name, and the reason as a verb phrase.
    Argument(&'static str, String),
    /// The object is of the process before a fork.
    Forked,
    /// A poll has panicked.
    Panicked,
    /// The sessions were closed.
    Closed,
    /// The SQLite file was open when the process was forked.
    SqliteForked,
    /// Code of Python has raised.
    Raised(PyErr),
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<ConfigurationError> for Failure {
    fn from(error: ConfigurationError) -> Self {
        Self::Configuration(error)
    }
}

impl From<StoreUrlError> for Failure {
    fn from(error: StoreUrlError) -> Self {
        Self::Url(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// The parts of an exception.
struct Parts<'a> {
    kind: &'a str,
    about: String,
    reason: String,
    number: u64,
}

impl<'a> Parts<'a> {
    fn of(kind: &'a str) -> Self {
        Self {
            kind,
            about: String::new(),
            reason: String::new(),
            number: 0,
        }
    }

    fn because(kind: &'a str, about: &str, reason: impl Into<String>) -> Self {
        Self {
            about: about.to_owned(),
            reason: reason.into(),
            ..Self::of(kind)
        }
    }
}

fn token_fault(fault: TokenFault) -> (&'static str, u64) {
    match fault {
        TokenFault::TooLong => ("token-too-long", 0),
        TokenFault::Malformed => ("token-malformed", 0),
        TokenFault::HeaderRefused => ("token-header-refused", 0),
        TokenFault::UnknownKey => ("token-key-unknown", 0),
        TokenFault::WrongMac => ("token-mac-wrong", 0),
        TokenFault::WrongIssuer => ("token-issuer-wrong", 0),
        TokenFault::WrongAudience => ("token-audience-wrong", 0),
        TokenFault::NotYetValid { ahead } => ("token-not-yet-valid", millis(ahead)),
        _ => ("token-malformed", 0),
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn of_session(error: &SessionError) -> Parts<'static> {
    use SessionError as E;
    match error {
        E::Busy => Parts::of("busy"),
        E::Closed => Parts::of("closed"),
        E::Missing => Parts::of("missing"),
        E::Expired => Parts::of("expired"),
        E::Replaced => Parts::of("replaced"),
        E::Reused => Parts::of("reused"),
        E::InvalidToken(fault) => {
            let (kind, number) = token_fault(*fault);
            Parts {
                number,
                ..Parts::of(kind)
            }
        }
        E::InvalidCsrfToken => Parts::of("invalid-csrf-token"),
        E::InvalidArgument { argument, reason } => Parts::because("invalid-argument", argument, reason),
        E::InvalidValue { reason } => Parts::because("invalid-value", "", reason),
        E::LimitExceeded { limit, maximum } => Parts {
            number: *maximum,
            ..Parts::because("limit-exceeded", limit, "")
        },
        E::Conflict(fields) => Parts::because("conflict", &fields.join("\n"), ""),
        E::Contended => Parts::of("contended"),
        E::TooManySessions => Parts::of("too-many-sessions"),
        E::SubjectRequired => Parts::of("subject-required"),
        E::Draft => Parts::of("draft"),
        E::Convert(error) => Parts::because("invalid-value", "", error.to_string()),
        E::Unsupported { what } => Parts::because("unsupported", "", what),
        E::Throttled(pause) => Parts {
            number: millis(*pause),
            ..Parts::of("throttled")
        },
        E::Full => Parts::of("full"),
        E::Corrupt { reason } => Parts::because("corrupt", "", reason),
        E::OutcomeUnknown { source } => Parts::because("outcome-unknown", "", chain(source.as_ref())),
        E::Unavailable { source } => Parts::because("unavailable", "", chain(source.as_ref())),
        E::InstanceLost { .. } => Parts::of("instance-lost"),
        E::Other { reason, .. } => Parts::because("other", "", reason),
        _ => Parts::because("other", "", error.to_string()),
    }
}

fn of_configuration(error: &ConfigurationError) -> Parts<'static> {
    match error {
        ConfigurationError::InvalidPolicy { field, reason } => {
            Parts::because("invalid-policy", field, reason)
        }
        ConfigurationError::InvalidKey { key, reason } => Parts::because("invalid-key", key, reason),
        ConfigurationError::Engine(error) => of_session(error),
        other => Parts::because("configuration", "", chain(Some(other))),
    }
}

fn of_store(error: &StoreError) -> Parts<'static> {
    match error {
        StoreError::Throttled(pause) => Parts {
            number: millis(*pause),
            ..Parts::of("throttled")
        },
        StoreError::Unsupported => Parts::of("unsupported"),
        StoreError::Full => Parts::of("full"),
        StoreError::Corrupt => Parts::of("corrupt"),
        StoreError::OutcomeUnknown(_) => Parts::because("outcome-unknown", "", chain(Some(error))),
        StoreError::Unavailable(_) => Parts::because("unavailable", "", chain(Some(error))),
        _ => Parts::because("other", "", chain(Some(error))),
    }
}

/// The text of an error and of its sources. None of them contains a key, a token or a value.
fn chain<E: Error>(error: Option<&E>) -> String {
    let Some(error) = error else {
        return String::new();
    };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}

fn raise(message: String, parts: Parts<'_>) -> PyErr {
    let raised = Python::attach(|py| {
        static OF_KIND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let of_kind = OF_KIND.import(py, "tessera.errors", "_of_kind")?;
        let Parts {
            kind,
            about,
            reason,
            number,
        } = parts;
        let error = of_kind.call1((kind, message, about, reason, number))?;
        Ok(PyErr::from_value(error))
    });
    raised.unwrap_or_else(|error| error)
}

/// The exception of a fault of this module.
pub(crate) fn internal(message: &str) -> PyErr {
    raise(message.to_owned(), Parts::of("internal"))
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Session(error) => raise(error.to_string(), of_session(&error)),
            Failure::Configuration(error) => raise(error.to_string(), of_configuration(&error)),
            Failure::Url(error) => raise(
                chain(Some(&error)),
                Parts::because("configuration", "store", error.to_string()),
            ),
            Failure::Unavailable(error) => raise(
                "the store cannot be reached".to_owned(),
                Parts::because("unavailable", "", chain(Some(&error))),
            ),
            Failure::Store(error) => raise(error.to_string(), of_store(&error)),
            Failure::Runtime(error) => PyRuntimeError::new_err(format!("cannot start threads: {error}")),
            Failure::Argument(argument, reason) => raise(
                format!("{argument} {reason}"),
                Parts::because("invalid-argument", argument, reason),
            ),
            Failure::Forked => raise(
                "the object is of the process before a fork: open the session again".to_owned(),
                Parts::of("forked"),
            ),
            Failure::Panicked => internal("the engine has panicked"),
            Failure::Closed => raise(
                "the sessions were closed".to_owned(),
                Parts::because("unavailable", "", "the sessions were closed"),
            ),
            Failure::SqliteForked => raise(
                "the SQLite file was in use when the process was forked, and SQLite does not allow that: \
                 use it first after the fork, or close the sessions before"
                    .to_owned(),
                Parts::of("forked"),
            ),
            Failure::Raised(error) => error,
        }
    }
}

/// The exception `tessera.errors.InvalidValueError`.
pub(crate) fn invalid_value(reason: &str) -> PyErr {
    raise(
        format!("invalid value: {reason}"),
        Parts::because("invalid-value", "", reason),
    )
}
