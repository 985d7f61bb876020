//! Adapters: hosts of the engine that take the steps of scenarios.
//!
//! `docs/conformance.md` describes the steps and their results. The Rust host and the Worker have an adapter in this
//! process; the host of any language has one in a process of its own.

pub(crate) mod args;
pub(crate) mod clock;
mod named;
pub(crate) mod outcome;
pub mod process;
mod protocol;
pub mod rust;
pub mod serve;
pub(crate) mod value;
pub mod worker;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::stores::Scripted;

pub use args::Args;
pub use outcome::Outcome;
pub use protocol::{Hello, Manner, Replies};

/// The configuration of an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Configuration {
    /// Changes to the default policy, with the names of `wit/policy.wit`.
    pub policy: Map<String, Value>,
    /// `aal1`, `aal2` or `aal3`, before `policy` is applied.
    pub preset: Option<String>,
    /// The key ring.
    pub keys: Vec<Key>,
}

/// A signing key: `{"id", "secret"}`, with the secret in base64url.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The id.
    pub id: String,
    /// The secret.
    #[serde(with = "value::in_base64url")]
    pub secret: Vec<u8>,
}

/// A host of the engine over stores of the runner. Clones share engines and sessions.
#[expect(
    async_fn_in_trait,
    reason = "a trait of the tests, whose runner polls all in one task"
)]
pub trait Adapter<S>: Clone + 'static {
    /// Creates the engine with this name, over a store.
    ///
    /// # Errors
    /// If the adapter itself failed. A refused configuration is an outcome.
    async fn configure(&self, host: &str, with: Configuration, store: Scripted<S>)
    -> Result<Outcome, String>;

    /// Takes one step, with its members.
    ///
    /// # Errors
    /// If the step is invalid, or the adapter itself failed. An error of the engine is an outcome.
    async fn perform(&self, step: &str, members: Args) -> Result<Outcome, String>;
}
