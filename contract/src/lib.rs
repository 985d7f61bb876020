//! What the Rust host, the Worker and the HTTP layer share of the engine's contract, so that there is one of each.
//!
//! Knows neither wasmtime nor a runtime nor a store, and builds for wasm32.

mod session;
mod time;
mod value;

pub use session::{Claims, Details, Grant, KeepFields, SessionPage, SessionSummary, Status};
pub use time::{Timestamp, millis};
pub use value::{Change, ConvertError, Value};
