//! The Worker in workerd. The tests use its stores and its engine through its test routes.

mod store;
mod worker;

pub use store::{Remote, RemoteStore};
pub use worker::{SERVICE_KEY, SIGNING_KEY, Worker, bundle};
