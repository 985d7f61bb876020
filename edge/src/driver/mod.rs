//! Runs the component without ever waiting inside it.
//!
//! A *logical call* is one export of `sessions` with all its repeats. Each pass runs to its end at once, in `js/call.js`, which
//! keeps what was asked and answered; where the store is to be asked, the pass ends with the question, it is awaited here, and
//! the same call is made again. Nothing of the component is held meanwhile: any number of requests share one instance, and a
//! call whose instance was lost goes on with another.

mod bindings;
mod call;
mod error;
mod instance;
mod known;
mod open;
mod pass;
pub(crate) mod wit;

pub(crate) use call::Driver;
pub(crate) use error::CallError;
pub(crate) use instance::{ConfigureError, Setup};
pub(crate) use known::Known;

#[cfg(feature = "test-routes")]
pub(crate) use bindings::{Call, Engine, make_call_at, make_engine};

/// The driver of an isolate, which has one thread.
pub(crate) type SharedDriver = std::sync::Arc<worker::send::SendWrapper<Driver>>;
