//! Connections over HTTP: server-sent events, WebSockets and long polls for clients; messages, lists and ends for services.
//!
//! Generic over [`Hub`], which a host implements for its connections.

mod body;
mod client;
mod client_event;
#[cfg(feature = "websocket")]
mod close;
mod hub;
mod opening;
mod path;
mod poll;
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
