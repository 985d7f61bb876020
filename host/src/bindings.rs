//! The exports of the component, generated from `wit/`.
//! `imports.rs` links the imports by hand, so that a reply of the store is passed on without a copy.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({ path: "wit", world: "engine" });

/// The generated types under shorter names.
pub(crate) mod wit {
    pub(crate) use super::exports::tessera::session::policy::*;
    pub(crate) use super::exports::tessera::session::sessions::{Opened, Writing, Written};
}
