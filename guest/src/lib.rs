//! The session engine.
//!
//! All decisions of Tessera are made here: which token is valid, which session has expired, how concurrent saves are merged.
//! The engine does no I/O and keeps no state but its configuration. It requests the time, random bytes and records from a
//! [`ports::Ports`]. If a reply is not available yet, it abandons the call with [`error::Kind::Pending`].
//!
//! Only the module `component` depends on WIT. The rest builds natively, so that it can be tested and fuzzed without a runtime.

// For the component's allocator and for the module's own tests.
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
