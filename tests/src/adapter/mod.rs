//! Adapters: hosts of the engine that take the steps of scenarios.
//!
//! The Rust host and the Worker have one each.

pub(crate) mod args;
pub(crate) mod clock;
pub(crate) mod outcome;
pub mod rust;
pub(crate) mod value;
pub mod worker;

use serde_json::{Map, Value};

use crate::stores::Scripted;

pub use args::Args;
pub use outcome::Outcome;

/// The configuration of an engine.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Changes to the default policy, with the names of `wit/policy.wit`.
    pub policy: Map<String, Value>,
    /// `aal1`, `aal2` or `aal3`, before `policy` is applied.
    pub preset: Option<String>,
    /// The key ring: id and secret of each key.
    pub keys: Vec<(String, Vec<u8>)>,
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
