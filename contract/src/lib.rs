//! What the engine, the Rust host, the Worker and the HTTP layer share, so that there is one of each.
//!
//! Knows neither wasmtime nor a runtime nor any one store, and builds for wasm32.
//! Without the feature `host` only the form of fields is left: that part is also compiled into the component.

pub mod encoding;
pub mod form;
pub mod index;
pub mod json;
pub mod overlay;
mod value;

#[cfg(feature = "host")]
pub mod decimal;
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
pub use session::{Claims, Details, Grant, KeepFields, SessionPage, SessionSummary, Status};
#[cfg(feature = "host")]
pub use time::{Timestamp, millis};
#[cfg(feature = "host")]
pub use value::ConvertError;
pub use value::{Change, Value};
