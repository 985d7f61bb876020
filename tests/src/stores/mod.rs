//! Wrappers of stores, which delay replies or inject faults.

mod never_ready;
mod scripted;

pub use never_ready::NeverReady;
pub use scripted::{Fault, Paused, Script, Scripted};
