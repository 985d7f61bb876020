//! The session engine as one WebAssembly component, which every host loads.
//!
//! The component exports `tessera:session/policy` and `tessera:session/sessions`.
//! It imports a store, a clock and a random source, and nothing else.
//! `wit/` of the repository defines these interfaces; the sources of the engine are `guest/` and `contract/`.
//!
//! `cargo xtask component` compiles the sources and writes `tessera.wasm`.
//! A test compiles the sources and compares the result with the file.

#![no_std]

/// The bytes of the component.
pub static BYTES: &[u8] = include_bytes!("../tessera.wasm");
