//! The session engine.
//!
//! Everything Tessera decides is here: which token is good, which session has expired, what a concurrent save becomes.
//! The engine does no I/O and keeps nothing but its configuration. It asks a [`ports::Ports`] for the time, for random bytes and
//! for records, and when an answer is not there yet it gives up the call ([`error::Kind::Pending`]).
//!
//! Only `component` knows WIT; the rest builds natively, so that it can be tested and fuzzed without a runtime.

// For the component's allocator, and for its own tests.
#[cfg(any(target_arch = "wasm32", test))]
mod block;
pub mod call;
pub mod csrf;
pub mod engine;
pub mod error;
pub mod generation;
pub mod handle;
pub mod id;
pub mod keys;
mod live;
mod mint;
pub mod moments;
mod open;
pub mod policy;
pub mod ports;
pub mod record;
pub mod session;
pub mod snapshot;
pub mod subject;
mod termination;
pub mod token;
pub mod view;
mod write;
mod writer_id;

#[cfg(target_arch = "wasm32")]
mod component;

pub use tessera_contract::{Value, encoding, form, json, overlay};
