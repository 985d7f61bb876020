//! Why a command failed, for whoever ran it.

use std::error::Error;
use std::fmt;
use std::io;

use tessera::http::chain;

/// An error with what was being done when it happened.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure that has no other below it.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// Says what was being done when `source` happened; use with `map_err`.
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

/// The message and, after a colon each, every source below it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {}", chain(&**source)),
            None => Ok(()),
        }
    }
}

/// Without a source of its own, because its message has them all.
impl Error for Failure {}
