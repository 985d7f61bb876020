//! Connections over HTTP: server-sent events and WebSockets for clients; messages, lists and ends for services.
//!
//! Generic over [`Hub`], which a host implements for its connections.

mod body;
mod client;
mod client_event;
#[cfg(feature = "websocket")]
mod close;
mod hub;
mod opening;
mod routes;
mod service;
#[cfg(feature = "websocket")]
mod socket;
mod sse;
#[cfg(feature = "websocket")]
mod websocket;

#[cfg(feature = "demo")]
pub(crate) use client::open_stream;
pub use hub::{Client, Hub, HubError, Served};
pub use routes::router;
