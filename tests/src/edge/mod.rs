//! The Worker in workerd. The tests use its stores, its mailboxes and its engine through its test routes.

mod mailbox;
mod store;
mod worker;

pub use mailbox::RemoteMailbox;
pub use store::{Remote, RemoteStore};
pub use worker::{SERVICE_KEY, SIGNING_KEY, Worker, bundle};
