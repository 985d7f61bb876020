//! What the fuzz targets share: a naive reading of JSON, a host over a store in memory, and an engine for the HTTP side.

pub mod host;
pub mod model;
pub mod naive;
pub mod plain;
pub mod script;
pub mod fixture;

/// A target's input as text: what is no UTF-8 never reaches the engine, for WIT's strings are.
pub fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}
