//! Connections over HTTP: server-sent events, WebSockets and long polls for clients; messages, lists and ends for services.
//!
//! Generic over [`Hub`], which a host implements for its connections.

mod body;
mod client;
mod client_event;
mod close;
mod frames;
mod handshake;
mod hub;
mod opening;
mod path;
mod poll;
mod routes;
mod service;
#[cfg(feature = "websocket")]
mod socket;
mod sockets;
mod sse;
#[cfg(feature = "websocket")]
mod websocket;

#[cfg(feature = "demo")]
pub(crate) use client::open_stream;
pub use close::Close;
pub use frames::{Frame, Frames};
pub use hub::{Client, Hub, HubError, Served, StreamClient};
pub use routes::{router, socket_router};
pub use sockets::Sockets;
