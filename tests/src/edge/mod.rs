//! The Worker in workerd, and its stores and engine as the tests ask them: over its test routes.

mod store;
mod wire;
mod worker;

pub use store::RemoteStore;
pub use worker::{SERVICE_KEY, SIGNING_KEY, Worker, bundle};

pub(crate) use wire::{capabilities, read_op, reply};
