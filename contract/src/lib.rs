//! The types and rules that the engine, the Rust host, the Worker and the HTTP layer share.
//!
//! The crate depends neither on wasmtime, nor on an async runtime, nor on any store, and builds for wasm32.
//! Without the feature `host` it contains only the encoding of fields, which is also compiled into the component.

pub mod encoding;
pub mod form;
pub mod index;
pub mod json;
pub mod overlay;
mod value;

#[cfg(feature = "host")]
pub mod decimal;
#[cfg(feature = "host")]
pub mod held;
#[cfg(feature = "host")]
mod memo;
#[cfg(feature = "host")]
mod opened;
#[cfg(feature = "host")]
pub mod opens;
#[cfg(feature = "host")]
mod session;
#[cfg(feature = "host")]
pub mod state;
#[cfg(feature = "host")]
pub mod store;
#[cfg(feature = "host")]
mod time;

#[cfg(feature = "host")]
pub use session::{Claims, Details, Grant, KeepFields, PageRequest, SessionPage, SessionSummary, Status};
#[cfg(feature = "host")]
pub use time::{Timestamp, millis};
#[cfg(feature = "host")]
pub use value::ConvertError;
pub use value::{Change, Value};
