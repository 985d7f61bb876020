//! The Worker in workerd, and its stores and engine as the tests ask them: over its test routes.

mod store;
mod worker;

pub use store::{Remote, RemoteStore};
pub use worker::{SERVICE_KEY, SIGNING_KEY, Worker, bundle};
