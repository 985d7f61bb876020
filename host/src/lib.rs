//! Sessions for services in several languages: one engine, compiled once to a WebAssembly component, over any store.
//!
//! The engine in the component signs and verifies tokens, decides what is expired, replaced or revoked, and merges concurrent
//! changes. This library runs it with wasmtime, gives it a store, a clock and a random source, and awaits the store outside
//! of it: a component call never waits.
//!
//! Start at [`Sessions`]. A store of your own is the trait [`store::Store`] and nothing else.

mod bindings;
mod clock;
mod driver;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod keys;
mod limits;
mod policy;
mod session;
mod sessions;
pub mod store;
mod summary;

pub use clock::{Clock, Random, SystemClock, SystemRandom};
pub use driver::Component;
pub use error::{ComponentError, ConfigurationError, RuntimeError, SessionError, TokenFault};
pub use keys::SigningKey;
pub use policy::{CapRule, FieldRule, Policy, Preset, ReuseRule, TokenFormat};
pub use session::Session;
pub use sessions::{Sessions, SessionsBuilder};
pub use tessera_contract::{
    Claims, ConvertError, Details, Grant, KeepFields, SessionPage, SessionSummary, Status, Timestamp, Value,
};
