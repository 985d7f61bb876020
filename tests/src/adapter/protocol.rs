//! The lines between the runner and an adapter in a process of its own: one JSON object each.
//!
//! `docs/conformance.md` is the reference for adapters in other languages.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tessera::store::StoreOp;

/// The replies of scripted stores, from the view of the adapter's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replies {
    /// An operation blocks until the runner has replied, or has said that the reply comes later.
    AtOnce,
    /// Every reply comes later.
    Later,
}

/// The pace of the store's replies, and the host's memory of opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manner {
    /// The replies of the runner's stores.
    pub replies: Replies,
    /// Whether the host remembers opens.
    pub remember: bool,
}

/// A line to the adapter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum ToAdapter {
    /// Takes a step.
    Step {
        id: u64,
        /// The time of the adapter's clock from now on, in milliseconds since 1970.
        now: u64,
        step: String,
        members: Map<String, Value>,
    },
    /// The reply to a store operation; without `reply` it comes later, in another line.
    Reply {
        op: u64,
        now: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply: Option<Value>,
    },
    /// The caller of a step goes away. The step is not answered.
    Cancel { id: u64 },
}

/// A line from the adapter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum FromAdapter {
    /// The first line.
    Hello(Hello),
    /// A store operation of the engine.
    Op {
        op: u64,
        store: u64,
        now: u64,
        operation: StoreOp,
    },
    /// The result of a step.
    Done { id: u64, result: Value },
    /// An error of the engine.
    Refused { id: u64, error: Map<String, Value> },
    /// The adapter could not take the step.
    Failed { id: u64, reason: String },
}

/// An adapter's description of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hello {
    /// The language of the adapter's host.
    pub language: String,
    /// The runtime of the component, with its version.
    pub runtime: String,
    /// The SHA-256 of the component, in hexadecimal.
    pub component: String,
}
