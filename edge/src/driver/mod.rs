//! Runs the component without waiting inside it.
//!
//! A *logical call* is one call of an export of `sessions` with all its *passes*.
//! Each pass runs to its end without suspension, in `js/call.js`, which keeps the replay log.
//! A pass that needs the store ends with a store operation; the driver awaits its reply and repeats the call.
//! Nothing of the component is held during the wait: any number of requests share one instance, and a call whose
//! instance was lost continues on another.

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

/// A driver that is shared by the requests of an isolate, which has one thread.
pub(crate) type SharedDriver = std::sync::Arc<worker::send::SendWrapper<Driver>>;
