//! Runs the component without waiting inside it.
//!
//! A *logical call* is one call of an export with all its repeats; each repeat is a *pass*.
//! If the store does not answer at once, the engine aborts the pass, and the driver awaits the store outside the component.
//! Then the driver makes the same call again with the answers that are logged so far.

mod answer;
mod begun;
mod call;
mod component;
mod detach;
mod imports;
mod instance;
#[cfg(feature = "compile")]
mod instructions;
mod open;
mod queue;
mod replay_log;
mod settings;
mod standing;
mod watchdog;

pub use begun::BegunWrites;
pub(crate) use call::{Calls, Passed};
pub use component::Component;
pub(crate) use detach::detached;
pub(crate) use instance::{Instance, Setup, starting_policy};
pub(crate) use open::found;
pub(crate) use queue::{Crowded, Queues, Rank};
pub(crate) use replay_log::{ReplayLog, Sources};
