//! From the sources of the engine to the bytes of the component.

mod compile;
mod encode;

pub use compile::{PROFILE, TARGET, compile};
pub use encode::{component, without_names};

/// Why the component was not built.
pub type Failure = Box<dyn std::error::Error>;
