//! Stores around stores: slow ones, and ones that fail where they are told to.

mod never_ready;
mod scripted;

pub use never_ready::NeverReady;
pub use scripted::{Fault, Paused, Script, Scripted};
