//! What the Rust host, the Worker and the HTTP layer share of the engine's contract, so that there is one of each.
//!
//! Knows neither wasmtime nor a runtime nor a store, and builds for wasm32.

mod value;

pub use value::{Change, ConvertError, Value};
