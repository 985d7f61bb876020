//! The exports of the component, generated from `wit/`. The imports are linked by hand in `imports.rs`, where an answer of
//! the store can be handed over without a copy.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({ path: "wit", world: "engine" });

/// The generated types under shorter names.
pub(crate) mod wit {
    pub(crate) use super::exports::tessera::session::policy::*;
    pub(crate) use super::exports::tessera::session::sessions::{Opened, Writing, Written};
}
