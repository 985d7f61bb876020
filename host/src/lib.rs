//! Login sessions on the server, over any store.
//!
//! The engine is compiled to a WebAssembly component, so that services in several languages run the same code.
//! It signs and verifies tokens, decides which sessions are expired, replaced or revoked, and merges concurrent changes.
//! This library runs the component with wasmtime, and supplies a store, a clock and a random source.
//! It awaits the store outside the component: a component call never waits.
//!
//! Start with [`Sessions`].
//! To write a store of your own, implement the trait [`store::Store`].

mod bindings;
mod clock;
#[cfg(feature = "connections")]
pub mod connections;
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
pub use driver::{BegunWrites, Component};
pub use error::{ComponentError, ConfigurationError, RuntimeError, SessionError, TokenFault};
pub use keys::SigningKey;
pub use policy::{CapRule, FieldRule, Policy, Preset, ReuseRule, TokenFormat};
pub use session::Session;
pub use sessions::{Sessions, SessionsBuilder};
pub use tessera_contract::{
    Claims, ConvertError, Details, Grant, KeepFields, PageRequest, SessionPage, SessionSummary, Status,
    Timestamp, Value,
};
