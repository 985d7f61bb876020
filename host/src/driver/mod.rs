//! Runs the component without ever waiting inside it.
//!
//! A *logical call* is one export call with all its repeats. When the store cannot answer at once the engine gives the call
//! up, the driver awaits the store outside the component, and makes the same call again with the answers logged so far.

mod answer;
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
mod watchdog;

pub(crate) use call::{Calls, Passed};
pub use component::Component;
pub(crate) use detach::detached;
pub(crate) use instance::{Instance, Setup, starting_policy};
pub(crate) use open::found;
pub(crate) use queue::{Crowded, Queues, Rank};
pub(crate) use replay_log::{ReplayLog, Sources};
