//! Why the component was not built.

/// Why the component was not built.
pub type Failure = Box<dyn std::error::Error>;
