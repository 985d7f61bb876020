//! The error of a failed command, for its user.

use std::error::Error;
use std::fmt;
use std::io;

use tessera::http::chain;

/// An error, together with the operation that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Creates a failure without an underlying error.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// Adds the operation during which `source` occurred; for use with `map_err`.
    pub(crate) fn during<E: Into<Box<dyn Error + Send + Sync>>>(
        message: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let message = message.into();
        |source| Self {
            message,
            source: Some(source.into()),
        }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        let io = self
            .source
            .as_ref()
            .and_then(|source| source.downcast_ref::<io::Error>());
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The message, followed by a colon and each underlying error.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {}", chain(&**source)),
            None => Ok(()),
        }
    }
}

/// Has no `source`, because the message contains all underlying errors.
impl Error for Failure {}
