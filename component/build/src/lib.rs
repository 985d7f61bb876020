//! Compiles the sources of the engine to the component.

mod compile;
mod encode;
mod failure;

pub use compile::{PROFILE, TARGET, compile};
pub use encode::{component, without_names};
pub use failure::Failure;
