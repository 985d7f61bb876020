//! Runs the component without ever waiting inside it.
//!
//! A *logical call* is one export call with all its repeats. When the store cannot answer at once the engine gives the call
//! up, the driver awaits the store outside the component, and makes the same call again with the answers recorded so far.

mod admission;
mod answer;
mod bindings;
mod call;
mod component;
#[cfg(test)]
mod flat;
mod imports;
mod instance;
#[cfg(feature = "compile")]
mod instructions;
mod newest;
mod queue;
mod record;
mod settings;
mod watchdog;

pub(crate) use bindings::wit;
pub(crate) use call::{Calls, Handle};
pub use component::{Component, ComponentError};
pub(crate) use instance::{Limits, Setup, starting_policy};
pub(crate) use queue::{Queues, Rank};
pub(crate) use record::Sources;
