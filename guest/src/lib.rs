//! The session engine.
//!
//! Everything Tessera decides is here: which token is good, which session has expired, what a concurrent save becomes.
//! The engine does no I/O. It asks a [`ports::Ports`] for the time, for random bytes and for records,
//! and when an answer is not there yet it gives up the call with its state as it was ([`error::Kind::Pending`]).
//!
//! Only `component` knows WIT; the rest builds natively, so that it can be tested and fuzzed without a runtime.

mod author;
pub mod cache;
pub mod call;
pub mod csrf;
pub mod encoding;
mod ending;
pub mod engine;
pub mod error;
pub mod flat;
pub mod generation;
pub mod json;
pub mod keys;
pub mod overlay;
pub mod owner;
pub mod policy;
pub mod ports;
pub mod record;
pub mod session;
pub mod snapshot;
pub mod token;
pub mod value;
mod write;

#[cfg(target_arch = "wasm32")]
mod component;

// Half the size of the standard library's for this target, and faster.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
