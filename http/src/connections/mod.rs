//! Connections over HTTP: server-sent events for clients; messages, lists and ends for services.
//!
//! Generic over [`Hub`], which a host implements for its connections.

mod body;
mod client;
mod client_event;
mod hub;
mod opening;
mod routes;
mod service;
mod sse;

#[cfg(feature = "demo")]
pub(crate) use client::open_stream;
pub use hub::{Client, Hub, HubError, Served};
pub use routes::router;
